"""A run's memory of paid answers over the store: `StoreMemory`, `StoreNotes`; see `ports`.

Answers that come together are made durable together: while one entry of the journal is written,
the next ones gather, and entries follow each other no faster than `_BETWEEN_S`. In memory is only
which entry holds which prompt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from lens_ray.models.protocol import Completion, Request
from lens_ray.store import RunLog, Store
from lens_ray.store.paid import PaidAnswer, PaidLog
from lens_ray.store.schema import SUPERSEDABLE

#: Entries of one replica follow each other no faster: 20 objects a second.
_BETWEEN_S = 0.05
#: Characters of the answers of one entry, roughly; one that is longer goes alone.
_MOST = 4 * 2**20
#: Threads that read the journal.
_READERS = 8
_COLUMNS = (
    "prompt_hash", "status", "text", "finish_reason", "tokens_in", "tokens_out", "latency_s",
    "confidence", "weight_version",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Waiting:
    answer: PaidAnswer
    kept: asyncio.Future[None]


class StoreMemory:
    """The answers that a run, and others of the same model, have paid for.

    A replica's own: `lens_ray.models.api.ports.Memory`.
    """

    def __init__(self, store: Store, log: RunLog, model: str, *, elsewhere: bool = True) -> None:
        """Read which answers there are; blocks.

        Args:
            store: Where the runs are.
            log: This run.
            model: The model's id at the provider; an answer by a model of just this name needs no
                proof that the same one still answers.
            elsewhere: Whether answers of other runs of the same model count, too.

        Raises:
            StoreUnavailable: The store is out of reach or damaged.
        """
        self._paid: PaidLog = log.paid()
        self._run = log
        self._model = model
        done = log.refresh().done
        self._paid.advance(done.__contains__)
        self._where: dict[bytes, int] = {}
        self._served: str | None = None
        for number, answers in self._paid.read_new():
            for one in answers:
                self._where[_short(one.prompt_hash)] = number
                self._served = self._served or one.served
        self._done = done
        self._rows = _Rows(store, _runs_of(store, log, elsewhere=elsewhere))
        self._gathered: list[_Waiting] = []
        self._more = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        # Not those of the loop: a journal must not wait behind images.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="recall")

    async def recall(self, request: Request, served: str | None) -> Completion | None:
        """See `lens_ray.models.api.ports.Memory.recall`."""
        number = self._where.get(_short(request.prompt_hash))
        if number is not None:
            loop = asyncio.get_running_loop()
            answers = await loop.run_in_executor(self._readers, self._paid.entry, number)
            for one in answers:
                if one.prompt_hash != request.prompt_hash:
                    continue
                if one.served is None or served is None or one.served == served:
                    return _completion(one, request, self._done)
        return self._rows.find(request, served or self._model)

    async def served(self) -> str | None:
        """See `lens_ray.models.api.ports.Memory.served`."""
        if self._served is None and self._done:
            self._served = await asyncio.to_thread(_served_by, self._run)
        return self._served

    async def keep(self, request: Request, completion: Completion) -> None:
        """See `lens_ray.models.api.ports.Memory.keep`.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        answer = PaidAnswer(
            sample_id=request.request_id,
            prompt_hash=request.prompt_hash,
            text=completion.text,
            finish_reason=completion.finish_reason,
            tokens_in=completion.tokens_in,
            tokens_out=completion.tokens_out,
            latency_s=completion.latency_s,
            confidence=completion.confidence,
            served=completion.served,
            cost_usd=completion.cost_usd,
        )
        waiting = _Waiting(answer, asyncio.get_running_loop().create_future())
        self._gathered.append(waiting)
        self._more.set()
        await waiting.kept

    async def close(self) -> None:
        """Write what is gathered, and end."""
        if self._writing is not None:
            while self._gathered and not self._writing.done():
                await asyncio.sleep(_BETWEEN_S)
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=False)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._more.wait()
            began = loop.time()
            entry = self._next_entry()
            try:
                answers = [one.answer for one in entry]
                number = await loop.run_in_executor(self._writer, self._paid.append, answers)
            except Exception as error:  # told to each who waits for its answer to be kept
                for one in entry:
                    _tell(one.kept, error)
            else:
                for one in entry:
                    self._where[_short(one.answer.prompt_hash)] = number
                    _tell(one.kept)
            await asyncio.sleep(max(0.0, began + _BETWEEN_S - loop.time()))

    def _next_entry(self) -> list[_Waiting]:
        count = size = 0
        for one in self._gathered:
            size += len(one.answer.text)
            if count and size > _MOST:
                break
            count += 1
        entry = self._gathered[:count]
        del self._gathered[:count]
        if not self._gathered:
            self._more.clear()
        return entry


