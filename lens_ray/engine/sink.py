"""Rows on their way to the store: `Sink`.

Rows are gathered per run and appended by threads, one append of a run at a time. Nothing is ever
dropped: while too much is unwritten, `Sink.full` stops the leasing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from lens_ray.engine.messages import Row
from lens_ray.engine.settings import EngineSettings

_WRITERS = 4
#: How often `Sink.run` looks whether rows are due.
_TICK_S = 0.25


class RowLog(Protocol):
    """What the sink needs of `lens_ray.store.RunLog`."""

    def append(self, rows: list[Row]) -> int:
        """Write rows; they are durable when it returns."""
        ...


class Sink:
    """Gathers and writes the rows of several runs.

    Attributes:
        error: What made a write fail; nothing is written after it.
    """

    def __init__(
        self,
        logs: Mapping[str, RowLog],
        settings: EngineSettings,
        clock: Callable[[], float] = time.monotonic,
        wrote: Callable[[float], None] | None = None,
    ) -> None:
        """Nothing is gathered yet.

        Args:
            logs: Where the rows of each run go.
            settings: When rows are due.
            clock: Seconds.
            wrote: Told of each append how many seconds it took.
        """
        self.error: BaseException | None = None
        self._logs = logs
        self._settings = settings
        self._clock = clock
        self._wrote = wrote
        self._rows: dict[str, list[Row]] = {run_id: [] for run_id in logs}
        self._since: dict[str, float] = {}
        self._locks = {run_id: asyncio.Lock() for run_id in logs}
        self._threads = ThreadPoolExecutor(_WRITERS, thread_name_prefix="sink")
        self._unwritten = 0

    @property
    def unwritten(self) -> int:
        """Rows that are not in the store yet."""
        return self._unwritten

    @property
    def full(self) -> bool:
        """Whether no more work is to be handed out for now."""
        return self._unwritten >= self._settings.buffer_rows

    def add(self, run_id: str, row: Row) -> None:
        """Take a row; it is written by `run` or `flush`."""
        self._rows[run_id].append(row)
        self._since.setdefault(run_id, self._clock())
        self._unwritten += 1

    async def flush(self, run_id: str) -> None:
        """Write what is gathered of a run; it is durable when this returns."""
        async with self._locks[run_id]:
            rows = self._rows[run_id]
            if not rows:
                return
            self._rows[run_id] = []
            self._since.pop(run_id, None)
            loop = asyncio.get_running_loop()
            began = self._clock()
            await loop.run_in_executor(self._threads, self._logs[run_id].append, rows)
            if self._wrote is not None:
                self._wrote(self._clock() - began)
            self._unwritten -= len(rows)

    async def flush_all(self) -> None:
        """Write everything."""
        await asyncio.gather(*(self.flush(run_id) for run_id in self._rows))

    async def run(self) -> None:
        """Write what is due, until cancelled or a write fails."""
        writing: set[asyncio.Task[None]] = set()
        while True:
            for run_id in self._due():
                task = asyncio.create_task(self.flush(run_id))
                writing.add(task)
                task.add_done_callback(self._written)
                task.add_done_callback(writing.discard)
            await asyncio.sleep(_TICK_S)

    def _due(self) -> list[str]:
        if self.error is not None:
            return []
        now = self._clock()
        return [
            run_id
            for run_id, since in self._since.items()
            if not self._locks[run_id].locked()
            and (
                len(self._rows[run_id]) >= self._settings.flush_rows
                or now - since >= self._settings.flush_s
            )
        ]

    def _written(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.error = self.error or error
