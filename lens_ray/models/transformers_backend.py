"""The backend ``transformers``: a checkpoint folder, answered batch by batch on CPU or GPU."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from lens_ray.errors import CheckpointError
from lens_ray.models.checkpoint import assert_swappable, inspect_checkpoint
from lens_ray.models.protocol import BackendInfo, Completion, Request
from lens_ray.models.spec import ModelSpec, TransformersOptions

if TYPE_CHECKING:
    from lens_ray.models.hosted_model import HostedModel, Prepared

T = TypeVar("T")
_CPU_BATCH = 32
_GPU_BATCH = 64


class TransformersBackend:
    """Hosts one checkpoint with transformers.

    The model lives in one worker thread; a second thread prepares the next batch meanwhile.
    Greedy answers do not depend on which requests share a batch.
    """

    def __init__(self, spec: ModelSpec, weights: str) -> None:
        """Remember what to load; nothing is read before `start`.

        Args:
            spec: The model as written in the job file.
            weights: Its local checkpoint folder.
        """
        options = spec.parsed_options()
        assert isinstance(options, TransformersOptions)
        self._options = options
        self._folder = weights
        self._model: HostedModel | None = None
        self._batch = 1
        self._weight_version = ""
        self._closed = False
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._preparer = ThreadPoolExecutor(1, thread_name_prefix="prepare")

    async def start(self) -> BackendInfo:
        """Load the checkpoint; its `weight_version` is its weights digest until a swap.

        Raises:
            CheckpointError: The checkpoint cannot be evaluated.
        """
        return await self._in_worker(self._start)

    def _start(self) -> BackendInfo:
        facts = inspect_checkpoint(self._folder, trust_remote_code=self._options.trust_remote_code)
        import torch
        import transformers

        from lens_ray.models.hosted_model import HostedModel

        self._model = HostedModel(facts, self._options)
        wanted = self._options.batch_size
        on_cpu = self._model.device.type == "cpu"
        self._batch = wanted if wanted != "auto" else _CPU_BATCH if on_cpu else _GPU_BATCH
        self._weight_version = facts.weights_digest
        return BackendInfo(
            name="transformers",
            version=transformers.__version__,
            batch=self._batch,
            parallel=2,
            can_load_weights=True,
            facts={
                "architecture": facts.architecture,
                "attn": self._model.attention,
                "device": str(self._model.device),
                "dtype": str(self._model.dtype).removeprefix("torch."),
                "image_processor": type(self._model.processor.image_processor).__name__,
                "parameters": str(facts.parameters),
                "shell_digest": facts.shell_digest,
                "threads": str(self._options.threads),
                "torch": torch.__version__,
                "trust_remote_code": str(facts.remote_code).lower(),
                "weights_digest": facts.weights_digest,
            },
        )

    async def generate(self, requests: Sequence[Request]) -> AsyncIterator[Completion]:
        """Answer requests in batches of similar prompts, each as its batch is done."""
        model = self._started()
        began = time.monotonic()
        batches = _batches(requests, self._batch)
        coming: asyncio.Future[Prepared] | None = None
        loop = asyncio.get_running_loop()
        try:
            for number, batch in enumerate(batches):
                if coming is None:
                    coming = loop.run_in_executor(self._preparer, model.prepare, batch)
                prepared, coming = await coming, None
                if number + 1 < len(batches):
                    coming = loop.run_in_executor(
                        self._preparer, model.prepare, batches[number + 1]
                    )
                for completion in await self._in_worker(self._answer, prepared):
                    yield replace(completion, latency_s=time.monotonic() - began)
        finally:
            if coming is not None:
                coming.cancel()

    def _answer(self, prepared: Prepared) -> list[Completion]:
        # Read beside the computation, in the thread that swaps: one batch, one version.
        version = self._weight_version
        return [
            replace(completion, weight_version=version)
            for completion in self._started().answer(prepared)
        ]

    async def load_weights(self, path: str, weight_version: str) -> None:
        """Take the weights of another checkpoint; what is being answered is finished first.

        Args:
            path: Local checkpoint folder.
            weight_version: What completions carry from now on.

        Raises:
            CheckpointError: More than the numbers differs; the old weights stay.
        """
        self._started()
        await self._in_worker(self._swap, path, weight_version)

    def _swap(self, path: str, weight_version: str) -> None:
        model = self._started()
        facts = inspect_checkpoint(path, trust_remote_code=self._options.trust_remote_code)
        assert_swappable(model.facts, facts)
        model.load_weights(facts)
        self._weight_version = weight_version

    async def close(self) -> None:
        """Free the model; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._in_worker(self._drop)
        self._worker.shutdown(wait=False)
        self._preparer.shutdown(wait=False)

    def _drop(self) -> None:
        self._model = None

    def _started(self) -> HostedModel:
        if self._model is None:
            raise CheckpointError(f"{self._folder} is not loaded; start the backend first")
        return self._model

    async def _in_worker(self, function: Callable[..., T], *args: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, lambda: function(*args))


def _batches(requests: Sequence[Request], size: int) -> list[list[Request]]:
    """Requests that may share a batch, sorted by length so that little is padding."""
    from lens_ray.models.hosted_model import sharing_key

    def order(request: Request) -> tuple[str, int, int]:
        return str(sharing_key(request)), -len(request.images), -len(request.text)

    batches = []
    for _, group in groupby(sorted(requests, key=order), key=sharing_key):
        alike = list(group)
        batches += [alike[at : at + size] for at in range(0, len(alike), size)]
    return batches