class StoreNotes:
    """A run's notes: `lens_ray.models.api.ports.Notes`."""

    def __init__(self, log: RunLog) -> None:
        """Nothing is read yet."""
        self._notes = log.notes()

    async def read(self) -> Mapping[str, Mapping[str, object]]:
        """See `lens_ray.models.api.ports.Notes.read`."""
        return await asyncio.to_thread(self._notes.read)

    async def write(self, name: str, note: Mapping[str, object]) -> bool:
        """See `lens_ray.models.api.ports.Notes.write`."""
        return await asyncio.to_thread(self._notes.write, name, note)


def _runs_of(store: Store, log: RunLog, *, elsewhere: bool) -> list[str]:
    """The runs whose rows may answer: this one, where it has any, and those of the same model."""
    mine = log.header
    runs = [mine.run_id] if log.state.rows else []
    if elsewhere:
        runs += [
            header.run_id
            for header in store.runs()
            if header.model_key == mine.model_key and header.run_id != mine.run_id
        ]
    return runs


class _Rows:
    """The rows of some runs, by prompt and by who answered."""

    def __init__(self, store: Store, runs: Sequence[str]) -> None:
        self._rows: pa.Table | None = None
        self._where: dict[tuple[bytes, str], int] = {}
        if not runs:
            return
        rows = store.rows(runs, _COLUMNS).combine_chunks()
        hashes, statuses = rows["prompt_hash"].to_pylist(), rows["status"].to_pylist()
        served = rows["weight_version"].to_pylist()
        for row, (name, status) in enumerate(zip(hashes, statuses, strict=True)):
            if name and served[row] and status not in SUPERSEDABLE:
                self._where[_short(name), served[row]] = row
        self._rows = rows

    def find(self, request: Request, served: str) -> Completion | None:
        row = self._where.get((_short(request.prompt_hash), served))
        if row is None or self._rows is None:
            return None
        found = self._rows.slice(row, 1).to_pylist()[0]
        if found["prompt_hash"] != request.prompt_hash:
            return None
        return Completion(
            request_id=request.request_id,
            text=found["text"] or "",
            finish_reason=found["finish_reason"] or "stop",
            tokens_in=found["tokens_in"],
            tokens_out=found["tokens_out"],
            latency_s=found["latency_s"] or 0.0,
            confidence=found["confidence"],
            cost_usd=0.0,
            served=served,
        )


def _completion(paid: PaidAnswer, request: Request, done: frozenset[str]) -> Completion:
    """What it cost is said by the row of the sample that it was paid for, and by no other."""
    own = paid.sample_id == request.request_id and paid.sample_id not in done
    return Completion(
        request_id=request.request_id,
        text=paid.text,
        finish_reason=paid.finish_reason,
        tokens_in=paid.tokens_in,
        tokens_out=paid.tokens_out,
        latency_s=paid.latency_s,
        confidence=paid.confidence,
        cost_usd=paid.cost_usd if own else 0.0,
        served=paid.served,
    )


def _served_by(log: RunLog) -> str | None:
    rows = log.rows(["status", "weight_version"])
    for status, served in zip(
        rows["status"].to_pylist(), rows["weight_version"].to_pylist(), strict=True
    ):
        # A refused question names no model, and its row only what was asked.
        if status not in SUPERSEDABLE and served not in (None, log.header.weights_digest):
            return str(served)
    return None


def _tell(kept: asyncio.Future[None], error: Exception | None = None) -> None:
    if kept.done():  # who waited was cancelled
        return
    if error is None:
        kept.set_result(None)
    else:
        kept.set_exception(error)


def _short(prompt_hash: str) -> bytes:
    return prompt_hash[:32].encode()  # half of it; the rest is compared where it is found
