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

#: Seconds until a rate is back where it was refused: at first, or so many calls where that is
#: longer, and where the limit is known well.
_HOLD_S, _HOLD_CALLS, _LONG_HOLD_S = 2.0, 5.0, 60.0
#: The same after a restart, when others may still be lent what the one before gave them.
_RESTART_S = 10.0
#: At most one refusal in so many calls, where the limit is known: of them the hold is made longer.
_CALLS = 200
_FIRST_CUT, _CUT, _SMALL_CUT = 0.5, 0.1, 0.03
#: From this hold on the limit is known well, and a small cut does.
_SURE_S = 20.0
_AGREE = 0.1
#: Fewer calls measure badly: the rate falls to no less than this share at once.
_FEW, _LEAST = 8, 0.3
#: Below this many a second, refusals are answered by waiting, and not by a lower rate.
_SLOWEST = 0.1
#: The limit lies between what was accepted and the rate that was refused: this far from the first,
#: and no farther than such a share of it.
_MISSED, _MOST_MISSED = 0.3, 0.2
#: A limit that was passed so many times over is none any more.
_FORGET = 8.0
#: Where so many of the latest measures contradicted the one before, refusals are by chance.
_EVENTS, _ODD, _FEWEST = 5, 3, 3
#: And where so many in a row measured badly: each has brought the rate below a third.
_FEWS = 6
#: That is no more believed after so many refusals in a row, and not again for so long: then twice.
_CLOSED, _WARY_S = 5, 120.0
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
        self._cut = _FIRST_CUT
        self._hold = _HOLD_S if ceiling is None else _RESTART_S
        self._grown = 0.0
        self._count, self._seconds = 0.0, 0.0
        self._measured: float | None = None
        self._fews = 0
        self._patience, self._wary = 0.0, _WARY_S
        self._odd: deque[bool] = deque(maxlen=_EVENTS)
        self._counts: deque[float] = deque(maxlen=_EVENTS)
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
        self._patience = max(0.0, self._patience - seconds)
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
            if self.closed >= _CLOSED:
                self._believe()
            return
        if self.noise and self._refused > (_TIMES * self.noise + _MORE) * self._calls:
            self._believe()
        if self.noise:
            self._begin()
        else:
            self._slow_down()
        self.closed = 0

    def _slow_down(self) -> None:
        rate, count = self.rate, self._count
        measured = count / max(self._seconds, 1e-3)
        if self._agrees(measured):
            self._hold = min(2 * self._hold, max(_LONG_HOLD_S, _CALLS / measured))
        else:
            self._hold = max(_HOLD_S, _HOLD_CALLS / measured)
        self._fews = self._fews + 1 if count < _FEW else 0
        if (sum(self._odd) >= _ODD or self._fews >= _FEWS) and not self._patience:
            self._doubt()
            return
        if rate is None:
            self._cut = _FIRST_CUT
        else:
            self._cut = _CUT if self._hold < _SURE_S else _SMALL_CUT
            if count < _FEW:
                measured = max(measured, _LEAST * rate, _SLOWEST)
            # What the provider could not save up while less was asked is missing in the measure.
            measured += _MISSED * min(max(0.0, rate - measured), _MOST_MISSED * measured)
        self.ceiling = measured
        self._counts.append(count)
        self._begin()

    def _agrees(self, measured: float) -> bool:
        """Whether the limit was measured as before."""
        if self._count < _FEWEST:
            return False
        last, self._measured = self._measured, measured
        if last is None or self.closed:  # how long it would have been closed is not known well
            return False
        agrees = abs(measured - last) <= _AGREE * last
        self._odd.append(not agrees)
        return agrees and self._count >= _FEW

    def _doubt(self) -> None:
        """Refusals are by chance, whatever the rate."""
        self.noise = min(1.0, len(self._counts) / max(1.0, sum(self._counts)))
        self._calls, self._refused = _MEMORY / 2, _MEMORY / 2 * self.noise
        self._forget()

    def _believe(self) -> None:
        """Refusals follow the rate, after all; that is not doubted again so soon."""
        if self.noise:
            self.noise, self._patience = 0.0, self._wary
            self._wary *= 2

    def _begin(self) -> None:
        self._grown = self._count = self._seconds = 0.0

    def _forget(self) -> None:
        self.ceiling = self._measured = None
        self._fews = 0
        self._odd.clear()
        self._begin()
