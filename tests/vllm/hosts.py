"""Engines for tests: each runs in an event loop of its own thread, so that it outlives a test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from lens_ray.engine.plan import generation_of
from lens_ray.models import BackendInfo, Completion, ModelSpec, Request, create_backend
from lens_ray.models.resolve import resolve
from lens_ray.models.vllm_backend import VllmBackend
from lens_ray.suites.suite import Suite
from lens_ray.suites.templates import render

T = TypeVar("T")
#: For a model of a million parameters on two cores; float32 is what ``auto`` is on a CPU.
OPTIONS: dict[str, Any] = {
    "max_num_seqs": 32,
    "max_model_len": 512,
    "block_size": 32,
    "max_images": 4,
    "enforce_eager": True,
}


class Host:
    """A started backend."""

    def __init__(self, path: str, backend: str = "vllm", **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        given = {**OPTIONS, **options} if backend == "vllm" else options
        parts = given.pop("tensor_parallel", 1)
        self.spec = ModelSpec(
            name="m", backend=backend, path=path, tensor_parallel=parts, options=given
        )
        self.backend: Any = create_backend(self.spec, resolve(path))
        self.info: BackendInfo = self.run(self.backend.start())

    def run(self, work: Awaitable[T]) -> T:
        async def wrapped() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(wrapped(), self._loop).result(170)

    def ask(self, requests: Sequence[Request]) -> dict[str, Completion]:
        return self.run(_ask(self.backend, requests))

    def load(self, path: str, version: str) -> None:
        self.run(self.backend.load_weights(resolve(path), version))

    def close(self) -> None:
        self.run(self.backend.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)


async def _ask(backend: VllmBackend, requests: Sequence[Request]) -> dict[str, Completion]:
    return {one.request_id: one async for one in backend.generate(requests)}


def requests_of(suite: Suite, spec: ModelSpec, limit: int | None = None) -> list[Request]:
    """As the engine asks them."""
    return [
        Request(
            sample.sample_id,
            render(sample, spec.template),
            tuple(suite.image_bytes(image) for image in sample.images),
            generation_of(spec, sample),
        )
        for sample in suite.select(None, limit)
    ]


def texts(answers: Mapping[str, Completion]) -> dict[str, tuple[str, str, int | None]]:
    """What must be equal: text, how it ended, how many tokens."""
    return {name: (one.text, one.finish_reason, one.tokens_out) for name, one in answers.items()}
