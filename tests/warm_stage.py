"""What the tests of warm replicas share: questions, what is to be answered, and who is there."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable

from lens_ray import ModelSpec
from lens_ray.engine.settings import EngineSettings
from lens_ray.models import Generation, Request, create_backend
from lens_ray.online.checkpoint import Checkpoint, Depth
from lens_ray.online.evaluator import Answered, Question
from lens_ray.suites.suite import load_suite
from lens_ray.suites.templates import render
from lens_ray.testing.processes import descendants
from lens_ray.warm import WarmEvaluator
from tests.chaos.harness import TITLES, title

ANCHOR, ALL = 121, 612
SETTINGS = EngineSettings(run_ttl_s=2.0, flush_s=0.2, flip_samples=4)


def ask(
    warm: WarmEvaluator, step: int, depth: Depth = "anchor", path: str = "", **given: object
) -> Answered:
    [answer] = warm.evaluate([question(step, depth, path, **given)])
    return answer


def question(step: int, depth: Depth = "anchor", path: str = "", **given: object) -> Question:
    backend = "transformers" if path else "fake"
    path = path or f"weights-{step}"
    spec = ModelSpec(
        name=f"run@{step}", backend=backend, path=path, step=step, replicas=1, options=given
    )
    return Question(Checkpoint("run", step, path, "mark", "now"), spec, depth)


def fakes(step: int, samples: Iterable[str]) -> dict[str, str]:
    """What a backend that is started with a checkpoint of `question` answers, by sample."""
    spec = question(step).spec
    by_id = load_suite("mini:quick").by_id

    async def answers() -> dict[str, str]:
        backend = create_backend(spec, spec.path)
        await backend.start()
        requests = [Request(one, render(by_id[one]), (), Generation()) for one in samples]
        return {one.request_id: one.text async for one in backend.generate(requests)}

    return asyncio.run(answers())


def replicas() -> list[int]:
    return [pid for pid in descendants(os.getpid()) if title(pid).startswith(TITLES["replica"])]


def until(true: Callable[[], bool]) -> None:
    """Wait for it, 10 s at most."""
    limit = time.monotonic() + 10
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.1)
