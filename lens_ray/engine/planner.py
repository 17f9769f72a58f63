"""Which replica takes which model, and on which machine: pure decisions over what is there.

Replicas are warm: one that is out of work takes the next model of its own family by a swap of
weights. Models do not wait for each other. A replica of another family needs a cold start, which
must be worth it: the work waiting, shared with those at it already, takes longer than the start.

The next start goes to the family that would be done last, so that all end together. Where that one
needs more room on a machine than is free, replicas of families that would be done earlier leave
(`leavers`), and what they free is kept for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lens_ray.engine.rooms import Need, Places, Room, Space

#: Others leave where that gains more than this part of a start. With first guesses that were wrong
#: by a factor of 1.5, GPUs of `bench_plan.py` were idle for 9, 10, 7 and 5 % of the time at 1, 0.5,
#: 0.25 and 0.1 (another draw: 6, 7, 6 and 2 %).
_GAIN = 0.1
#: Families for which room is sought at a time, those that would be done last first.
_MOST_TRIED = 3

__all__ = [
    "Costs",
    "Need",
    "Room",
    "Seat",
    "Start",
    "Work",
    "impossible",
    "leavers",
    "next_model",
    "next_start",
    "should_retire",
    "swap_s",
]


@dataclass(frozen=True, slots=True)
class Work:
    """One model's share of the job, as it stands.

    Attributes:
        model: Its number in the job.
        family: Models of one family can take each other's place by a swap.
        need: Of one replica of it.
        replicas: How many the user asked for; None is as many as pay.
        waiting_s: Expected seconds, for one replica, of what nobody works on yet; 0 is nothing.
        unfinished: Whether anything of it is waiting or in flight.
        measured: Whether it is known how fast its family starts and answers.
        priority: Higher ones come first.
        start_s: Seconds of a cold start of its family; None where it is not known.
        swap_s: Seconds of a swap within its family; None where it is not known.
    """

    model: int
    family: str
    need: Need
    replicas: int | None
    waiting_s: float
    unfinished: bool
    measured: bool = False
    priority: int = 0
    start_s: float | None = None
    swap_s: float | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """A replica, started or starting, and the model that it hosts.

    Attributes:
        number: Its own.
        family: Of the model.
        model: Number of the model that it hosts or is loading.
        need: What it occupies.
        places: Machine of each part; empty where it is not known.
        idle: Whether it is ready and has no work.
        ready: Whether it has started and is not loading.
        leaving: Whether it is to end with what it holds, to make room.
    """

    number: int
    family: str
    model: int
    need: Need
    places: Places = ()
    idle: bool = False
    ready: bool = True
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """A replica to be started.

    Attributes:
        model: For which model.
        places: Machine of each part.
    """

    model: int
    places: Places


@dataclass(frozen=True, slots=True)
class Costs:
    """Expected seconds of a cold start and of a swap, where a family's own are not known."""

    start_s: float = 10.0
    swap_s: float = 1.0


def next_model(
    seat: Seat, seats: Sequence[Seat], works: Sequence[Work], rooms: Sequence[Room], costs: Costs
) -> int | None:
    """The model that a warm replica without work takes over by a swap, or None."""
    if seat.leaving:
        return None
    others = _without(seats, seat)
    candidates = [
        work
        for work in works
        if work.family == seat.family
        and work.model != seat.model
        and _has_a_place(work, others)
        and (not _hosts(work, others) or _share(work, others) > swap_s(work, costs))
    ]
    best = _longest(candidates, others)
    if best is None or any(
        work.priority > best.priority for work in _in_need_of(seat, seats, works, rooms, costs)
    ):
        return None
    return best.model


