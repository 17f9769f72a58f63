from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lens_ray.errors import CheckpointError
from lens_ray.models import Backend, Completion, ModelSpec, Request, create_backend
from lens_ray.models.identity import identify
from lens_ray.models.protocol import Generation
from lens_ray.testing.fake_backend import CRASH_CODE, FakeBackend
from tests.models.helpers import ask

OPTIONS = "Which?\nA. red\nB. blue\nC. green\nAnswer with the letter."


def fake(weights: str = "w", **options: Any) -> Backend:
    return create_backend(
        ModelSpec(name="f", backend="fake", path=weights, options=options), weights
    )


def asked(*names: str, text: str = OPTIONS) -> list[Request]:
    return [Request(name, text, (), Generation()) for name in names]


def run(backend: Backend, requests: list[Request]) -> dict[str, Completion]:
    async def inner() -> dict[str, Completion]:
        await backend.start()
        try:
            return await ask(backend, requests)
        finally:
            await backend.close()

    return asyncio.run(inner())


NAMES = [f"s{n}" for n in range(300)]


def test_answers_are_drawn_from_what_the_prompt_offers() -> None:
    found = run(fake(), asked(*NAMES))
    counts = Counter(completion.text for completion in found.values())
    assert set(counts) == {"A", "B", "C"}
    assert min(counts.values()) > 60
    yes_no = run(fake(), asked(*NAMES[:50], text="Is it?\nAnswer yes or no."))
    assert {completion.text for completion in yes_no.values()} == {"yes", "no"}
    number = run(fake(), asked("a", text="How many?\nAnswer briefly."))["a"]
    assert number.text.isdigit()


def test_answers_depend_on_seed_weights_and_id_only() -> None:
    def texts(weights: str = "w", **options: Any) -> list[str]:
        found = run(fake(weights, answer="hash", **options), asked(*NAMES[:20]))
        return [found[name].text for name in NAMES[:20]]

    assert texts() == texts(latency_s=0.001, batch=4, parallel=3)
    assert texts() != texts(seed=1)
    assert texts() != texts("other")
    # Frozen: other processes and machines must draw the same.
    assert texts()[:2] == ["968b5c09", "d4a64a63"]


def test_texts_and_echo() -> None:
    found = run(fake(texts={"a": "\x1b[31m<b>"}, answer="echo"), asked("a", "b", text="hello"))
    assert (found["a"].text, found["b"].text) == ("\x1b[31m<b>", "hello")


def test_scripted_failures() -> None:
    found = run(fake(fail_ids=["a"], oom_ids=["b"]), asked("a", "b", "c"))
    assert found["a"].finish_reason == found["b"].finish_reason == "error"
    assert "out of memory" in (found["b"].error or "")
    assert found["c"].error is None


def test_failures_are_counted_over_processes(tmp_path: Path) -> None:
    script: dict[str, Any] = {"fail_ids": ["a"], "times": 2, "state_dir": str(tmp_path / "state")}
    errors = [run(fake(**script), asked("a"))["a"].error is not None for _ in range(4)]
    assert errors == [True, True, False, False]


@pytest.mark.parametrize(("option", "value"), [("crash_ids", ["b"]), ("crash_after", 1)])
def test_a_crash_ends_the_process(option: str, value: object) -> None:
    code = f"""
import asyncio
from tests.models.test_fake_backend import fake, asked, run
run(fake(**{{{option!r}: {value!r}}}), asked("a", "b", "c"))
print("survived")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path.cwd(), check=False
    )
    assert done.returncode == CRASH_CODE, done.stderr
    assert "survived" not in done.stdout


def test_a_hang_never_ends_and_others_do() -> None:
    async def inner() -> None:
        backend = fake(hang_ids=["b"], batch=3)
        await backend.start()
        seen = []

        async def collect() -> None:
            async for completion in backend.generate(asked("a", "b", "c")):
                seen.append(completion.request_id)  # noqa: PERF401  (kept when cancelled)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(collect(), 0.2)
        assert sorted(seen) == ["a", "c"]

    asyncio.run(inner())


def test_slots_bound_what_is_worked_on_at_once() -> None:
    def seconds(**options: Any) -> float:
        began = time.monotonic()
        run(fake(latency_s=0.02, **options), asked(*NAMES[:8]))
        return time.monotonic() - began

    alone = seconds()
    assert alone >= 8 * 0.02
    assert seconds(batch=4, parallel=2) < alone / 2
    assert seconds(speed=10.0) < alone / 2


def test_latency_is_reported_and_spread_when_asked() -> None:
    found = run(fake(latency_s=0.01, latency_sigma=0.5, batch=40), asked(*NAMES[:40]))
    latencies = [completion.latency_s for completion in found.values()]
    assert max(latencies) > 1.5 * min(latencies)


def test_a_swap_changes_answers_to_those_of_the_other_weights() -> None:
    other = run(fake("two", answer="hash"), asked(*NAMES[:9]))

    async def inner() -> None:
        backend = fake("one", answer="hash")
        info = await backend.start()
        assert info.can_load_weights
        first = await ask(backend, asked(*NAMES[:9]))
        spec = ModelSpec(name="f", backend="fake", path="one", options={"answer": "hash"})
        assert {c.weight_version for c in first.values()} == {identify(spec).weights_digest}
        await backend.load_weights("two", "v2")
        second = await ask(backend, asked(*NAMES[:9]))
        assert {c.weight_version for c in second.values()} == {"v2"}
        assert [c.text for c in second.values()] == [c.text for c in other.values()]
        assert [c.text for c in second.values()] != [c.text for c in first.values()]

    asyncio.run(inner())


def test_scripted_errors_of_start_and_swap() -> None:
    with pytest.raises(CheckpointError, match="half a checkpoint"):
        run(fake(start_error="half a checkpoint"), asked("a"))

    async def inner(**options: Any) -> None:
        backend = fake(**options)
        await backend.start()
        with pytest.raises(CheckpointError):
            await backend.load_weights("two", "v2")

    asyncio.run(inner(load_error="tensors differ"))
    asyncio.run(inner(can_load_weights=False))


def test_paid_answers_have_a_price() -> None:
    found = run(fake(paid=True, price_usd=0.25, fail_ids=["b"]), asked("a", "b"))
    assert (found["a"].cost_usd, found["b"].cost_usd) == (0.25, None)


def test_asking_before_the_start_is_an_error() -> None:
    with pytest.raises(CheckpointError, match="not started"):
        asyncio.run(ask(fake(), asked("a")))


def test_some_of_the_processes_are_slow(tmp_path: Path) -> None:
    given = {"latency_s": 0.5, "slow_replicas": 1, "slow_factor": 4.0, "state_dir": str(tmp_path)}
    spec = ModelSpec(name="m", backend="fake", options=given)
    seconds = []
    for _ in range(3):
        backend = FakeBackend(spec, "w")
        asyncio.run(backend.start())
        seconds.append(backend.latency("a"))
    assert seconds == [2.0, 0.5, 0.5]


def test_slow_processes_need_a_folder_to_be_counted_in() -> None:
    with pytest.raises(ValidationError, match="slow_replicas needs state_dir"):
        ModelSpec(name="m", backend="fake", options={"slow_replicas": 1})
