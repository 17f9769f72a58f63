"""A provider that is away: `Outage`, which holds calls back until it answers again.

Without it, each question would use up its attempts in the seconds that connections need to fail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from lens_ray.errors import ProviderUnavailable
from lens_ray.models.api.adapter import Answer, ApiFailure, Kind
from lens_ray.models.api.advice import advice

#: So many calls in a row without an answer; were every second one to fail, once in 65,000.
IN_A_ROW = 16
_AWAY = frozenset({Kind.SERVER, Kind.CONNECTION, Kind.TIMEOUT, Kind.MALFORMED})
_FIRST_S = 1.0
_LONGEST_S = 30.0


class Outage:
    """Of one provider, as one process sees it.

    Attributes:
        since: When it was seen to be away; None where it answers.
    """

    def __init__(
        self,
        who: str,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
        first_s: float = _FIRST_S,
        longest_s: float = _LONGEST_S,
    ) -> None:
        """It answers, as far as is known.

        Args:
            who: Of the line that says that it is away.
            patience_s: How long it is waited for.
            clock: Seconds.
            first_s: Until it is tried for the first time; doubled each time.
            longest_s: Between two tries.
        """
        self.since: float | None = None
        self._who = who
        self._patience_s = patience_s
        self._clock = clock
        self._first_s = self._pause_s = first_s
        self._longest_s = longest_s
        self._failures = 0
        self._line = self._advice = ""
        self._trying = False
        self._news = asyncio.Event()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """For one call: at once where the provider answers, else one at a time after a pause.

        Raises:
            ProviderUnavailable: It was waited for long enough.
        """
        trying = False
        try:
            while self.since is not None:
                if self._clock() - self.since >= self._patience_s:
                    raise ProviderUnavailable(
                        f"{self._who}: {self._failures} calls in a row without an answer, and none "
                        f"for {self._clock() - self.since:.0f} s; the last: {self._line}"
                        f"; next: {self._advice}, and run the job again"
                    )
                if self._trying:
                    await self._news.wait()
                    continue
                self._trying = trying = True
                pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, self._longest_s)
                await asyncio.sleep(pause_s)
                break
            yield
        finally:
            if trying:
                self._trying = False
                self._ring()

    def note(self, outcome: Answer | ApiFailure) -> bool:
        """How a call ended; whether that was the outage and not the question."""
        if not isinstance(outcome, ApiFailure) or outcome.kind not in _AWAY:
            self.since, self._failures, self._pause_s = None, 0, self._first_s
            self._ring()
            return False
        self._failures += 1
        self._line = str(outcome)
        self._advice = advice(outcome.kind, "")
        if self.since is None and self._failures >= IN_A_ROW:
            self.since = self._clock()
        return self.since is not None

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