def next_start(
    seats: Sequence[Seat], works: Sequence[Work], rooms: Sequence[Room], costs: Costs
) -> Start | None:
    """The model for which a further replica is started now and where, or None."""
    wanted = _wanted(seats, works, costs)
    if not wanted:
        return None
    staying = [seat for seat in seats if not seat.leaving]
    now, kept = _space(seats, rooms), None
    for work in wanted:
        if seats and not work.measured and work.replicas is None:
            places = _whole_cores(seats, rooms).place(_whole(work.need), kept)
        else:
            places = now.place(work.need, kept)
        if places is not None:
            return Start(work.model, places)
        if kept is None and len(staying) < len(seats):
            then = _space(staying, rooms)
            promised = then.place(work.need)
            if promised is not None:  # what others free is not given to anybody else
                then.take(work.need, promised)
                kept = then
    return None


def should_retire(
    seat: Seat,
    seats: Sequence[Seat],
    works: Sequence[Work],
    rooms: Sequence[Room],
    costs: Costs,
) -> bool:
    """Whether a replica without work ends: its family is done, or another one needs its place."""
    if seat.leaving or not any(work.unfinished for work in works if work.family == seat.family):
        return True
    return bool(_in_need_of(seat, seats, works, rooms, costs))


def leavers(
    seats: Sequence[Seat], works: Sequence[Work], rooms: Sequence[Room], costs: Costs
) -> tuple[int, ...]:
    """The replicas that are to leave, so that a family that would be done too late finds room.

    Nobody leaves while others are starting or leaving already: what that changes is not yet seen.
    """
    if any(seat.leaving or not seat.ready for seat in seats):
        return ()
    space = _space(seats, rooms)
    tried: set[str] = set()
    for work in _wanted(seats, works, costs):
        if work.family in tried or space.place(work.need) is not None:
            continue
        if len(tried) == _MOST_TRIED:
            break
        tried.add(work.family)
        chosen = _best_leavers(work, seats, works, rooms, costs)
        if chosen:
            return tuple(sorted(seat.number for seat in chosen))
    return ()


def impossible(need: Need, rooms: Sequence[Room]) -> bool:
    """Whether the cluster, empty, could not hold one replica."""
    return Space(rooms).place(need) is None


def _wanted(seats: Sequence[Seat], works: Sequence[Work], costs: Costs) -> list[Work]:
    """Models for which one more replica is worth its cold start, whether it fits or not.

    The first is the one that needs it most: by priority, then families that have no replica, then
    those that would be done last.
    """
    keyed = []
    for family in sorted({work.family for work in works}):
        its_works = [work for work in works if work.family == family and work.waiting_s > 0]
        its_seats = [seat for seat in seats if seat.family == family and not seat.leaving]
        total = sum(work.waiting_s for work in its_works)
        asked = max((work.replicas or 1 for work in its_works), default=0)
        share = total / (len(its_seats) + 1)
        for work in its_works:
            pays = share > _start(work, costs)
            if (len(its_seats) < asked or pays) and _has_a_place(work, its_seats):
                key = (-work.priority, bool(its_seats), -share, *_least(work, its_seats))
                keyed.append((key, work))
    return [work for _, work in sorted(keyed, key=lambda pair: pair[0])]


def _best_leavers(
    work: Work, seats: Sequence[Seat], works: Sequence[Work], rooms: Sequence[Room], costs: Costs
) -> list[Seat]:
    """The replicas whose leaving lets all be done earliest; none where that gains nothing."""
    ends = _Ends(works, seats, costs)
    options = [
        option
        for room in Space(rooms).names
        if (option := _freed_on(room, work, seats, rooms, ends)) is not None
    ]
    if not options:
        return []
    if not ends.seats_of(work.family):
        lower = [o for o in options if all(_priority(s, works) < work.priority for s in o)]
        if lower:
            return min(lower, key=lambda option: sum(seat.need.gpus for seat in option))
    waits = min(max(ends.now(seat.family) for seat in option) for option in options)

    def gain(option: list[Seat]) -> float:
        families = {seat.family: seat.need for seat in option}
        before = max([ends.in_time(work, waits), *(ends.now(name) for name in families)])
        mine = ends.with_one_more(work)
        space = _space(_rest(seats, option), rooms)
        space.take(work.need, space.place(work.need) or ())
        after = [mine]
        for name, need in sorted(families.items(), key=lambda pair: pair[0]):
            elsewhere = space.place(need)
            space.take(need, elsewhere or ())
            # One that has lost its last replica starts elsewhere, or when this one is done.
            after.append(ends.without(name, option, 0.0 if elsewhere else mine))
        return before - max(after)

    equal = [o for o in options if all(_priority(s, works) <= work.priority for s in o)]
    best = max(equal, key=gain, default=[])
    lost = _GAIN * max([_start(work, costs), *(ends.start(seat.family) for seat in best)])
    return best if best and gain(best) > lost else []


