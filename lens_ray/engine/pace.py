"""How many requests a second a provider bears, found out by its refusals: `Pace`. No clock, no Ray.

Additive increase, multiplicative decrease, after CUBIC (Ha, Rhee and Xu 2008): a refusal cuts the
rate once, and it comes back fast at first, slowly near the rate that was refused last, and then
beyond it. Unlike TCP it knows that rate well. A provider counts in buckets that fill steadily or in
minutes that begin at once; in both, one refusal comes when what was permitted is used up, and so
does the next. What was accepted between the two, over the seconds between them, is the limit
itself, whatever was asked meanwhile.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

#: Seconds until a rate is back where it was refused: at first, and where the limit is known well.
_HOLD_S, _LONG_HOLD_S = 5.0, 60.0
#: At most one refusal in so many calls, where the limit is known: of them the hold is made longer.
_CALLS = 200
_FIRST_CUT, _CUT, _SMALL_CUT = 0.5, 0.1, 0.03
#: From this hold on the limit is known well, and a small cut does.
_SURE_S = 20.0
_AGREE = 0.1
#: Fewer calls measure badly: the rate falls to no less than this share at once.
_FEW, _LEAST = 8, 0.3
#: A limit that was passed so many times over is none any more.
_FORGET = 8.0
#: So many cuts that together took this share of the rate, and refusals came as often as before.
_EVENTS, _FALL, _BETTER = 5, 0.7, 1.5
#: Refusals by chance may be so much more frequent before they are taken for a limit again.
_TIMES, _MORE, _MEMORY = 2.0, 0.02, 200.0


class Pace:
    """The rate that one provider bears.

    Attributes:
        ceiling: Requests a second that it was found to accept; None where it refused none.
        closed: Refusals in a row with nothing accepted between them.
        noise: Share of calls that it refuses at any rate; 0 where refusals follow the rate.
    """

    def __init__(self, ceiling: float | None = None) -> None:
        """Nothing was refused yet.

        Args:
            ceiling: From before a restart; it begins at half of it.
        """
        self.ceiling = ceiling
        self.closed = 0
        self.noise = 0.0
        self._cut, self._hold = _FIRST_CUT, _HOLD_S
        self._grown = 0.0
        self._count, self._seconds = 0.0, 0.0
        self._events: deque[tuple[float, float]] = deque(maxlen=_EVENTS)
        self._calls, self._refused = 0.0, 0.0

    @property
    def rate(self) -> float | None:
        """Requests a second now; None is as many as there are."""
        if self.ceiling is None:
            return None
        share = (self._grown - self._hold) / self._hold
        return self.ceiling * (1.0 + self._cut * share**3)

    def passed(self, seconds: float, waited: float) -> None:
        """Time passed in which somebody wanted to ask.

        Args:
            seconds: So much.
            waited: Of it, what was waited because the provider refused.
        """
        self._seconds += seconds
        self._grown += seconds - waited
        rate = self.rate
        if rate is not None and self.ceiling is not None and rate > _FORGET * self.ceiling:
            self._forget()

    def asked(self, count: float) -> None:
        """Calls were made; those that turn out to be refused are taken back by `refused`."""
        self._count += count
        self._calls += count
        if self._calls > _MEMORY:
            self._calls, self._refused = self._calls / 2, self._refused / 2

    def refused(self, count: int, *, cut: bool) -> None:
        """Calls were refused.

        Args:
            count: How many.
            cut: Whether this is a new event: one of them was made after the last one.
        """
        self._count -= count
        self._refused += count
        if not cut:
            return
        if self._count < 1:  # nothing was accepted since: the same event
            self.closed += 1
            return
        self.closed = 0
        if self.noise:
            if self._refused <= (_TIMES * self.noise + _MORE) * self._calls:
                self._begin()
                return
            self.noise = 0.0
        self._slow_down()

    def _slow_down(self) -> None:
        measured = self._count / max(self._seconds, 1e-3)
        rate = self.rate
        self._events.append((measured if rate is None else rate, self._count))
        if self._futile():
            self.noise = _EVENTS / sum(count for _, count in self._events)
            self._calls, self._refused = _MEMORY / 2, _MEMORY / 2 * self.noise
            self._forget()
            return
        if rate is None or self.ceiling is None:
            self._cut, self._hold = _FIRST_CUT, _HOLD_S
        else:
            if self._count < _FEW:
                measured = max(measured, _LEAST * rate)
            agrees = abs(measured - self.ceiling) <= _AGREE * self.ceiling
            longest = max(_LONG_HOLD_S, _CALLS / measured)
            self._hold = min(2 * self._hold, longest) if agrees else _HOLD_S
            self._cut = _CUT if self._hold < _SURE_S else _SMALL_CUT
        self.ceiling = measured
        self._begin()

    def _futile(self) -> bool:
        """Whether the rate fell and fell and refusals came no less often: they are by chance."""
        if len(self._events) < _EVENTS:
            return False
        counts = sorted(count for _, count in self._events)
        rates = [rate for rate, _ in self._events]
        falls = all(later < earlier for earlier, later in pairwise(rates))
        last = self._events[-1][1]
        return falls and rates[-1] < _FALL * rates[0] and last < _BETTER * counts[_EVENTS // 2]

    def _begin(self) -> None:
        self._grown = self._count = self._seconds = 0.0

    def _forget(self) -> None:
        self.ceiling = None
        self._events.clear()
        self._begin()
