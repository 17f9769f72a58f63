"""The calls of a provider's batch interface, made until they are answered: `BatchCalls`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lens_ray.errors import ProviderUnavailable
from lens_ray.models.api.adapter import (
    ENDING,
    LASTING,
    Adapter,
    ApiFailure,
    BatchState,
    Kind,
    Question,
)
from lens_ray.models.api.batch_notes import Batch

_T = TypeVar("_T")

#: Clocks differ by less.
_SKEW_S = 300.0
#: Between the note that a batch is meant and its being there lies less.
_LATEST_S = 3600.0
#: After these a batch may have been handed in or not.
_UNSURE = frozenset({Kind.SERVER, Kind.TIMEOUT, Kind.CONNECTION, Kind.MALFORMED})


@dataclass(frozen=True, slots=True)
class BatchPace:
    """How large batches are, and how patient their owner is.

    OpenAI takes 50,000 questions and 200 MB, Anthropic 100,000 and 256 MB; the defaults are below
    both, as a batch is in memory while it is handed in.

    Attributes:
        most: Questions of a batch.
        most_bytes: Of a batch, as it is sent.
        quiet_s: A batch that is not full is handed in when nothing was added for so long.
        poll_s: Between two looks at a batch, at first.
        longest_poll_s: Between two looks, later.
        grace_s: A batch that the provider does not list so long after it was handed in was not.
        patience_s: How long a provider that is overloaded is asked again to take a batch.
    """

    most: int = 10_000
    most_bytes: int = 96 * 2**20
    quiet_s: float = 2.0
    poll_s: float = 1.0
    longest_poll_s: float = 60.0
    grace_s: float = 60.0
    patience_s: float = 900.0


class BatchCalls:
    """One provider's batches."""

    def __init__(
        self,
        adapter: Adapter,
        ours: Callable[[], Awaitable[frozenset[str]]],
        pace: BatchPace,
    ) -> None:
        """Nothing is asked yet.

        Args:
            adapter: Of the provider.
            ours: Ids of the batches that are known to be of this run.
            pace: How patient to be.
        """
        self._adapter = adapter
        self._ours = ours
        self._pace = pace

    async def submit(self, questions: Sequence[Question], batch: Batch) -> BatchState:
        """Until it is taken; after an error that leaves it open, it is looked for first."""
        patience = Patience(self._pace)
        while True:
            try:
                return await self._adapter.submit(questions, batch.tag)
            except ApiFailure as failure:
                if failure.kind in _UNSURE:
                    found = await self.look_for(batch)
                    if found is not None:
                        return found
                elif failure.kind is not Kind.RATE_LIMIT:
                    raise
                if not await patience.bears(failure):
                    raise

    async def look_for(self, batch: Batch) -> BatchState | None:
        """A batch that may have been handed in a moment ago; None where it was not."""
        known = await self._ours()
        looked: set[str] = set()
        until = min(time.time(), batch.made + _LATEST_S) + self._pace.grace_s
        while True:
            listed = sorted(await self.insist(self._adapter.batches), key=lambda one: one.created)
            for state in listed:
                if state.tag == batch.tag:
                    return state
            for state in listed:
                if state.batch_id in looked | known or not _may_be(state, batch):
                    continue
                looked.add(state.batch_id)
                if await self._is(state, batch):
                    return state
            left = until - time.time()
            if left <= 0:
                return None
            await asyncio.sleep(min(left, self._pace.poll_s))

    async def _is(self, state: BatchState, batch: Batch) -> bool:
        """Whether a batch without a tag is ours: its results, waited for, have our custom ids."""

        async def first() -> str:
            async for custom_id, _ in self._adapter.results(state.batch_id):
                return custom_id
            return ""

        try:
            await self.until_over(state.batch_id)
            return batch.owns(await self.insist(first))
        except ApiFailure:
            return False  # it is gone

    async def until_over(self, batch_id: str) -> BatchState:
        """Wait for a batch's end; raises as `insist`."""
        wait = self._pace.poll_s
        while True:
            state = await self.insist(lambda: self._adapter.batch(batch_id))
            if state.over:
                return state
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))
            wait = min(self._pace.longest_poll_s, wait * 1.5)

    async def insist(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Call until it is answered.

        Raises:
            ApiFailure: It is not there to be read.
            ProviderUnavailable: The provider stays away.
        """
        patience = Patience(self._pace)
        while True:
            try:
                return await call()
            except ApiFailure as failure:
                if failure.kind in LASTING | {Kind.EXPIRED}:
                    raise
                if failure.kind in ENDING or not await patience.bears(failure):
                    raise ProviderUnavailable(
                        f"{failure}; its batches are kept: run the job again to take them up"
                    ) from failure


class Patience:
    """Waits between two tries, longer each time, until it has waited too long."""

    def __init__(self, pace: BatchPace) -> None:
        self._wait = pace.poll_s
        self._longest = pace.longest_poll_s
        self._until = time.monotonic() + pace.patience_s

    async def bears(self, failure: ApiFailure) -> bool:
        """Wait as long as the provider asks, or longer than last time; False is the end."""
        wait = failure.retry_after_s
        if wait is None:
            wait = self._wait * random.uniform(0.8, 1.2)
            self._wait = min(self._longest, self._wait * 2)
        if time.monotonic() + wait > self._until:
            return False
        await asyncio.sleep(wait)
        return True


def _may_be(state: BatchState, batch: Batch) -> bool:
    """Whether a batch without a tag can be ours, by when it was made and by its size."""
    then = batch.made - _SKEW_S <= state.created <= batch.made + _LATEST_S + _SKEW_S
    return not state.tag and then and state.size in (None, len(batch.asked))