def _freed_on(
    room: str, work: Work, seats: Sequence[Seat], rooms: Sequence[Room], ends: _Ends
) -> list[Seat] | None:
    """The fewest replicas whose leaving this machine makes room for a model, or None.

    Of a model that spans machines, the further parts find room on the machines that follow.
    """
    leaving: list[Seat] = []
    names = Space(rooms).names
    start = names.index(room)
    for name in [*names[start:], *names[:start]]:
        there = [s for s in seats if name in s.places and s not in leaving]
        there = [s for s in there if s.family != work.family]
        for seat in sorted(there, key=lambda s: (not s.idle, ends.now(s.family), s.number)):
            leaving.append(seat)
            if _space(_rest(seats, leaving), rooms).place(work.need) is not None:
                return _needed(leaving, work.need, seats, rooms)
        if work.need.parts == 1:
            break
    return None


def _needed(
    leaving: list[Seat], need: Need, seats: Sequence[Seat], rooms: Sequence[Room]
) -> list[Seat]:
    """Without those that need not leave."""
    for seat in list(leaving):
        fewer = [other for other in leaving if other is not seat]
        if _space(_rest(seats, fewer), rooms).place(need) is not None:
            leaving = fewer
    return leaving


class _Ends:
    """In how many seconds each family would be done."""

    def __init__(self, works: Sequence[Work], seats: Sequence[Seat], costs: Costs) -> None:
        self._left: dict[str, float] = {}
        self._start: dict[str, float] = {}
        self._seats: dict[str, int] = {}
        for work in works:
            self._left[work.family] = self._left.get(work.family, 0.0) + work.waiting_s
            self._start[work.family] = _start(work, costs)
        for seat in seats:
            self._seats[seat.family] = self._seats.get(seat.family, 0) + 1

    def seats_of(self, family: str) -> int:
        return self._seats.get(family, 0)

    def start(self, family: str) -> float:
        return self._start.get(family, 0.0)

    def now(self, family: str) -> float:
        """With the replicas that it has."""
        return self._left.get(family, 0.0) / max(1, self.seats_of(family))

    def in_time(self, work: Work, waits: float) -> float:
        """With one more replica once others are done, if it is not done by then itself."""
        left, count = self._left.get(work.family, 0.0), self.seats_of(work.family)
        if count and left / count <= waits + self.start(work.family):
            return left / count
        left -= count * (waits + self.start(work.family))
        return waits + self.start(work.family) + left / (count + 1)

    def with_one_more(self, work: Work) -> float:
        """With one more replica, which starts first."""
        left = self._left.get(work.family, 0.0)
        return self.start(work.family) + left / (self.seats_of(work.family) + 1)

    def without(self, family: str, leaving: Sequence[Seat], waits: float) -> float:
        """Without those who leave; without any it waits for room, and starts again."""
        left = self._left.get(family, 0.0)
        count = self.seats_of(family) - sum(seat.family == family for seat in leaving)
        if left and count <= 0:
            return waits + self.start(family) + left
        return left / max(1, count)


