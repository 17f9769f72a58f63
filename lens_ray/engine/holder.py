"""What one client was lent, and what it does with it: `Holder`. No clock, no Ray."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lens_ray.engine.lease import LONGEST_PAUSE_S, VALID_S, Amount, Ask, Known, Lease, Throttle
from lens_ray.models.api.adapter import Kind
from lens_ray.models.api.ports import Ceilings, Limits, Load, Permit, Scope, Settled

#: Calls that were to be made go out together where this process was late by at most so much.
_LATE_S = 0.25
#: Share of the stated distance between two calls: a lease is to be spent before the next one.
_CLOSER = 0.95
#: The limiter is asked no more often than this; where something was refused, four times as often.
_GAP_S = 0.1
#: Without a limiter this share of the pace is kept, in steps of so many seconds; and so long is
#: waited after a refusal.
_ALONE, _ALONE_S, _ALONE_WAIT_S = 0.5, 1.0, 2.0
#: Tokens for a large question are saved up over so many of these steps.
_ALONE_STEPS = 60
#: Requests are lent for so many seconds.
_SOON_S = 1.0
_NOTHING = Amount()
#: An end of the key, and not of the model alone, in the line that says so.
_OF_THE_KEY = re.compile(rf"(^|: )({Kind.KEY}|{Kind.CREDIT}): ")
#: Who counts all that an answer might have had against the limit, and not what it had.
_COUNTS_MOST = frozenset({"openai"})


@dataclass(frozen=True, slots=True)
class _Call:
    load: Load
    epoch: int
    level: int


@dataclass(slots=True)
class _News:
    """What the limiter has not heard."""

    spent: Amount = _NOTHING
    back: Amount = _NOTHING
    answered: int = 0
    level: int = 0
    throttles: list[Throttle] = field(default_factory=list)
    limits: Limits | None = None
    dead: str | None = None

    def after(self, older: _News) -> None:
        """Add what was said before and not heard."""
        self.spent += older.spent
        self.back += older.back
        self.answered += older.answered
        self.level = max(self.level, older.level)
        self.throttles = older.throttles + self.throttles
        self.limits = self.limits or older.limits
        self.dead = self.dead or older.dead


class Holder:
    """One client of a limiter.

    Attributes:
        dead: What the provider said when it ended; None while it answers.
    """

    def __init__(self, client: str, scope: Scope, ceilings: Ceilings) -> None:
        """It was lent nothing yet.

        Args:
            client: Its name; nobody else has it.
            scope: Whose limits it falls under.
            ceilings: The most that the user permits.
        """
        self.dead: str | None = None
        self._client, self._scope, self._ceilings = client, scope, ceilings
        self._calls: dict[int, _Call] = {}
        self._number = 0
        self._slots = 0
        most = (ceilings.requests, ceilings.tokens, ceilings.images)
        self._stock = _NOTHING
        self._pace = Amount(*(math.inf if one is None else one / 60.0 for one in most))
        self._next = self._pause = -math.inf
        self._stalled, self._urgent = False, True
        self._asked, self._renew = -math.inf, 0.0
        self._epoch = 0
        self._known: Known | None = None
        self._news, self._told = _News(), _News()

    @property
    def begun(self) -> bool:
        """Whether the limiter knows of it."""
        return self._asked > -math.inf

    @property
    def in_flight(self) -> int:
        """Calls that are permitted and not settled."""
        return len(self._calls)

    def take(self, load: Load, now: float) -> Permit | None:
        """Leave for one call, if there is one now."""
        if now < self.next_at(load):
            return None
        cost = Amount(1.0, load.tokens, load.images)
        self._stock -= cost
        self._news.spent += cost
        if self._pace.requests < math.inf:
            self._next = max(self._next, now - _LATE_S) + _CLOSER / self._pace.requests
        self._number += 1
        self._calls[self._number] = _Call(load, self._epoch, len(self._calls) + 1)
        return Permit(self._number, load)

    def next_at(self, load: Load) -> float:
        """When `take` may succeed, if nothing is heard before; infinite is not by itself."""
        if self._stalled or self.dead is not None or len(self._calls) >= self._slots:
            return math.inf
        stock = self._stock
        if stock.requests < 1 or stock.tokens < load.tokens or stock.images < load.images:
            return math.inf
        return max(self._pause, self._next)

    def settle(self, permit: Permit, settled: Settled, now: float) -> None:
        """A call has ended.

        Raises:
            KeyError: It was settled before.
        """
        call = self._calls.pop(permit.number)
        news = self._news
        asked = min(LONGEST_PAUSE_S, settled.retry_after_s or 0.0)
        if settled.limits != Limits():
            news.limits = settled.limits
        if settled.how == "answered":
            news.answered += 1
            news.level = max(news.level, call.level)
            if settled.tokens is not None and self._scope.provider not in _COUNTS_MOST:
                news.back += Amount(0.0, max(0.0, call.load.tokens - settled.tokens))
        elif settled.how == "throttled":
            news.back += Amount(0.0, call.load.tokens, call.load.images)
            news.throttles.append(Throttle(call.epoch, settled.retry_after_s, call.level))
            self._stock = self._stock.emptied()
            self._pause = max(self._pause, now + asked)
            self._stalled = self._urgent = True
        elif settled.how == "failed":
            self._pause = max(self._pause, now + asked)
        elif settled.how == "dead":
            self.dead = news.dead = settled.line or "the provider answers nobody with this key"
            self._urgent = True

    def unused(self, permit: Permit) -> None:
        """A permit that nobody waited for any more: the call was not made."""
        load = self._calls.pop(permit.number).load
        cost = Amount(1.0, load.tokens, load.images)
        self._stock += cost
        self._news.spent -= cost

    def ask_at(self, waiting: Sequence[Load]) -> float:
        """When the limiter is to be asked next."""
        if self._urgent:
            return self._asked + _GAP_S / 4
        if self.dead is not None:
            return math.inf
        if not waiting and not self._calls:
            return self._asked + VALID_S / 2
        return self._asked + max(_GAP_S, self._renew)

    def ask(self, waiting: Sequence[Load], now: float) -> Ask:
        """What to tell the limiter; `hear` or `unheard` follows before the next one."""
        news, self._news = self._news, _News()
        self._told, self._asked, self._urgent = news, now, False
        return Ask(
            client=self._client,
            model=self._scope.model,
            ceilings=self._ceilings,
            in_flight=len(self._calls),
            waiting=len(waiting),
            want=self._want(waiting),
            spent=news.spent,
            back=news.back,
            answered=news.answered,
            level=news.level,
            throttles=tuple(news.throttles),
            limits=news.limits,
            dead=news.dead,
            key_dead=news.dead is not None and _OF_THE_KEY.search(news.dead) is not None,
            known=self._known,
        )

    def _want(self, waiting: Sequence[Load]) -> Amount:
        """Of what is counted, what can be spent soon, and enough for the next call."""
        if not waiting:
            return _NOTHING
        next_one = Amount(1.0, waiting[0].tokens, waiting[0].images)
        return (next_one.at_least(self._soon(waiting)) - self._stock).whole()

    def _soon(self, waiting: Sequence[Load]) -> Amount:
        pace = self._pace.times(_SOON_S)
        # Of what is not counted so far: for those that wait, and for as many as are in flight.
        need = _sum(waiting).times(1 + len(self._calls) / len(waiting))
        return Amount(
            *(
                one if most == math.inf else most
                for one, most in zip(need.parts, pace.parts, strict=True)
            )
        )

    def hear(self, lease: Lease, now: float) -> None:
        """Take what the limiter lends."""
        self._told = _News()
        self._renew = lease.renew_s
        if lease.dead is not None:
            self.dead = self.dead or lease.dead
            return
        self._slots, self._pace, self._known = lease.slots, lease.pace, lease.known
        self._epoch = lease.epoch
        self._stock = self._stock.lent(lease.more)
        self._next = min(self._next, now + _CLOSER / self._pace.requests)
        if lease.pause_s:  # what was lent before the refusal is not to come all at once after it
            self._stock = self._stock.emptied()
            self._pause = max(self._pause, now + lease.pause_s)
        self._stalled = bool(self._news.throttles)

    def unheard(self, now: float) -> None:
        """The limiter is away: go on with what it said last, slowly."""
        self._news.after(self._told)
        self._told = _News()
        self._urgent, self._renew = False, _ALONE_S
        self._slots = max(1, self._slots)
        step = self._pace.times(_ALONE * _ALONE_S)
        most = replace(step.times(_ALONE_STEPS), requests=max(1.0, step.requests))
        self._stock = self._stock.lent(step).at_most(most)
        if self._stalled:
            self._pause = max(self._pause, now + _ALONE_WAIT_S)
            self._stalled = False

    def leave(self, now: float) -> Ask:
        """The last thing to tell."""
        return replace(self.ask((), now), leaving=True)


def _sum(loads: Sequence[Load]) -> Amount:
    return Amount(len(loads), sum(one.tokens for one in loads), sum(one.images for one in loads))
