"""One backend over all providers: `ApiBackend`.

An answer is yielded only once `ports.Memory.keep` has made it durable. So what can be paid for
twice after ``kill -9`` is what is in flight between the call and that: `BackendInfo.parallel`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from lens_ray.errors import CheckpointError, UserError
from lens_ray.models.api.access import Access, api_options, host_of, read_access
from lens_ray.models.api.adapter import Adapter, Answer, ApiFailure, Kind, Question
from lens_ray.models.api.batch_calls import BatchPace
from lens_ray.models.api.batching import CALL, CALLS, Batching
from lens_ray.models.api.calls import one_line
from lens_ray.models.api.craft import Craft, hash_of
from lens_ray.models.api.images import limits_for, policy
from lens_ray.models.api.options import SCRIPTED, ApiOptions, OpenAIOptions
from lens_ray.models.api.outage import Outage
from lens_ray.models.api.ports import Alone, Permit, Ports
from lens_ray.models.api.pricing import price_of
from lens_ray.models.api.providers import absent_of, make_adapter
from lens_ray.models.identity import identify
from lens_ray.models.protocol import BackendInfo, Completion, Request
from lens_ray.models.spec import ModelSpec

#: Answers that are being made durable, beside the calls in flight: a part of them, and a few.
_KEPT_PART = 4
_KEPT = 4
#: Threads that encode images.
_ENCODERS = 2


class ApiBackend:
    """Asks a provider."""

    def __init__(self, spec: ModelSpec, weights: str) -> None:
        """Nothing is read yet.

        Args:
            spec: The model; its path is the provider's id.
            weights: The same path.
        """
        self._spec = spec
        self._options = api_options(spec)
        self._ports: Ports | None = None
        self._access: Access | None = None
        self._adapter: Adapter | None = None
        self._craft: Craft | None = None
        self._batching: Batching | None = None
        self._threads = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="encode")
        self._outage = Outage(
            f"{spec.backend} {spec.path} at {host_of(spec)}", self._options.patience_s
        )
        self._flying: dict[str, asyncio.Event] = {}

    def access(self) -> Access:
        """How the provider is reached, read once.

        Raises:
            ProviderUnavailable: There is no key.
        """
        if self._access is None:
            self._access = read_access(self._spec)
        return self._access

    def attach(self, ports: Ports) -> None:
        """Take the ports, before `start`; without any, nothing outlives this process."""
        self._ports = ports

    async def start(self) -> BackendInfo:
        """Read the key, and get ready to ask; nothing is asked yet.

        Raises:
            ProviderUnavailable: There is no key.
            UserError: The job asks for what the model does not take.
        """
        spec, options, access = self._spec, self._options, self.access()
        ports = self._ports = self._ports or alone(options).ports
        # Its SDK takes a second to import, in which this loop answers others.
        adapter = await asyncio.to_thread(self._make_adapter, access)
        self._adapter = adapter
        absent, price = absent_of(spec), price_of(spec)
        self._craft = Craft(
            spec.path, spec.backend, options, adapter, absent=absent, price=price,
            weight_version=identify(spec).weights_digest, threads=self._threads,
            variable=access.key.variable,
        )  # fmt: skip
        await self._craft.meet(ports.memory, ports.notes)
        calls = options.concurrency
        batch, parallel = 1, calls + calls // _KEPT_PART + _KEPT
        if options.mode == "batch":
            if not adapter.has_batches:
                raise UserError(
                    f"{spec.name}: no batches are made at {access.scope.host}; write mode: live"
                )
            pace = BatchPace(patience_s=options.patience_s)
            self._batching = Batching(adapter, ports, self._craft, pace)
            batch, parallel = CALL, CALLS
        return BackendInfo(
            name=spec.backend,
            version=adapter.version,
            batch=batch,
            parallel=parallel,
            paid=True,
            facts={
                "provider": spec.backend,
                "host": access.scope.host,
                "mode": options.mode,
                "absent": ", ".join(sorted(absent)),
                "images": policy(limits_for(spec.backend, options)),
                "price": price.basis if price is not None else "",
            },
        )

    async def room(self) -> None:
        """See `lens_ray.models.protocol.Gathers`."""
        if self._batching is not None:
            await self._batching.room()

    def generate(self, requests: Sequence[Request]) -> AsyncIterator[Completion]:
        """Ask, and yield each answer once it is kept.

        Raises:
            ProviderUnavailable: Nobody can be asked any more, or another model answers.
            BudgetReached: No money is left.
        """
        if self._batching is not None:
            return self._batching.generate(requests)
        return self._live(requests)

    async def _live(self, requests: Sequence[Request]) -> AsyncIterator[Completion]:
        if len(requests) == 1:
            yield await self._one(requests[0])
            return
        tasks = [asyncio.create_task(self._one(request)) for request in requests]
        try:
            for done in asyncio.as_completed(tasks):
                yield await done
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def load_weights(self, path: str, weight_version: str) -> None:
        """Refused: a provider's model has no other weights.

        Raises:
            CheckpointError: Always.
        """
        raise CheckpointError(f"{path}: a model behind a provider's interface takes no weights")

    async def close(self) -> None:
        """Close connections, and give back permits; batches go on at the provider."""
        try:
            if self._batching is not None:
                await self._batching.close()
            if self._adapter is not None:
                await self._adapter.close()
        finally:
            if self._ports is not None:
                await self._ports.permits.close()
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _make_adapter(self, access: Access) -> Adapter:
        options = self._options.model_copy(update={"base_url": base_url_of(self._options)})
        return make_adapter(self._spec.backend, self._spec.path, options, access.key)

    @property
    def _open(self) -> tuple[Craft, Ports, Adapter]:
        if self._craft is None or self._ports is None or self._adapter is None:
            raise CheckpointError("the backend is not started; await start() first")
        return self._craft, self._ports, self._adapter

    async def _one(self, request: Request) -> Completion:
        """The answer to one question, asked only where nobody is asking the same."""
        craft, ports, _ = self._open
        name = request.prompt_hash or hash_of(request)
        while (other := self._flying.get(name)) is not None:
            await other.wait()
        ended = self._flying[name] = asyncio.Event()
        try:
            known = await ports.memory.recall(request, craft.served)
            if known is not None:
                return craft.again(request, known)
            return await self._asked(request)
        finally:
            del self._flying[name]
            ended.set()

    async def _asked(self, request: Request) -> Completion:
        craft, ports, _ = self._open
        try:
            question = await craft.question(request)
        except ApiFailure as failure:
            return await craft.completion(request, failure, 0.0)
        outcome, latency_s = await self._patiently(question)
        completion = await craft.completion(request, outcome, latency_s)
        if completion.error is None:
            await ports.memory.keep(request, completion)
        return completion

    async def _patiently(self, question: Question) -> tuple[Answer | ApiFailure, float]:
        """Ask, and again where the provider is overloaded or away: no fault of the question's."""
        craft, ports, _ = self._open
        load = craft.load(question)
        refused: float | None = None
        while True:
            async with self._outage.turn():
                permit = await ports.permits.acquire(load)
                began = time.monotonic()
                outcome = await self._permitted(question, permit)
                away = self._outage.note(outcome)
            if away:
                continue
            now = time.monotonic()
            if not (isinstance(outcome, ApiFailure) and outcome.kind is Kind.RATE_LIMIT):
                return outcome, now - began
            refused = began if refused is None else refused
            # Not for hours with a question that is given up then.
            if now - refused + (outcome.retry_after_s or 0.0) >= self._options.patience_s:
                return outcome, now - began

    async def _permitted(self, question: Question, permit: Permit) -> Answer | ApiFailure:
        """One call; its permit is settled whatever happens."""
        craft, ports, _ = self._open
        outcome: Answer | ApiFailure = ApiFailure(Kind.CONNECTION, "the call was given up")
        try:
            outcome = await self._call(question)
        finally:
            ports.permits.settle(permit, craft.settled(outcome, permit.load.images))
        return outcome

    async def _call(self, question: Question) -> Answer | ApiFailure:
        adapter = self._open[2]
        limit = self._options.timeout_s
        try:
            async with asyncio.timeout(limit):
                return await adapter.ask(question)
        except ApiFailure as failure:
            return failure
        except TimeoutError:
            return ApiFailure(Kind.TIMEOUT, f"no answer within {limit:g} s")
        except Exception as error:  # an SDK may fail in ways that its adapter does not know
            return ApiFailure(Kind.MALFORMED, one_line(f"{type(error).__name__}: {error}"))


def alone(options: ApiOptions) -> Alone:
    """Permits of one process; the questions of a batch are no calls, and none of them waits."""
    return Alone(options.concurrency if options.mode == "live" else sys.maxsize)


def base_url_of(options: ApiOptions) -> str | None:
    """Where the server is, as the SDK takes it; the scripted one is started in this process."""
    if options.base_url != SCRIPTED:
        return options.base_url
    # By name: that server knows suites, of which models know nothing.
    url: str = import_module("lens_ray.testing.provider").start_scripted(options)
    return f"{url}/v1" if isinstance(options, OpenAIOptions) else url
