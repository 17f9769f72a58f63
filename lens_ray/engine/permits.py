"""Leave to ask a provider, shared by all who ask with one key: `Limiter`. No clock, no Ray.

Clients do not ask it for every call. Each says from time to time what it has done and what it has
to do (`Ask`), and is lent a part of what is permitted (`Lease`): so many calls in flight until
further notice, and so many requests, tokens and images to be spent at a stated pace. What a client
says of time is how long ago something was, so that no two clocks need agree.

Every model has its own limits (`Lane`), as providers have them; the key that opens all of them has
one end (`Breaker`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace

from lens_ray.engine.lease import LONGEST_PAUSE_S, VALID_S, Amount, Ask, Known, Lease, Throttle
from lens_ray.engine.pace import Pace
from lens_ray.models.api.ports import Ceilings, Limits

#: Of what is permitted a minute, so much is asked: a provider's minute begins when it likes.
_SHARE = 0.98
#: What was not spent is kept for so many seconds of it, and no longer.
_BURST_S = 1.0
#: A provider's own bucket is large where it was seen to hold so many times as much.
_LARGE = 5.0
#: Clients say what they do at least so often, where something is scarce, and where nothing is.
_SOON_S, _LATE_S = 0.4, 1.0
#: Calls in flight before the first answers show that more are welcome.
_FIRST_WIDTH = 16
#: A provider that refuses for the number at once does not ask for a longer wait.
_AT_ONCE_S = 5.0
#: Where too many at once were refused, one more is tried after so many seconds; twice as many
#: after each refusal.
_WIDEN_S, _LONG_WIDEN_S = 2.0, 60.0
#: Answers and calls cross each other: one part in so many of what is in flight is blurred.
_BLUR = 16
#: What was in flight without a refusal is remembered for so long, and at most twice as long.
_PROVEN_S = 30.0
#: Waits where a provider refuses and does not say for how long: doubled while nothing is accepted.
_BACKOFF_S, _LONG_BACKOFF_S = 0.25, 30.0
#: After them, one call shows whether the door is open, before all others go through it.
_CAREFUL_S, _CAREFUL_RATE = 0.5, 1e-3
#: What is left over where clients cannot all have one goes to others after so many seconds.
_TURN_S = 5.0


class Bucket:
    """What may be spent of one thing: it fills steadily, and holds what comes in a second."""

    def __init__(self) -> None:
        """Empty, and not counted."""
        self.rate = math.inf
        self._level = 0.0
        self._most_left = 0

    def fill(self, seconds: float, rate: float) -> None:
        """Time has passed; from now on so much a second comes in (infinite: not counted)."""
        if self.rate < math.inf:
            self._level += self.rate * seconds
        self.rate = rate
        self._level = min(self._level, self._capacity)

    @property
    def _capacity(self) -> float:
        return 1.0 + self.rate * _BURST_S if self.rate < math.inf else 0.0

    def take(self, want: float, share: float) -> float:
        """So much of it, whole ones only; infinite where it is not counted.

        Args:
            want: The most.
            share: Of what is there, unless that is less than one.
        """
        if self.rate == math.inf:
            return math.inf
        free = min(self._level, max(1.0, self._level * share))
        given = max(0.0, math.floor(min(want, free) + 1e-9))
        self._level -= given
        return given

    def back(self, amount: float) -> None:
        """What was taken and not spent."""
        if self.rate < math.inf and amount < math.inf:
            self._level = min(self._capacity, self._level + amount)

    def hold_one(self) -> None:
        """There is one, whatever was saved up."""
        self._level = 1.0

    def has_left(self, left: int | None) -> None:
        """What the provider had left when it was asked.

        Where it keeps much more than is kept here, little means that others spend it too. Where it
        keeps no more, little is as it should be.
        """
        if left is not None:
            self._most_left = max(self._most_left, left)
            if self._most_left > _LARGE * self._capacity:
                self._level = min(self._level, left)

    def wait(self) -> float:
        """Seconds until one is there."""
        if self.rate == math.inf or self._level >= 1:
            return 0.0
        return (1.0 - self._level) / self.rate


class Width:
    """How many calls at once a provider bears.

    Attributes:
        now: So many.
        grows: Whether it refused none so far: each answer lets one more in.
    """

    def __init__(self, first: float) -> None:
        """Begin narrow.

        Args:
            first: Calls at once.
        """
        self.now = first
        self.grows = True
        self._hold, self._held = _WIDEN_S, 0.0
        self._proven = [0, 0]
        self._proven_for = 0.0

    def passed(self, seconds: float) -> None:
        """Time passed."""
        self._held += seconds
        self._proven_for += seconds
        if self._proven_for > _PROVEN_S:
            self._proven, self._proven_for = [0, self._proven[0]], 0.0
        if not self.grows and self._held > self._hold:
            self.now, self._held = self.now + 1, 0.0

    def answered(self, count: int, level: int, most: int) -> None:
        """Calls were answered that were made with so many in flight, of `most` that are allowed."""
        self._proven[0] = max(self._proven[0], level)
        if self.grows:
            self.now = min(most, self.now + count)

    def refused(self, level: int) -> bool:
        """A call was refused; whether it is for being one too many at once."""
        self.grows = False
        proven = max(self._proven)
        if level <= proven - proven // _BLUR or level < 2:
            return False
        self.now, self._held = min(self.now, level - 1.0), 0.0
        self._hold = min(_LONG_WIDEN_S, 2 * self._hold)
        return True

    def forget(self, most: int) -> None:
        """It was not the number at once that was refused."""
        self.now, self.grows = float(most), True


@dataclass(slots=True)
class _Client:
    since: float
    seen: float
    ask: Ask
    slots: int = 0

    @property
    def holds(self) -> int:
        return max(self.slots, self.ask.in_flight)

    @property
    def wants(self) -> int:
        """Slots."""
        return self.ask.in_flight + self.ask.waiting

    @property
    def busy(self) -> bool:
        return self.wants > 0


class Lane:
    """The limits of one model."""

    def __init__(self, known: Known | None, now: float, seed: int) -> None:
        """Nothing is known of it, or what clients know of it from before a restart.

        Args:
            known: By a client.
            now: Seconds.
            seed: Of the jitter.
        """
        known = known or Known()
        self.pace = Pace(known.ceiling)
        self.width = Width(max(1.0, known.width / 2) if known.width else _FIRST_WIDTH)
        self.limits = known.limits
        self.clients: dict[str, _Client] = {}
        self._requests, self._tokens, self._images = Bucket(), Bucket(), Bucket()
        self._ceilings = Ceilings(1)
        self._now = now
        self._epoch = 0
        self._pause = self._careful = now
        self._random = random.Random(seed)

    @property
    def known(self) -> Known:
        """For a restart."""
        return Known(self.pace.ceiling, self.width.now, self.limits)

    def hear(self, ask: Ask, now: float) -> None:
        """Take note of what a client says."""
        self._advance(now)
        client = self.clients.setdefault(ask.client, _Client(now, now, ask))
        client.seen, client.ask = now, ask
        self.pace.asked(ask.spent.requests)
        if self._epoch == 0 or ask.throttles:
            # Once a provider refused, it may count all that an answer might have had.
            self._tokens.back(ask.back.tokens)
            self._images.back(ask.back.images)
        others = sum(c.ask.in_flight for c in self.clients.values() if c is not client)
        if ask.answered:
            self.width.answered(ask.answered, ask.level + others, self._ceilings.concurrency)
        if ask.throttles:
            self._throttled(ask.throttles, others)
        if ask.limits is not None:
            self._read(ask.limits)
        self._set_rates()

    def lend(self, name: str) -> Lease:
        """What a client that was just heard gets."""
        client = self.clients[name]
        pause = max(0.0, self._pause - self._now)
        client.slots = self._slots(client)
        count = sum(one.busy for one in self.clients.values())
        share = 1.0 / max(1, count)
        pace = Amount(*(b.rate * share for b in (self._requests, self._tokens, self._images)))
        more, want = Amount(), client.ask.want
        if not pause:
            more = Amount(
                self._requests.take(want.requests, share),
                self._tokens.take(want.tokens, share),
                self._images.take(want.images, share),
            )
        renew = self._renew_s(client, more, pause)
        return Lease(client.slots, more, pace, self._epoch, pause, renew, known=self.known)

    def _advance(self, now: float) -> None:
        before, self._now = self._now, max(now, self._now)
        seconds = self._now - before
        for name in [n for n, c in self.clients.items() if now - c.seen > VALID_S]:
            del self.clients[name]
        if any(client.busy for client in self.clients.values()):
            self.pace.passed(seconds, min(seconds, max(0.0, self._pause - before)))
            self.width.passed(seconds)
        for bucket in (self._requests, self._tokens, self._images):
            bucket.fill(seconds, bucket.rate)

    def _throttled(self, throttles: Iterable[Throttle], others: int) -> None:
        """One event cuts once, however many calls it cost; and all of them wait."""
        throttles = tuple(throttles)
        newer = [one for one in throttles if one.epoch >= self._epoch]
        asked = [one.retry_after_s for one in throttles if one.retry_after_s is not None]
        level = min((one.level for one in newer), default=0) + others
        soon = max(asked, default=0.0) <= _AT_ONCE_S
        wide = bool(newer) and soon and not self.pace.noise and self.width.refused(level)
        self.pace.refused(len(throttles), cut=bool(newer) and not wide)
        if self.pace.noise:
            self.width.forget(self._ceilings.concurrency)
        wait = 0.0
        if asked:
            wait = min(LONGEST_PAUSE_S, max(asked))
            wait += self._random.uniform(0.0, min(1.0, 0.1 * wait))
        elif newer and (self.pace.closed or not self.pace.noise):
            wait = min(_LONG_BACKOFF_S, _BACKOFF_S * 2.0 ** min(self.pace.closed, 16))
            wait *= self._random.uniform(0.5, 1.0)
        if newer:
            self._epoch += 1
            self._requests.hold_one()
        self._pause = max(self._pause, self._now + wait)
        if newer and not self.pace.noise:
            self._careful = self._pause + _CAREFUL_S

    def _read(self, limits: Limits) -> None:
        self.limits = Limits(
            requests=limits.requests or self.limits.requests,
            tokens=limits.tokens or self.limits.tokens,
        )
        self._requests.has_left(limits.requests_left)
        self._tokens.has_left(limits.tokens_left)

    def _set_rates(self) -> None:
        asked = [client.ask.ceilings for client in self.clients.values()]
        if asked:
            self._ceilings = Ceilings(
                min(one.concurrency for one in asked),
                _least(one.requests for one in asked),
                _least(one.tokens for one in asked),
                _least(one.images for one in asked),
            )
        most, limits = self._ceilings, self.limits
        requests = _per_second(_least((most.requests, limits.requests)))
        rate = self.pace.rate
        if self._now < self._careful:
            requests = _CAREFUL_RATE
        self._requests.fill(0.0, requests if rate is None else min(requests, rate))
        self._tokens.fill(0.0, _per_second(_least((most.tokens, limits.tokens))))
        self._images.fill(0.0, _per_second(most.images))

    def _slots(self, client: _Client) -> int:
        """A fair share of the calls in flight, as far as others have given theirs back."""
        width = int(min(self.width.now, self._ceilings.concurrency))
        names = sorted(name for name, one in self.clients.items() if one.busy or one is client)
        turn = int(self._now // _TURN_S) % len(names)
        names = names[turn:] + names[:turn]
        wants = [max(1, self.clients[name].wants) for name in names]
        if len(names) == 1:
            return width
        fair = dict(zip(names, _fair(width, wants), strict=True))[client.ask.client]
        taken = sum(one.holds for one in self.clients.values() if one is not client)
        return max(0, min(fair, width - taken))

    def _renew_s(self, client: _Client, more: Amount, pause: float) -> float:
        if pause:
            return min(pause, _LATE_S)
        if self._now < self._careful:
            return self._careful - self._now
        buckets = self._requests, self._tokens, self._images
        if client.ask.want.lacks(more):
            return min(max(bucket.wait() for bucket in buckets), _LATE_S)
        if client.ask.waiting and self.width.grows and self.width.now < self._ceilings.concurrency:
            return 0.0
        scarce = min(bucket.rate for bucket in buckets) < math.inf
        return _SOON_S if scarce or len(self.clients) > 1 else _LATE_S


class Breaker:
    """The end of a key, or of a model: nobody asks any more, until one who came later may try."""

    def __init__(self) -> None:
        """All is well."""
        self.line: str | None = None
        self._at = 0.0
        self._probe: str | None = None

    def trip(self, line: str, now: float) -> None:
        """The provider said that this is the end."""
        self.line, self._at, self._probe = line, now, None

    def mend(self) -> None:
        """The provider answers again."""
        self.line = self._probe = None

    def lets(self, client: _Client, alive: Set[str]) -> bool | None:
        """Whether a client may ask; None is: with one call, to see whether this has passed."""
        if self.line is None:
            return True
        if client.since <= self._at:
            return False
        if self._probe is None or self._probe not in alive:
            self._probe = client.ask.client
        return None if self._probe == client.ask.client else False

    def waits(self, client: _Client) -> bool:
        """Whether a client that may not ask is to wait for another's try."""
        return client.since > self._at