def _in_need_of(
    seat: Seat, seats: Sequence[Seat], works: Sequence[Work], rooms: Sequence[Room], costs: Costs
) -> list[Work]:
    """Models of other families that find room only where this replica and idle ones end."""
    wanted = [work for work in _wanted(seats, works, costs) if work.family != seat.family]
    if not wanted:
        return []
    now = _space(seats, rooms)
    then = _space([other for other in _without(seats, seat) if not other.idle], rooms)
    return [
        work
        for work in wanted
        if now.place(work.need) is None and then.place(work.need) is not None
    ]


def _space(seats: Sequence[Seat], rooms: Sequence[Room]) -> Space:
    """What is free; replicas of which it is not known where they are are packed largest first."""
    space = Space(rooms)
    for seat in seats:
        if seat.places:
            space.take(seat.need, seat.places)
    unknown = sorted(
        (seat.need for seat in seats if not seat.places), key=lambda one: (-one.gpus, -one.cpus)
    )
    for need in unknown:
        places = space.place(need)
        if places is not None:
            space.take(need, places)
    return space


def _whole_cores(seats: Sequence[Seat], rooms: Sequence[Room]) -> Space:
    """What is free where each replica had a core: no more than that before anything is measured."""
    return _space([replace(seat, need=_whole(seat.need)) for seat in seats], rooms)


def _whole(need: Need) -> Need:
    return replace(need, cpus=max(float(need.parts), need.cpus))


def _has_a_place(work: Work, seats: Sequence[Seat]) -> bool:
    full = work.replicas is not None and _hosts(work, seats) >= work.replicas
    return work.waiting_s > 0 and not full


def _longest(works: Iterable[Work], seats: Sequence[Seat]) -> Work | None:
    """The model with the longest share of work for one more; one that nobody hosts goes first."""
    return min(works, key=lambda work: (-work.priority, *_least(work, seats)), default=None)


def _least(work: Work, seats: Sequence[Seat]) -> tuple[bool, float, int]:
    """The smallest is the model of a family that needs one more replica most."""
    return bool(_hosts(work, seats)), -_share(work, seats), work.model


def _hosts(work: Work, seats: Sequence[Seat]) -> int:
    return sum(seat.model == work.model and not seat.leaving for seat in seats)


def _share(work: Work, seats: Sequence[Seat]) -> float:
    return work.waiting_s / (_hosts(work, seats) + 1)


def _start(work: Work, costs: Costs) -> float:
    return costs.start_s if work.start_s is None else work.start_s


def swap_s(work: Work, costs: Costs) -> float:
    """Seconds of a swap to a model."""
    return costs.swap_s if work.swap_s is None else work.swap_s


def _priority(seat: Seat, works: Sequence[Work]) -> int:
    return max((work.priority for work in works if work.model == seat.model), default=0)


def _without(seats: Sequence[Seat], seat: Seat) -> list[Seat]:
    return [other for other in seats if other.number != seat.number]


def _rest(seats: Sequence[Seat], leaving: Sequence[Seat]) -> list[Seat]:
    gone = {seat.number for seat in leaving}
    return [seat for seat in seats if seat.number not in gone]


def likely_next(
    seat: Seat, seats: Sequence[Seat], works: Sequence[Work], rooms: Sequence[Room], costs: Costs
) -> int | None:
    """The model that a busy replica, or one started in its place, would probably host next.

    That is the one that it would take if nothing of its own model were waiting now, else the one
    of another family that is worth a start and no larger.
    """
    left = [replace(work, waiting_s=0.0) if work.model == seat.model else work for work in works]
    model = next_model(seat, seats, left, rooms, costs)
    if model is not None:
        return model
    others = _without(seats, seat)
    fitting = [
        work
        for work in _wanted(others, left, costs)
        if work.need.cpus <= seat.need.cpus and work.need.gpus <= seat.need.gpus
    ]
    longest = _longest(fitting, others)
    return None if longest is None else longest.model
