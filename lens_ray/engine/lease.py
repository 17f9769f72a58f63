"""What a client and the limiter say to each other: `Ask` and `Lease`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lens_ray.models.api.ports import Ceilings, Limits

#: A client of which nothing is heard for so long has none of its permits any more.
VALID_S = 10.0
#: Longest that is waited because a provider asks for it, before it is asked again.
LONGEST_PAUSE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Amount:
    """Requests, tokens and images; infinite is not counted."""

    requests: float = 0.0
    tokens: float = 0.0
    images: float = 0.0

    @property
    def parts(self) -> tuple[float, float, float]:
        """All three."""
        return self.requests, self.tokens, self.images

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.requests + other.requests,
            self.tokens + other.tokens,
            self.images + other.images,
        )

    def __sub__(self, other: Amount) -> Amount:
        """What is left; nothing is the least, and what is not counted stays so."""
        return Amount(
            _less(self.requests, other.requests),
            _less(self.tokens, other.tokens),
            _less(self.images, other.images),
        )

    def times(self, factor: float) -> Amount:
        """So many times as much."""
        return Amount(self.requests * factor, self.tokens * factor, self.images * factor)

    def lent(self, more: Amount) -> Amount:
        """With more of it; what was not counted and is now begins with what is lent."""
        return Amount(
            _lent(self.requests, more.requests),
            _lent(self.tokens, more.tokens),
            _lent(self.images, more.images),
        )

    def emptied(self) -> Amount:
        """Nothing of what is counted."""
        return Amount(*(one if one == math.inf else 0.0 for one in self.parts))

    def lacks(self, more: Amount) -> bool:
        """Whether something of it was wanted and nothing given."""
        pairs = zip(self.parts, more.parts, strict=True)
        return any(want > 0 and not given for want, given in pairs)

    def at_least(self, other: Amount) -> Amount:
        """The larger of each."""
        return Amount(*map(max, self.parts, other.parts))

    def at_most(self, other: Amount) -> Amount:
        """The smaller of each."""
        return Amount(*map(min, self.parts, other.parts))

    def whole(self) -> Amount:
        """Rounded up: less than one is not lent."""
        return Amount(*map(math.ceil, self.parts))


def _less(amount: float, cost: float) -> float:
    return amount if amount == math.inf else max(0.0, amount - cost)


def _lent(stock: float, more: float) -> float:
    return more if math.inf in (stock, more) else stock + more


@dataclass(frozen=True, slots=True)
class Throttle:
    """A refusal (429, 529, overloaded).

    Attributes:
        epoch: `Lease.epoch` of the last lease before the call.
        retry_after_s: As the provider asks; None where it does not.
        level: Calls of that client in flight when it was made, itself included.
    """

    epoch: int
    retry_after_s: float | None
    level: int


@dataclass(frozen=True, slots=True)
class Known:
    """What was found out of a model's limits; a limiter that was restarted hears it from clients.

    Attributes:
        ceiling: Requests a second that it was found to accept.
        width: Calls in flight that it was found to bear.
        limits: What its headers say.
    """

    ceiling: float | None = None
    width: float = 0.0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a client says of itself.

    Attributes:
        client: Its name; nobody else has it.
        model: Whom it asks.
        ceilings: The most that its user permits.
        in_flight: Calls now.
        waiting: Calls that wait.
        want: What it could spend soon, beyond what it holds.
        spent: Since it said so last.
        back: Of it, what was spent on calls that took less than was thought.
        answered: Calls, since it said so last.
        level: Most calls in flight when one of them was made.
        throttles: Since it said so last.
        limits: From the newest headers.
        dead: What the provider said of a key or model that is none any more.
        key_dead: Whether that holds for every model.
        known: What it was told last.
        leaving: It ends; what it holds is free.
    """

    client: str
    model: str
    ceilings: Ceilings
    in_flight: int = 0
    waiting: int = 0
    want: Amount = Amount()
    spent: Amount = Amount()
    back: Amount = Amount()
    answered: int = 0
    level: int = 0
    throttles: tuple[Throttle, ...] = ()
    limits: Limits | None = None
    dead: str | None = None
    key_dead: bool = False
    known: Known | None = None
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """What a client is lent.

    Attributes:
        slots: Calls in flight at once, until it is told otherwise.
        more: To be spent, beyond what it holds; infinite where something is not counted.
        pace: Its share of what is permitted a second.
        epoch: Number of the last refusal that the limiter knows of.
        pause_s: Nothing is to be asked so long.
        renew_s: It asks again after so long, if it does not need more before.
        known: For a limiter that is restarted.
        dead: Nobody may ask any more; what the provider said.
    """

    slots: int
    more: Amount = Amount()
    pace: Amount = Amount(math.inf, math.inf, math.inf)
    epoch: int = 0
    pause_s: float = 0.0
    renew_s: float = 0.4
    known: Known = field(default_factory=Known)
    dead: str | None = None
