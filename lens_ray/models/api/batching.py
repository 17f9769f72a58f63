"""Questions asked through a provider's batch interface, at its lower price: `Batching`.

Questions come by `Batching.generate` and are gathered until a batch is full or no more come. What
happens to a batch is noted before and after each step (`batch_notes`), so that whoever starts the
run again, at whatever moment this process died, waits for the same batch and pays nothing twice.

What remains: a provider that lists a new batch only ``grace_s`` after it took it, or that keeps no
tag and lists fewer batches than were made since, makes it be handed in again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from lens_ray.errors import BudgetReached
from lens_ray.models.api.adapter import (
    LASTING,
    Adapter,
    Answer,
    ApiFailure,
    Kind,
    Question,
)
from lens_ray.models.api.batch_calls import BatchCalls, BatchPace
from lens_ray.models.api.batch_notes import Batch, BatchNotes, bare, new_batch
from lens_ray.models.api.batch_parts import Followed, Gathered, Maker, halves, size, weight
from lens_ray.models.api.craft import hash_of
from lens_ray.models.api.ports import Permit, Ports, Settled
from lens_ray.models.protocol import Completion, Request

#: Questions of one `Batching.generate`, and such calls at once: what may be with the provider.
CALL = 64
CALLS = 512
#: Longest that a note that a batch has ended is waited for, at the end.
_END_S = 10.0
#: Answers that are made durable together.
_TOGETHER = 256


class Batching:
    """Asks a provider by batches.

    Attributes:
        held: Bytes of questions that are not handed in yet.
    """

    def __init__(
        self, adapter: Adapter, ports: Ports, craft: Maker, pace: BatchPace | None = None
    ) -> None:
        """Nothing is asked or read yet."""
        self._adapter = adapter
        self._ports = ports
        self._craft = craft
        self._pace = pace or BatchPace()
        self._notes = BatchNotes(ports.notes)
        self._calls = BatchCalls(adapter, self._notes.ids, self._pace)
        self._coming: dict[str, asyncio.Future[Completion]] = {}
        self._making = 0  # questions that were taken and are not found or gathered yet
        self._open: list[Gathered] = []
        self._open_bytes = 0
        self.held = 0
        self._freed = asyncio.Event()
        self._quiet: asyncio.TimerHandle | None = None
        self._handing_in = asyncio.Lock()
        self._ended = asyncio.Event()
        self._resuming: asyncio.Task[None] | None = None
        self._followed: list[Followed] = []
        #: The newest batch of a question, by its hash: only that one's failure is its own.
        self._last_asked: dict[str, str] = {}
        self._most = self._pace.most
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._error: BaseException | None = None

    async def room(self) -> None:
        """Wait until the images of more questions may be brought: memory is bounded."""
        while self.held >= 2 * self._pace.most_bytes and self._error is None:
            self._freed.clear()
            await self._freed.wait()

    def generate(self, requests: Sequence[Request]) -> AsyncIterator[Completion]:
        """Take questions, and yield each completion as it comes.

        The caller should keep no reference to the requests, which hold the images.
        """
        taken = [_hashed(request) for request in requests]
        self._making += len(taken)
        self.held += sum(map(weight, taken))
        return self._answers(taken)

    async def close(self) -> None:
        """Stop waiting; batches go on at the provider, and the next start takes them up."""
        if self._quiet is not None:
            self._quiet.cancel()
        tasks = [*self._tasks, *([self._resuming] if self._resuming else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._ending:
            await asyncio.wait(self._ending.values(), timeout=_END_S)
        for one in self._followed:
            for custom_id in one.left:  # what they will have cost is not known
                self._settle(one.permits.get(custom_id), Settled("failed"))

    async def _answers(self, taken: list[Request]) -> AsyncIterator[Completion]:
        waiting: dict[asyncio.Future[Completion], list[str]] = {}
        reached: BudgetReached | None = None
        try:
            await self._resumed()
            while taken:
                try:
                    found = await self._find_or_gather(taken[-1])
                except BudgetReached as error:
                    reached = error  # the others of this call may be with the provider
                    continue
                finally:
                    name = self._let_go(taken)
                if isinstance(found, Completion):
                    yield found
                else:
                    waiting.setdefault(found, []).append(name)
        finally:
            while taken:
                self._let_go(taken)
        while waiting:
            # `wait` leaves the futures alone where this call is cancelled: others wait, too.
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                names = waiting.pop(future)
                try:
                    completion = future.result()
                except BudgetReached as error:
                    reached = error
                    continue
                for name in names:
                    yield _for(completion, name)
        if reached is not None:
            raise reached

    def _let_go(self, taken: list[Request]) -> str:
        """The last of some requests is found or gathered: its images are not needed any more."""
        request = taken.pop()
        self._making -= 1
        self._free(weight(request))
        return request.request_id

    async def _find_or_gather(self, request: Request) -> Completion | asyncio.Future[Completion]:
        """The answer, if it is known or cannot be had; else where it will come."""
        if self._error is not None:
            raise self._error
        known = await self._ports.memory.recall(request, self._craft.served)
        if known is not None:
            return self._craft.again(request, known)
        if request.prompt_hash in self._coming:
            return self._coming[request.prompt_hash]
        try:
            question = await self._craft.question(request)
        except ApiFailure as failure:
            return await self._craft.completion(request, failure, 0.0)
        if request.prompt_hash in self._coming:  # of another call, while the images were encoded
            return self._coming[request.prompt_hash]
        return self._gather(bare(request), question)

    def _gather(self, request: Request, question: Question) -> asyncio.Future[Completion]:
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._coming[request.prompt_hash] = future
        one = Gathered(request, question, self._craft.load(question), size(question))
        if self._open and self._open_bytes + one.size > self._pace.most_bytes:
            self._flush()
        self._open.append(one)
        self._open_bytes += one.size
        self.held += one.size
        if len(self._open) >= self._most:
            self._flush()
        self._wait_for_more()
        return future

    def _wait_for_more(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(self._pace.quiet_s, self._no_more)

    def _no_more(self) -> None:
        if self._making:
            self._wait_for_more()
        else:
            self._flush()

    def _flush(self) -> None:
        """What was gathered becomes a batch."""
        gathered, self._open, self._open_bytes = self._open, [], 0
        if gathered:
            self._spawn(self._begin(gathered))

    async def _begin(self, gathered: list[Gathered]) -> None:
        """Hand in what there is money for, one batch after the other: each is in memory meanwhile.

        What is reserved is the most that a question can cost, so that the end of a batch frees
        money for others: what has its money is handed in before that is waited for.
        """
        async with self._handing_in:
            part: list[Gathered] = []
            for one in gathered:
                if len(part) >= self._most:
                    await self._hand_in_by_parts(part)
                    part = []
                acquiring = asyncio.create_task(self._ports.permits.acquire(one.load))
                try:
                    await asyncio.wait([acquiring], timeout=self._pace.quiet_s if part else None)
                    if not acquiring.done():
                        await self._hand_in_by_parts(part)
                        part = []
                    part.append(replace(one, permit=await acquiring))
                except BudgetReached as reached:
                    self._free(one.size)
                    self._resolve(one.request.prompt_hash, reached)
                finally:
                    acquiring.cancel()
            if part:
                await self._hand_in_by_parts(part)

    async def _hand_in_by_parts(self, part: list[Gathered]) -> None:
        """Hand in one batch; if it is refused, by halves: one question is to spoil no others."""
        parts = [part]
        while parts:
            parts += await self._hand_in(parts.pop())

    async def _hand_in(self, part: list[Gathered]) -> list[list[Gathered]]:
        """Hand in one batch, and follow it. Returns parts that are to be tried apart."""
        batch = new_batch([one.request for one in part])
        questions = [
            replace(one.question, custom_id=custom_id)
            for custom_id, one in zip(batch.asked, part, strict=True)
        ]
        await self._notes.intend(batch)
        try:
            state = await self._calls.submit(questions, batch)
        except ApiFailure as failure:
            await self._notes.end(batch, f"not handed in: {failure}")
            if failure.kind is Kind.REQUEST and len(part) > 1:
                return halves(part)
            for one in part:
                self._free(one.size)
                self._settle(one.permit, _unpaid(failure))
                await self._deliver(one.request, failure, 0.0)
            return []
        await self._notes.identify(batch, state.batch_id)
        for one in part:
            self._free(one.size)
        permits = {name: one.permit for name, one in zip(batch.asked, part, strict=True)}
        self._follow(replace(batch, batch_id=state.batch_id), permits)
        return []

    def _follow(self, batch: Batch, permits: Mapping[str, Permit | None] | None = None) -> None:
        for request in batch.asked.values():
            self._last_asked[request.prompt_hash] = batch.tag
        followed = Followed(batch, permits or {}, dict(batch.asked), permits is None)
        self._followed.append(followed)
        self._spawn(self._see_through(followed))

    async def _see_through(self, one: Followed) -> None:
        """Wait for a batch, and keep what it gave."""
        batch, why = one.batch, "answered"
        batch_id = str(batch.batch_id)
        missing = ApiFailure(Kind.EXPIRED, f"batch {batch_id} gave no answer")
        paid: float | None = 0.0  # what failed or expired is not billed
        try:
            refused = (await self._calls.until_over(batch_id)).failure
            if refused is None:
                await self._calls.insist(lambda: self._take_in(one))
        except ApiFailure as failure:
            refused, paid = failure, None
        if refused is not None:
            why, missing = f"lost: {refused}", _of_one(batch_id, refused)
            self._most = max(1, min(self._most, len(batch.asked) // 2))
        self._followed.remove(one)
        for custom_id in one.left:
            known = 0.0 if custom_id in one.failures else paid
            self._settle(one.permits.get(custom_id), Settled("failed", usd=known))
        full = [failure.kind for failure in one.failures.values()].count(Kind.RATE_LIMIT)
        if missing.kind is Kind.RATE_LIMIT or 2 * full > len(batch.asked):
            await self._give_way(len(batch.asked))
        await self._end(batch, why)
        for custom_id, request in one.left.items():
            if self._last_asked.get(request.prompt_hash) == batch.tag:
                outcome = one.failures.get(custom_id, missing)
                await self._deliver(request, outcome, time.time() - batch.made)
        self._ended.set()

    def _end(self, batch: Batch, why: str) -> asyncio.Future[None]:
        """Note that a batch has ended; that goes on where who waits for it is cancelled."""
        if batch.tag not in self._ending:
            self._ending[batch.tag] = asyncio.create_task(self._notes.end(batch, why))
        return asyncio.shield(self._ending[batch.tag])

    def _settle(self, permit: Permit | None, settled: Settled) -> None:
        if permit is not None:
            self._ports.permits.settle(permit, settled)

    async def _give_way(self, size: int) -> None:
        """The provider's queue has no room: smaller batches, once another one is over."""
        self._most = max(1, min(self._most, size // 2))
        if self._followed:
            self._ended.clear()
            await self._ended.wait()
        else:
            await asyncio.sleep(min(self._pace.longest_poll_s, self._pace.patience_s))

    async def _take_in(self, one: Followed) -> None:
        """Read the results from their beginning, and keep those that are not kept yet."""
        batch_id = str(one.batch.batch_id)
        came: dict[str, Answer | ApiFailure] = {}
        async for custom_id, outcome in self._adapter.results(batch_id):
            if custom_id not in one.left:
                continue
            # A question that was refused as such is answered by that.
            if isinstance(outcome, ApiFailure) and outcome.kind is not Kind.MODERATION:
                one.failures[custom_id] = outcome
                continue
            came[custom_id] = outcome
            if len(came) == _TOGETHER:
                await asyncio.gather(*(self._keep(one, *pair) for pair in came.items()))
                came = {}
        await asyncio.gather(*(self._keep(one, *pair) for pair in came.items()))

    async def _keep(self, one: Followed, custom_id: str, outcome: Answer | ApiFailure) -> None:
        """Make an answer durable, then give it to who waits."""
        memory, request = self._ports.memory, one.left[custom_id]
        completion = None
        if one.adopted:
            completion = await memory.recall(request, self._craft.served)
        if completion is not None:
            completion = self._craft.again(request, completion)
        else:
            waited = time.time() - one.batch.made
            completion = await self._craft.completion(request, outcome, waited)
            if completion.error is None:
                await memory.keep(request, completion)
        del one.left[custom_id]
        self._settle(one.permits.get(custom_id), Settled("answered", usd=completion.cost_usd))
        if not one.left:  # begun before the last answer is given, which may end this process
            self._end(one.batch, "answered")
        self._resolve(request.prompt_hash, completion)

    async def _deliver(self, request: Request, failure: ApiFailure, latency_s: float) -> None:
        completion = await self._craft.completion(request, failure, latency_s)
        self._resolve(request.prompt_hash, completion)

    def _resolve(self, prompt_hash: str, outcome: Completion | BaseException) -> None:
        self._last_asked.pop(prompt_hash, None)
        future = self._coming.pop(prompt_hash, None)
        if future is None:
            return
        if isinstance(outcome, Completion):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)
            future.exception()  # nobody may be waiting for it

    async def _resumed(self) -> None:
        if self._resuming is None:
            self._resuming = asyncio.create_task(self._resume())
        await asyncio.shield(self._resuming)

    async def _resume(self) -> None:
        """Take up the batches of earlier starts, before anything is asked."""
        loop = asyncio.get_running_loop()
        for batch in await self._notes.unfinished():
            batch_id = batch.batch_id
            if batch_id is None:
                state = await self._calls.look_for(batch)
                if state is None:
                    await self._notes.end(batch, "not handed in: the process died before")
                    continue
                batch_id = state.batch_id
                await self._notes.identify(batch, batch_id)
            for request in batch.asked.values():
                self._coming.setdefault(request.prompt_hash, loop.create_future())
            self._follow(replace(batch, batch_id=batch_id))

    def _free(self, size: int) -> None:
        self.held -= size
        self._freed.set()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._error = self._error or error
        self._freed.set()
        for prompt_hash in list(self._coming):
            self._resolve(prompt_hash, error)


def _hashed(request: Request) -> Request:
    return request if request.prompt_hash else replace(request, prompt_hash=hash_of(request))


def _of_one(batch_id: str, failure: ApiFailure) -> ApiFailure:
    """What the failure of a whole batch is for one question: never its own fault."""
    if failure.kind in LASTING | {Kind.EXPIRED}:
        return ApiFailure(Kind.EXPIRED, f"batch {batch_id} is lost: {failure.line}")
    return failure


def _for(completion: Completion, request_id: str) -> Completion:
    """An answer for another sample that asks the same, which costs nothing more."""
    if completion.request_id == request_id:
        return completion
    free = 0.0 if completion.error is None else None
    return replace(completion, request_id=request_id, cost_usd=free)


def _unpaid(failure: ApiFailure) -> Settled:
    if failure.kind in (Kind.KEY, Kind.CREDIT):
        return Settled("dead", usd=0.0, line=failure.line)
    how: Literal["throttled", "failed"] = (
        "throttled" if failure.kind is Kind.RATE_LIMIT else "failed"
    )
    return Settled(how, usd=0.0, retry_after_s=failure.retry_after_s, limits=failure.limits)
