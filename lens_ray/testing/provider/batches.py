"""Batches of a scripted provider, whichever dialect they came in: `BatchRoom`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from lens_ray.testing.provider.script import BatchScript
from lens_ray.testing.provider.service import Service, scripted
from lens_ray.testing.provider.wire import Asked, Dialect, Json, Trouble

Fate = Literal["succeeded", "errored", "expired", "canceled"]
#: Questions between two looks at other work.
_STRIDE = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """A question of a batch.

    Attributes:
        custom_id: Its name.
        asked: The question, or why it is none.
    """

    custom_id: str
    asked: Asked | Trouble


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a question.

    Attributes:
        custom_id: Its name.
        fate: How it ended.
        body: The answer, where it succeeded.
        trouble: The error, where it errored.
    """

    custom_id: str
    fate: Fate
    body: Json | None = None
    trouble: Trouble | None = None


@dataclass(slots=True)
class Batch:
    """A batch.

    Attributes:
        number: From 1.
        key: Whose it is.
        dialect: Of its questions.
        entries: Its questions; empty once it has ended.
        total: How many they are.
        created: Seconds since 1970.
        facts: What the dialect keeps with it.
        cancelled: When its end was asked for.
        ended: When it ended.
        state: How.
        results: What became of its questions, in no order.
    """

    number: int
    key: str
    dialect: Dialect
    entries: Sequence[Entry]
    total: int
    created: float
    facts: dict[str, str]
    cancelled: float | None = None
    ended: float | None = None
    state: Literal["running", "completed", "expired", "cancelled", "failed"] = "running"
    results: list[Result] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, fate: Fate) -> int:
        """Questions that ended so."""
        return sum(one.fate == fate for one in self.results)


class BatchRoom:
    """Holds batches and works on them."""

    def __init__(self, service: Service) -> None:
        """Begin with none."""
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()
        self.batches: list[Batch] = []
        self.submits_lost = 0
        self.results_cut = 0
        self.calls_refused = 0

    @property
    def script(self) -> BatchScript:
        """How batches go."""
        return self._service.script.batches

    def hand_in(
        self, dialect: Dialect, key: str, entries: Sequence[Entry], facts: dict[str, str]
    ) -> Batch:
        """Take a batch and begin to work on it."""
        batch = Batch(
            len(self.batches) + 1, key, dialect, entries, len(entries), time.time(), facts
        )
        self.batches.append(batch)
        with self._service.lock:
            self._service.counts.batches += 1
        task = asyncio.get_running_loop().create_task(self._work(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return batch

    def loses_submit(self) -> bool:
        """Whether the answer to this hand-in is lost."""
        self.submits_lost += 1
        return self.submits_lost <= self.script.lose_submits

    def cuts_results(self) -> bool:
        """Whether this download is cut."""
        self.results_cut += 1
        return self.results_cut <= self.script.cut_results

    def check_busy(self) -> None:
        """Refuse the first calls, where the script says so; raises `Trouble`."""
        if self.calls_refused < self.script.busy_calls:
            self.calls_refused += 1
            raise Trouble("rate_limit", "Too many calls of the batch endpoints (scripted)", 0.05)

    def of(self, key: str, dialect_provider: str) -> list[Batch]:
        """The batches of a key, the newest first."""
        return [
            one
            for one in reversed(self.batches)
            if one.key == key and one.dialect.provider == dialect_provider
        ]

    def cancel(self, batch: Batch) -> None:
        """Ask for its end."""
        if batch.ended is None and batch.cancelled is None:
            batch.cancelled = time.time()
            batch.stop.set()

    def fail(self, batch: Batch) -> None:
        """End it before any of its questions was looked at."""
        batch.state, batch.ended, batch.entries = "failed", time.time(), ()

    async def _work(self, batch: Batch) -> None:
        script = self.script
        if script.ends == "failed":
            self.fail(batch)
        if batch.ended is not None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(batch.stop.wait(), script.takes_s)
        whole = script.ends == "completed" and batch.cancelled is None
        reached = batch.total if whole else int(batch.total * script.answered)
        late: Fate = "expired" if batch.cancelled is None else "canceled"
        results: list[Result] = []
        for place, entry in enumerate(batch.entries):
            if place % _STRIDE == _STRIDE - 1:
                await asyncio.sleep(0)
            if place < reached:
                results.append(self._result(batch.dialect, entry))
            else:
                results.append(Result(entry.custom_id, late))
        # As documented, results come in no order.
        draw = self._service.script.draw
        results.sort(key=lambda one: draw("order", one.custom_id))
        batch.results, batch.entries = results, ()
        batch.ended = time.time()
        if batch.cancelled is not None:
            batch.state = "cancelled"
        else:
            batch.state = "completed" if script.ends == "completed" else "expired"

    def _result(self, dialect: Dialect, entry: Entry) -> Result:
        service, asked = self._service, entry.asked
        try:
            if isinstance(asked, Trouble):
                raise asked
            service.examine(dialect, asked)
            number = max(1, service.counts.calls)
            fault = service.fault_of(dialect, asked, number, service.tried(asked))
            if fault is not None:
                service.counts.faults[fault.kind] += 1
                if fault.kind == "expired":
                    return Result(entry.custom_id, "expired")
                if not (
                    fault.kind in ("empty", "length", "refusal", "content_filter", "drip")
                    or (fault.kind == "moderation" and dialect.blocks)
                ):
                    raise scripted(fault)
            reply = service.reply(dialect, asked, number, fault, batch=True)
            service.bill(asked, reply)
            return Result(entry.custom_id, "succeeded", dialect.write(asked, reply))
        except Trouble as trouble:
            return Result(entry.custom_id, "errored", trouble=trouble)
