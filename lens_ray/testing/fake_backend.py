"""The backend ``fake``: a pretended model that follows a script, failures and crashes included.

It sleeps instead of computing, so hundreds of replicas fit on one core. The same seed, weights
and request id give the same answer in every process and on every machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import random
import re
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from lens_ray.errors import CheckpointError
from lens_ray.models.identity import identify
from lens_ray.models.protocol import BackendInfo, Completion, Request
from lens_ray.models.spec import FakeOptions, ModelSpec

VERSION = "1"
#: Exit code of a scripted crash.
CRASH_CODE = 70

_OPTION = re.compile(r"^([A-J])\. ", re.MULTILINE)


class FakeBackend:
    """Answers by script.

    Attributes:
        answered: Completions given so far, in this process.
    """

    def __init__(self, spec: ModelSpec, weights: str) -> None:
        """Take the script from the model's options.

        Args:
            spec: The model; its ``options`` are `FakeOptions`.
            weights: Any text; answers depend on it, as on a real model's weights.
        """
        options = spec.parsed_options()
        assert isinstance(options, FakeOptions)
        self._options = options
        self._spec = spec
        self._weights = weights
        self._weight_version = ""
        self._slowness = 1.0
        self._slots: asyncio.Semaphore | None = None
        self.answered = 0

    async def start(self) -> BackendInfo:
        """Pretend to load a model.

        Raises:
            CheckpointError: The script says so.
        """
        options = self._options
        await asyncio.sleep(options.start_s / options.speed)
        if options.start_error is not None:
            raise CheckpointError(options.start_error)
        if options.slow_replicas and self._counted("slow", "start", options.slow_replicas):
            self._slowness = options.slow_factor
        self._slots = asyncio.Semaphore(options.batch * options.parallel)
        self._weight_version = identify(self._spec).weights_digest
        return BackendInfo(
            name="fake",
            version=VERSION,
            batch=options.batch,
            parallel=options.parallel,
            can_load_weights=options.can_load_weights,
            paid=options.paid,
            facts={
                "device": "none",
                "dtype": "none",
                "visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
                "weights_digest": self._weight_version,
            },
        )

    async def generate(self, requests: Sequence[Request]) -> AsyncIterator[Completion]:
        """Answer each request after its scripted latency, in order of completion."""
        began = time.monotonic()
        # A window of single requests needs no tasks, which were a third of this process' CPU.
        if len(requests) == 1 or self._instant(requests):
            for request in requests:
                yield await self._one(request, began)
            return
        tasks = [asyncio.create_task(self._one(request, began)) for request in requests]
        try:
            for done in asyncio.as_completed(tasks):
                yield await done
        finally:
            for task in tasks:
                task.cancel()

    async def load_weights(self, path: str, weight_version: str) -> None:
        """Pretend to take other weights.

        Raises:
            CheckpointError: The script says so.
        """
        options = self._options
        await asyncio.sleep(options.load_s / options.speed)
        if not options.can_load_weights or options.load_error is not None:
            raise CheckpointError(
                options.load_error or f"{path}: this model takes no other weights"
            )
        self._weights = f"{path} and {self._weights}" if options.stale else path
        self._weight_version = weight_version

    async def close(self) -> None:
        """Nothing to free."""
        self._slots = None

    def _instant(self, requests: Sequence[Request]) -> bool:
        hang = self._options.hang_ids
        return self._options.latency_s == 0 and not any(r.request_id in hang for r in requests)

    async def _one(self, request: Request, began: float) -> Completion:
        if self._slots is None:
            raise CheckpointError("the fake backend is not started; await start() first")
        options, name = self._options, request.request_id
        async with self._slots:
            if self._strikes("crash", options.crash_ids, name):
                os._exit(CRASH_CODE)
            if self._strikes("hang", options.hang_ids, name):
                await asyncio.Event().wait()
            await asyncio.sleep(self.latency(name))
            completion = self._completion(request, began)
        self.answered += 1
        if options.crash_after is not None and self.answered > options.crash_after:
            os._exit(CRASH_CODE)
        return completion

    def _completion(self, request: Request, began: float) -> Completion:
        options, name = self._options, request.request_id
        cause = None
        if self._strikes("oom", options.oom_ids, name):
            cause = "alone in its batch: OutOfMemoryError: out of memory (scripted)"
        elif self._strikes("fail", options.fail_ids, name):
            cause = "scripted failure"
        text = "" if cause else self._text(request)
        words = len(text.split())
        return Completion(
            request_id=name,
            text=text,
            finish_reason="error" if cause else "stop",
            tokens_in=None if cause else len(request.text.split()),
            tokens_out=None if cause else words,
            latency_s=time.monotonic() - began,
            confidence=None if cause else self._share(name, "confidence"),
            weight_version=self._weight_version,
            error=cause,
            cost_usd=options.price_usd if options.paid and not cause else None,
        )

    def _text(self, request: Request) -> str:
        options, name = self._options, request.request_id
        if name in options.texts:
            return str(options.texts[name])
        if options.answer == "echo":
            return request.text
        draw = self._random(name, "answer")
        if options.answer == "hash":
            return f"{draw.getrandbits(32):08x}"
        letters = _OPTION.findall(request.text)
        if letters:
            return str(draw.choice(letters))
        if "yes or no" in request.text.lower():
            return draw.choice(["yes", "no"])
        return str(draw.randrange(10))

    def latency(self, name: str) -> float:
        """Seconds that the answer to a request takes in this process."""
        options = self._options
        seconds = options.latency_s / options.speed * self._slowness
        if options.latency_sigma and seconds:
            seconds *= math.exp(options.latency_sigma * self._random(name, "latency").gauss(0, 1))
        return seconds

    def _random(self, name: str, purpose: str) -> random.Random:
        return random.Random(self._digest(name, purpose))

    def _share(self, name: str, purpose: str) -> float:
        """From 0 to 1, without a generator, whose seeding takes longer than all else here."""
        return int.from_bytes(self._digest(name, purpose)[:6], "big") / 2**48

    def _digest(self, name: str, purpose: str) -> bytes:
        facts = f"{self._options.seed}\0{self._weights}\0{purpose}\0{name}"
        # Lone surrogates may be in an id; they are not to crash the fake.
        return hashlib.sha256(facts.encode("utf-8", "surrogatepass")).digest()

    def _strikes(self, kind: str, ids: frozenset[str], name: str) -> bool:
        """Whether a scripted failure happens now; counted over all processes."""
        if name not in ids:
            return False
        options = self._options
        return options.times is None or self._counted(kind, name, options.times)

    def _counted(self, kind: str, name: str, times: int) -> bool:
        """Whether this is one of the first times that something happens in any process."""
        folder = Path(str(self._options.state_dir))
        folder.mkdir(parents=True, exist_ok=True)
        mark = hashlib.sha256(f"{kind}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        for number in range(times):
            try:
                (folder / f"{mark}.{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return True
        return False
