"""The actor that hosts a model: `Replica`.

It pulls: every call brings rows and takes work. While the coordinator is away it works on, keeps
its rows, and introduces itself when the coordinator is back. Ray does not restart it
(``max_restarts=0``): the planner may want another model by then, and each death is counted.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lens_ray.engine.asking import Asking, Images
from lens_ray.engine.attach import PaidPorts, Permitting, open_ports, permits_alone
from lens_ray.engine.feeder import Feeder
from lens_ray.engine.flip import mark_of
from lens_ray.engine.messages import Directive, Hello, Report, Trouble
from lens_ray.engine.opening import find_weights, open_suite
from lens_ray.engine.plan import EnginePlan, ModelPlan
from lens_ray.engine.prefetch import Prefetch
from lens_ray.engine.wallet import Wallet, budgeted
from lens_ray.errors import (
    CheckpointError,
    ClusterError,
    LensError,
    ProviderUnavailable,
    StoreUnavailable,
)
from lens_ray.models import create_backend
from lens_ray.models.api.ports import Attached, Ports
from lens_ray.models.protocol import Backend, BackendInfo, Generation, Request
from lens_ray.node_cache import release_others
from lens_ray.suites.suite import Suite

#: Calls follow each other no faster, unless the engine has nothing to do.
_PAUSE_S = 0.02
#: A replica that wants dollars calls no more often.
_MONEY_S = 0.05
#: A replica that has nothing to say calls all the same, so that it hears what to drop.
_SILENCE_S = 2.0
#: Longest line about a model that cannot be hosted.
_LINE = 2000
#: How often it tries to reach a coordinator that is away.
_RETRY_S = 0.2
#: How long answers that are on their way are waited for, when their provider has failed.
_DRAIN_S = 30.0

Pull = Callable[[Report], Awaitable[Directive]]


class CoordinatorAway(Exception):
    """The coordinator did not answer; it may be starting again."""


@dataclass(slots=True)
class _Hosted:
    """What stays from one model to the next, and from one job to the next.

    Attributes:
        backend: Started.
        info: What it says of itself.
        suite: That it is asked.
        version: Digest of the weights in it.
    """

    backend: Backend
    info: BackendInfo
    suite: Suite
    version: str


class Replica:
    """Hosts one model after the other. A plain class; the driver makes it an actor."""

    def __init__(
        self,
        seat: int,
        model: int,
        plan: EnginePlan,
        pull: Pull,
        node: str = "",
        permits: Permitting = permits_alone,
    ) -> None:
        """Remember what to do; `run` does it.

        Args:
            seat: Number of this replica.
            model: Number of the first model to host.
            plan: The job.
            pull: Calls the coordinator; raises `CoordinatorAway`.
            node: Ray's id of the machine that it is on.
            permits: Gives a model that asks a provider its permits.
        """
        self._seat = seat
        self._plan = plan
        self._model = plan.models[model]
        self._pull = pull
        self._node = node
        self._permits = permits
        self._paid: PaidPorts | None = None
        self._hello: Hello | None = None
        self._images: Images | None = None
        self._prefetch = Prefetch()
        self._notes: list[str] = []
        self._wallet: Wallet | None = None
        self._feeder: Feeder | None = None
        self._hosted: _Hosted | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="images")

    def rebind(self, seat: int, model: int, plan: EnginePlan, pull: Pull) -> None:
        """Belong to another job from now on; `run` takes its first model by a swap.

        Args:
            seat: Number of this replica in that job.
            model: Number of the first model to host.
            plan: The job.
            pull: Calls its coordinator.
        """
        self._seat, self._plan, self._model, self._pull = seat, plan, plan.models[model], pull
        self._hello = None
        self._notes.clear()
        self._prefetch = Prefetch()

    @property
    def parked(self) -> bool:
        """Whether it has a model and no job."""
        return self._hosted is not None

    async def run(self) -> None:
        """Start the model, or take it over from an earlier job, and work until told to stop.

        Where the plan says ``keep``, the model stays after an end in order, or when this is
        cancelled in the middle of the work.

        Raises:
            Exception: The engine is dead, and this process should be.
        """
        hosted, self._hosted = self._hosted, None
        warm = hosted is not None
        hosted = hosted or await self._host()
        if hosted is None:
            return
        in_order = False
        try:
            if warm and not await self._take(hosted, warm=True):
                return
            while True:
                try:
                    number = await self._work(hosted.backend, hosted.info, hosted.suite)
                except asyncio.CancelledError:
                    in_order = True
                    raise
                in_order = number is None
                if number is None:
                    return
                self._model = self._plan.models[number]
                if not await self._take(hosted):
                    return
        finally:
            self._prefetch.close()
            keeps = self._plan.keep and hosted.info.can_load_weights and self._paid is None
            if in_order and keeps:
                self._hosted = hosted
            else:
                self._reader.shutdown(wait=False, cancel_futures=True)
                await self._close(hosted.backend)

    async def settle(self) -> None:
        """Wait until the model that was kept answers: nothing of the last job is in its way.

        Raises:
            Exception: The engine is dead.
        """
        assert self._hosted is not None
        async for _ in _canaries(self._hosted.backend):
            return

    async def _host(self) -> _Hosted | None:
        """Start the model; None where it cannot be, which the coordinator was told."""
        loop = asyncio.get_running_loop()
        backend: Backend | None = None
        try:
            # The suite first: while it or the checkpoint is copied, this loop answers Ray.
            opening = loop.run_in_executor(self._reader, self._open)
            weights = await asyncio.to_thread(find_weights, self._model)
            backend = create_backend(self._model.spec, weights)
            if isinstance(backend, Attached):
                self._paid = await open_ports(self._plan, self._model, backend, self._permits)
                backend.attach(self._limited(self._paid.ports))
            suite, info = await asyncio.gather(opening, backend.start())
            if self._wallet is not None:
                self._wallet.meet(info.batch * info.parallel)
        except LensError as error:
            await self._exchange(self._trouble(error))
            if self._paid is not None and backend is not None:
                await self._close(backend)  # permits and connections are not this process' alone
            return None
        hosted = _Hosted(backend, info, suite, self._model.identity.weights_digest)
        note = None
        try:
            if (
                info.can_load_weights
                and self._swaps_may_come()
                and not await _bears_a_swap(backend, self._model)
            ):
                note = "its own weights, loaded again, change its answers; cold starts from here on"
                hosted.info = replace(info, can_load_weights=False)
        except BaseException:  # whatever it is: nobody else ends the engine
            await self._close(backend)
            raise
        self._hello = Hello(self._model.number, hosted.info, first=True, note=note, node=self._node)
        return hosted

    async def _take(self, hosted: _Hosted, *, warm: bool = False) -> bool:
        """Take the weights of the model at hand by a swap; False where they were refused.

        Args:
            hosted: What is here.
            warm: Whether it is the first model of another job.
        """
        model, loop = self._model, asyncio.get_running_loop()
        try:
            weights = await asyncio.to_thread(find_weights, model)
            if hosted.version != model.identity.weights_digest:
                await hosted.backend.load_weights(weights, model.identity.weights_digest)
                hosted.version = model.identity.weights_digest
        except CheckpointError as error:
            await self._exchange(self._trouble(error, swap=True))
            return False
        if warm and hosted.suite.digest != self._plan.suite_digest:
            try:
                hosted.suite = await loop.run_in_executor(self._reader, self._open)
            except LensError as error:
                await self._exchange(self._trouble(error))
                return False
        release_others(Path(weights))
        self._hello = Hello(model.number, hosted.info, node=self._node, warm=warm)
        return True

    async def _close(self, backend: Backend) -> None:
        try:
            await backend.close()
        finally:
            if self._paid is not None:
                await self._paid.close()

    def _limited(self, ports: Ports) -> Ports:
        """Ports that ask for dollars first, where the job has a budget for the model."""
        budgets = self._plan.budgets
        if budgets is None or not budgets.limit(self._model.number):
            return ports
        mode = getattr(self._model.spec.parsed_options(), "mode", "live")
        self._wallet = Wallet(self._ring, batches=mode == "batch")
        return budgeted(ports, self._wallet)

    def _ring(self) -> None:
        if self._feeder is not None:
            self._feeder.news.set()

    def _swaps_may_come(self) -> bool:
        """Whether this job or a later one may have another model for this replica."""
        return (
            self._plan.keep
            or sum(model.family == self._model.family for model in self._plan.models) > 1
        )

    def _open(self) -> Suite:
        """The suite, its images being read while the model is loaded; in the reader's thread."""
        suite = open_suite(self._plan, self._notes)
        self._images = Images(suite)
        samples = suite.select(self._plan.abilities, self._plan.limit, self._plan.splits)
        needed = {image for sample in samples for image in sample.images}
        self._reader.submit(self._images.warm, needed)
        return suite

    async def _work(self, backend: Backend, info: BackendInfo, suite: Suite) -> int | None:
        """Answer for the model at hand; returns the next one's number, or None at the end."""
        assert self._images is not None
        asking = Asking(self._model, suite, self._images)
        enough = self._plan.settings.answers_at_once
        feeder = Feeder(backend, info, asking, f"replica-{self._seat}", self._reader, enough)
        self._feeder = feeder
        checked: Mapping[str, str] | None = None
        try:
            while True:
                room = feeder.room
                rows, errors = feeder.take()
                note = self._prefetch.note() or (self._notes.pop(0) if self._notes else None)
                report = Report(
                    self._seat, room, rows, errors, self._hello, checked=checked, note=note
                )
                directive = await self._exchange(report, feeder)
                if self._wallet is not None and directive.allowance is not None:
                    self._wallet.hear(directive.allowance)
                self._hello = checked = None
                if directive.stop:
                    return None
                if directive.load is not None:
                    return directive.load
                feeder.drop(directive.drop)
                if directive.prefetch is not None:
                    self._prefetch.begin(self._plan.models[directive.prefetch])
                if directive.leave:
                    feeder.drop(feeder.queued)
                if directive.introduce or directive.leave:
                    self._hello = self._who(feeder)
                elif directive.check:
                    texts = await feeder.alone(directive.check)
                    checked = {name: mark_of(text) for name, text in texts.items()}
                else:
                    if directive.alone:
                        await feeder.until_idle()
                    feeder.add(directive.samples)
                    await self._until_call(feeder, directive.wait_s)
        except (ProviderUnavailable, StoreUnavailable) as error:
            if self._paid is None:
                raise
            await self._end(feeder, error)
            return None
        finally:
            await feeder.close()

    async def _end(self, feeder: Feeder, error: LensError) -> None:
        """The provider answers nobody any more: bring what it did answer, and say so."""
        await feeder.drain(_DRAIN_S)
        while feeder.ready:
            rows, errors = feeder.take()
            await self._exchange(Report(self._seat, 0, rows, errors), feeder)
        await self._exchange(self._trouble(error, ends=True))

    async def _until_call(self, feeder: Feeder, wait_s: float) -> None:
        """Wait until there is something to bring or to fetch."""
        called = time.monotonic()
        settings = self._plan.settings
        while True:
            feeder.check()
            feeder.news.clear()
            now = time.monotonic()
            times = [called + _SILENCE_S]
            if feeder.since is not None:
                times.append(feeder.since + settings.keep_answers_s)
                if feeder.ready >= settings.answers_at_once:
                    times.append(called + _PAUSE_S)
            if self._wallet is not None and self._wallet.asks:
                times.append(called + _MONEY_S)
            if feeder.starving:
                times.append(called + wait_s)
            elif feeder.low:
                times.append(called + max(wait_s, _PAUSE_S))
            if min(times) <= now:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(feeder.news.wait(), min(times) - now)

    async def _exchange(self, report: Report, feeder: Feeder | None = None) -> Directive:
        """Call the coordinator until it answers; what was said before it was away may be lost.

        Raises:
            ClusterError: It stays away.
        """
        began = time.monotonic()
        while True:
            if self._wallet is not None:
                report = replace(report, money=self._wallet.money())
            try:
                return await self._pull(report)
            except CoordinatorAway as away:
                if time.monotonic() - began > self._plan.settings.outage_s:
                    raise ClusterError(f"the coordinator does not answer: {away}") from away
            await asyncio.sleep(_RETRY_S)
            if feeder is not None and report.hello is None:
                report = replace(report, hello=self._who(feeder))

    def _who(self, feeder: Feeder) -> Hello:
        held = feeder.keep_what_fits()
        return Hello(self._model.number, feeder.info, held, node=self._node)

    def _trouble(self, error: LensError, *, swap: bool = False, ends: bool = False) -> Report:
        line = " ".join(str(error).split())[:_LINE]
        ends = ends or isinstance(error, ProviderUnavailable)
        trouble = Trouble(self._model.number, line, error.exit_code, swap, ends)
        return Report(self._seat, trouble=trouble)


async def _bears_a_swap(backend: Backend, model: ModelPlan) -> bool:
    """The canary of design contract 6: to load its own weights again must change no answer."""
    before = [text async for text in _canaries(backend)]
    try:
        await backend.load_weights(find_weights(model), model.identity.weights_digest)
    except CheckpointError:
        return True  # the swap will be refused in the same words, and the log has them then
    return before == [text async for text in _canaries(backend)]


async def _canaries(backend: Backend) -> AsyncIterator[str]:
    """Answers about two pictures that are in no suite, so that none of its samples is at fault."""
    for number, text in enumerate(("what colour is this?", "how many things are there?")):
        request = Request(f"canary-{number}", text, (_picture(number),), Generation())
        async for completion in backend.generate([request]):
            yield completion.text


def _picture(number: int) -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    ramp = Image.linear_gradient("L") if number else Image.radial_gradient("L")
    Image.merge("RGB", (ramp, ramp.rotate(90), ramp.rotate(180))).resize((64, 64)).save(sink, "PNG")
    return sink.getvalue()