class Limiter:
    """Everything that is permitted with one key."""

    def __init__(self, seed: int = 0) -> None:
        """Nobody asks yet.

        Args:
            seed: Of the jitter.
        """
        self._seed = seed
        self._lanes: dict[str, Lane] = {}
        self._key = Breaker()
        self._models: dict[str, Breaker] = {}
        self._heard = -math.inf

    def idle_s(self, now: float) -> float:
        """How long nobody has asked."""
        return now - self._heard

    def tell(self, ask: Ask, now: float) -> Lease:
        """Hear a client, and lend it what it gets.

        Args:
            ask: What it says.
            now: Seconds of a clock that does not go back.
        """
        self._heard = now
        if ask.model not in self._lanes:
            self._lanes[ask.model] = Lane(ask.known, now, self._seed + len(self._lanes))
            self._models[ask.model] = Breaker()
        lane = self._lanes[ask.model]
        lane.hear(ask, now)
        client = lane.clients[ask.client]
        ends, alive = (self._key, self._models[ask.model]), self._alive(now)
        if ask.dead is not None:
            ends[0 if ask.key_dead else 1].trip(ask.dead, now)
        elif ask.answered or ask.throttles:
            for end in ends:
                if end.lets(client, alive) is None:
                    end.mend()
        if ask.leaving:
            del lane.clients[ask.client]
            return Lease(0)
        lets = [end.lets(client, alive) for end in ends]
        for end, may in zip(ends, lets, strict=True):
            if may is False:
                client.slots = 0
                waits = end.waits(client)
                return Lease(0, renew_s=_SOON_S, dead=None if waits else end.line)
        lease = lane.lend(ask.client)
        if None in lets:
            client.slots = min(1, lease.slots)
            return replace(lease, slots=client.slots, renew_s=_SOON_S)
        return lease

    def _alive(self, now: float) -> set[str]:
        """Of lanes that nobody asks in any more, too: those do not forget who is gone."""
        known = [one for lane in self._lanes.values() for one in lane.clients.items()]
        return {name for name, client in known if now - client.seen <= VALID_S}


def _least(values: Iterable[int | None]) -> int | None:
    return min((one for one in values if one), default=None)


def _per_second(a_minute: int | None) -> float:
    return math.inf if a_minute is None else _SHARE * a_minute / 60.0


def _fair(total: int, wants: list[int]) -> list[int]:
    """Whole shares of a total: none more than it wants, and none less than another by over one."""
    given = [0] * len(wants)
    left = total
    while left > 0 and (open_ := [i for i, want in enumerate(wants) if given[i] < want]):
        each = max(1, left // len(open_))
        for i in open_:
            part = min(each, wants[i] - given[i], left)
            given[i] += part
            left -= part
    return given
