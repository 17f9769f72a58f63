"""Keeps a backend busy: `Feeder`, a queue of questions and the calls that empty it.

As many calls are in flight as the backend wants, and the next questions are there before one of
them ends, so the backend never waits for the coordinator.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from itertools import islice

from lens_ray.engine.asking import Asking
from lens_ray.engine.messages import ROWS_BYTES, Row, row_bytes, within
from lens_ray.errors import BudgetReached, SuiteError
from lens_ray.models.protocol import Backend, BackendInfo, Completion, Gathers, Request
from lens_ray.scoring.mark import OVER_BUDGET
from lens_ray.scoring.plain import storable

#: Questions at hand last for so many seconds, where answers are that fast.
_AHEAD_S = 0.25
_MOST_AHEAD = 512
#: Questions made in one hop to the reader's thread, where a call carries fewer: while the model
#: computes, each change of threads waits for it. The next hop begins when half of them are asked,
#: so that no call waits for a hop.
_AT_ONCE = 32
#: How often `Feeder.drain` looks whether calls have ended that failed.
_LOOK_S = 0.1


class WrongWeights(Exception):
    """An answer was given by other weights than were to answer; the engine is not to be trusted."""


class Feeder:
    """Asks one model.

    Attributes:
        rows: Marked answers that nobody has taken yet.
        errors: Rows of error answers.
        since: When the oldest of them came; None where there are none.
        news: Set where the coordinator may be called, all are answered, or a call failed.
        info: What the backend says of itself.
    """

    def __init__(
        self,
        backend: Backend,
        info: BackendInfo,
        asking: Asking,
        replica: str,
        reader: Executor,
        enough: int = 1,
    ) -> None:
        """Start the calls; they wait for questions.

        Args:
            backend: Started, with the model's weights.
            info: What it says of itself.
            asking: The model's requests and rows.
            replica: Name of the replica, for the rows.
            reader: One thread, which reads the images.
            enough: Answers that are news.
        """
        self.rows: list[Row] = []
        self.errors: list[Row] = []
        self.since: float | None = None
        self.news = asyncio.Event()
        self.info = info
        self._backend = backend
        self._asking = asking
        self._replica = replica
        self._reader = reader
        self._enough = enough
        self._queue: deque[str] = deque()
        self._made: dict[str, asyncio.Future[dict[str, Request | SuiteError]]] = {}
        self._attempts: dict[str, int] = {}
        self._arrived = asyncio.Event()
        self._turn = asyncio.Lock()
        self._asked = 0
        self._busy = 0
        self._began: float | None = None
        self._answered = 0
        self._look_at_speed()
        self._calls = [asyncio.create_task(self._call()) for _ in range(info.parallel)]

    @property
    def held(self) -> tuple[str, ...]:
        """Samples that are being answered or queued, or whose row nobody has taken."""
        ready = [str(row["sample_id"]) for row in (*self.rows, *self.errors)]
        queued = set(self._queue)
        asked = [name for name in self._attempts if name not in queued]
        return (*asked, *ready, *self._queue)

    @property
    def queued(self) -> tuple[str, ...]:
        """Of `held`, what is not begun."""
        return tuple(self._queue)

    def keep_what_fits(self) -> tuple[str, ...]:
        """What of `held` a message can name; of the rest, what is not begun is forgotten."""
        held = self.held
        said = within(held)
        self.drop(held[len(said) :])
        return said

    @property
    def ready(self) -> int:
        """Rows that nobody has taken."""
        return len(self.rows) + len(self.errors)

    def _look_at_speed(self) -> None:
        """How many questions to have at hand beside those being answered."""
        batch = self.info.batch
        fast = 0.0
        if self._began is not None:
            fast = self._answered / max(0.1, time.monotonic() - self._began) * _AHEAD_S
        self._ahead = min(_MOST_AHEAD, batch * max(1, math.ceil(fast / batch)))

    @property
    def room(self) -> int:
        """How many more questions to fetch: the window of the engine, and the next at hand."""
        window = self.info.batch * self.info.parallel
        return max(0, window + self._ahead - self._asked - len(self._queue))

    @property
    def low(self) -> bool:
        """Whether half of the questions at hand are gone."""
        return 2 * self.room >= self._ahead

    @property
    def starving(self) -> bool:
        """Whether a call is waiting for questions."""
        return not self._queue and self._asked < self.info.batch * self.info.parallel

    def add(self, samples: Iterable[tuple[str, int]]) -> None:
        """Queue samples with their attempts."""
        self._began = self._began or time.monotonic()
        self._look_at_speed()
        for sample_id, attempt in samples:
            if sample_id not in self._attempts:
                self._attempts[sample_id] = attempt
                self._queue.append(sample_id)
        self._arrived.set()

    def drop(self, sample_ids: Iterable[str]) -> None:
        """Forget samples that are not begun."""
        dropped = set(sample_ids).intersection(self._queue)
        if dropped:
            self._queue = deque(name for name in self._queue if name not in dropped)
            for sample_id in dropped:
                del self._attempts[sample_id]
                self._made.pop(sample_id, None)

    def take(self) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
        """The oldest rows and errors that came, as many as a report holds; now the caller's."""
        counts, room = [], ROWS_BYTES
        for came in (self.rows, self.errors):
            count = 0
            for row in came:
                size = row_bytes(row)
                if size > room and room < ROWS_BYTES:  # one that is larger goes alone
                    break
                count, room = count + 1, room - size
            counts.append(count)
        rows, errors = self.rows[: counts[0]], self.errors[: counts[1]]
        del self.rows[: counts[0]], self.errors[: counts[1]]
        if not self.ready:
            self.since = None
        return tuple(rows), tuple(errors)

    def check(self) -> None:
        """Raise what ended a call: the engine is dead."""
        for call in self._calls:
            if call.done() and not call.cancelled() and (error := call.exception()) is not None:
                raise error

    async def until_idle(self) -> None:
        """Wait until nothing is queued or being answered."""
        while self._attempts:
            self.check()
            self.news.clear()
            await self.news.wait()

    async def drain(self, limit_s: float) -> None:
        """Begin nothing more, and wait for what is begun, as far as that ends by itself."""
        self.drop(self._queue)
        until = time.monotonic() + limit_s
        while self._busy and (left_s := until - time.monotonic()) > 0:
            self.news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), min(left_s, _LOOK_S))

    async def alone(self, sample_ids: Sequence[str]) -> Mapping[str, str]:
        """The stored form of the texts of some samples, asked one at a time."""
        texts = {}
        for request in await self._requests(sample_ids):
            async for completion in self._backend.generate([request]):
                self._check_version(completion)
                if completion.error is None:
                    texts[request.request_id] = storable(completion.text)
        return texts

    async def close(self) -> None:
        """Cancel the calls; what they were at is not answered."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _call(self) -> None:
        try:
            while True:
                sample_ids = await self._next()
                self._busy += 1
                try:
                    await self._ask(sample_ids)
                finally:
                    self._busy -= 1
        finally:
            self.news.set()

    async def _next(self) -> list[str]:
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        count = min(self.info.batch, len(self._queue))
        taken = [self._queue.popleft() for _ in range(count)]
        self._asked += count
        self._stir()
        return taken

    def _stir(self) -> None:
        if self.news.is_set():
            return
        if self.ready >= self._enough or not self._attempts or self.starving or self.low:
            self.news.set()

    async def _ask(self, sample_ids: list[str]) -> None:
        missing = set(sample_ids)
        try:
            async for completion in await self._generate(sample_ids):
                self._take(completion)
                missing.discard(completion.request_id)
        except BudgetReached as reached:
            for sample_id in sorted(missing.intersection(self._attempts)):
                self._leave(sample_id, str(reached))
        for sample_id in sorted(missing.intersection(self._attempts)):
            self._fail(sample_id, "the backend gave no answer")

    async def _generate(self, sample_ids: Sequence[str]) -> AsyncIterator[Completion]:
        if self.info.batch == 1 or not isinstance(self._backend, Gathers):
            return self._backend.generate(await self._requests(sample_ids))
        async with self._turn:  # one call after the other, so that each is counted
            await self._backend.room()
            return self._backend.generate(await self._requests(sample_ids))

    async def _requests(self, sample_ids: Sequence[str]) -> list[Request]:
        """The questions with their images; one whose image cannot be read fails by itself."""
        made = {}
        for sample_id in sample_ids:
            if sample_id not in self._made:
                self._begin_making(sample_ids)
            made[sample_id] = self._made.pop(sample_id)
        self._look_ahead()
        requests = []
        for sample_id, making in made.items():
            request = (await making)[sample_id]
            if isinstance(request, Request):
                requests.append(request)
            else:
                self._fail(sample_id, str(request))
        return requests

    def _look_ahead(self) -> None:
        """Have the next questions made, unless a call makes as many by itself."""
        if self._queue and self.info.batch < _AT_ONCE // 2:
            near = self._queue[min(len(self._queue), _AT_ONCE // 2) - 1]
            if near not in self._made:
                self._begin_making(())

    def _begin_making(self, sample_ids: Sequence[str]) -> None:
        """Have the reader make some questions, and the next ones of the queue with them."""
        more = islice(self._queue, max(0, _AT_ONCE - len(sample_ids)))
        names = [name for name in (*sample_ids, *more) if name not in self._made]
        loop = asyncio.get_running_loop()
        making = loop.run_in_executor(self._reader, self._make, names)
        self._made.update(dict.fromkeys(names, making))

    def _make(self, sample_ids: Sequence[str]) -> dict[str, Request | SuiteError]:
        made: dict[str, Request | SuiteError] = {}
        for sample_id in sample_ids:
            try:
                made[sample_id] = self._asking.request(sample_id)
            except SuiteError as error:
                made[sample_id] = error
        return made

    def _fail(self, sample_id: str, cause: str) -> None:
        self._take(Completion(sample_id, "", "error", error=cause))

    def _leave(self, sample_id: str, cause: str) -> None:
        """A sample is not asked, as there is no money for it."""
        attempt = self._attempts.pop(sample_id)
        self._bring(self._asking.unanswered(sample_id, cause, attempt=attempt, status=OVER_BUDGET))

    def _take(self, completion: Completion) -> None:
        self._check_version(completion)
        attempt = self._attempts.pop(completion.request_id)
        row = self._asking.row(
            completion, attempt=attempt, replica=self._replica, version=self.info.version
        )
        # What another try cannot mend is final, as an answer is.
        failed = (
            completion.error is not None or completion.finish_reason == "error"
        ) and not completion.lasting
        self._bring(row, failed=failed)

    def _bring(self, row: Row, *, failed: bool = False) -> None:
        (self.errors if failed else self.rows).append(row)
        self._asked -= 1
        self._answered += 1
        if self.since is None:
            self.since = time.monotonic()
            self.news.set()
        self._stir()

    def _check_version(self, completion: Completion) -> None:
        wanted = self._asking.model.identity.weights_digest
        if completion.error is None and completion.weight_version != wanted:
            raise WrongWeights(
                f"{completion.request_id} was answered by weights "
                f"{completion.weight_version[:12] or 'without a version'}, not {wanted[:12]}"
            )
