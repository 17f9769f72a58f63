"""The replicas of a job, as the coordinator sees them: `Seating`, and how fast they are."""

from __future__ import annotations

from dataclasses import dataclass, field

from lens_ray.engine.messages import Wanted
from lens_ray.engine.planner import Costs, Need, Seat
from lens_ray.engine.rooms import Places
from lens_ray.models.protocol import BackendInfo


@dataclass(slots=True)
class Seated:
    """One replica.

    Attributes:
        number: Its own; never used again.
        model: Number of the model that it hosts or is loading.
        family: Of that model.
        need: What it occupies.
        since: When it was ordered, or was told to swap or to check itself.
        info: What its backend said; None until it did.
        loading: Whether it takes other weights.
        checking: Whether it is at a self-check.
        last_call: When it last called.
        marked: Since when its answers take their time; None where it has no work.
        looked: When its next model was last thought of.
        ahead: The model whose checkpoint it was told to bring to its node.
        steady: Whether answers came since it had no work: its window is full.
        places: Machine of each part, as it was planned; empty where that is not known.
        leaving: Whether it is to end with what it holds.
        hastened: Whether it was told to give back what it has not begun.
    """

    number: int
    model: int
    family: str
    need: Need
    since: float
    info: BackendInfo | None = None
    loading: bool = False
    checking: bool = False
    last_call: float = 0.0
    marked: float | None = None
    looked: float | None = None
    ahead: int | None = None
    steady: bool = False
    places: Places = ()
    leaving: bool = False
    hastened: bool = False

    @property
    def ready(self) -> bool:
        """Whether it can answer."""
        return self.info is not None and not self.loading

    @property
    def idle(self) -> bool:
        """Whether it could answer and has nothing to do."""
        return self.ready and not self.checking and self.marked is None


@dataclass(slots=True)
class Pace:
    """What starts, swaps and answers of one family take, as measured so far.

    Attributes:
        seconds: That replicas have spent on answers, with a full window.
        cost: Of those answers.
        first_seconds: The same of the first answers of each, while its window was filled.
        first_cost: Of those answers.
        start_s: The latest cold start.
        swap_s: The latest swap.
    """

    seconds: float = 0.0
    cost: float = 0.0
    first_seconds: float = 0.0
    first_cost: float = 0.0
    start_s: float | None = None
    swap_s: float | None = None

    @property
    def seconds_per_cost(self) -> float | None:
        """Of one replica; None before anything was answered."""
        if self.cost > 0 and self.seconds > 0:
            return self.seconds / self.cost
        # The first answers take a window's time each: too long, and better than nothing.
        if self.first_cost > 0 and self.first_seconds > 0:
            return self.first_seconds / self.first_cost
        return None

    def add(self, seconds: float, cost: float, *, steady: bool) -> None:
        """Count answers that a replica gave."""
        if steady:
            self.seconds += seconds
            self.cost += cost
        else:
            self.first_seconds += seconds
            self.first_cost += cost


@dataclass(slots=True)
class Seating:
    """All replicas that there shall be, by number.

    Attributes:
        seats: They.
        next_number: That no replica had yet.
        paces: By family.
    """

    seats: dict[int, Seated] = field(default_factory=dict)
    next_number: int = 0
    paces: dict[str, Pace] = field(default_factory=dict)

    def open(self, model: int, family: str, need: Need, now: float, places: Places = ()) -> Seated:
        """Order a further replica."""
        return self.adopt(self.next_number, model, family, need, now, places)

    def adopt(
        self,
        number: int,
        model: int,
        family: str,
        need: Need,
        now: float,
        places: Places = (),
    ) -> Seated:
        """Count a replica that is there."""
        seat = Seated(number, model, family, need, now, places=places)
        self.seats[number] = seat
        self.next_number = max(self.next_number, number + 1)
        return seat

    def planned(self) -> list[Seat]:
        """For the planner."""
        return [
            Seat(s.number, s.family, s.model, s.need, s.places, s.idle, s.ready, s.leaving)
            for s in self.seats.values()
        ]

    def wanted(self) -> tuple[Wanted, ...]:
        """For the driver."""
        return tuple(Wanted(s.number, s.model, s.need, s.places) for s in self.seats.values())

    def pace(self, family: str) -> Pace:
        """Of a family."""
        return self.paces.setdefault(family, Pace())

    def costs(self) -> Costs:
        """For the planner: the slowest start and swap measured."""
        default = Costs()
        starts = [pace.start_s for pace in self.paces.values() if pace.start_s is not None]
        swaps = [pace.swap_s for pace in self.paces.values() if pace.swap_s is not None]
        return Costs(max(starts, default=default.start_s), max(swaps, default=default.swap_s))
