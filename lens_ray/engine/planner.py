"""Which replica takes which model: pure decisions over what the coordinator sees.

Replicas are warm: one that is out of work takes the next model of its own family by a swap of
weights. Models do not wait for each other. A replica of another family needs a cold start, which
must be worth it: the work waiting, shared with those at it already, takes longer than the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Need:
    """What one replica occupies."""

    cpus: float
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Room:
    """What one machine of the cluster has."""

    cpus: float
    gpus: float = 0.0


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
    """

    model: int
    family: str
    need: Need
    replicas: int | None
    waiting_s: float
    unfinished: bool
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Seat:
    """A replica, started or starting, and the model that it hosts."""

    number: int
    family: str
    model: int
    need: Need


@dataclass(frozen=True, slots=True)
class Costs:
    """Expected seconds of a cold start and of a swap."""

    start_s: float = 10.0
    swap_s: float = 1.0


def next_model(
    seat: Seat, seats: Sequence[Seat], works: Sequence[Work], costs: Costs
) -> int | None:
    """The model that a warm replica without work takes over by a swap, or None."""
    others = [other for other in seats if other.number != seat.number]
    candidates = [
        work
        for work in works
        if work.family == seat.family
        and work.model != seat.model
        and _has_a_place(work, others)
        and (not _hosts(work, others) or _share(work, others) > costs.swap_s)
    ]
    return _longest(candidates, others)


def next_start(
    seats: Sequence[Seat], works: Sequence[Work], rooms: Sequence[Room], costs: Costs
) -> int | None:
    """The model for which a further replica is started now, or None."""
    wanted = [work for work in _wanted(seats, works, costs) if _may_start(seats, work, rooms)]
    seated = {seat.family for seat in seats}
    return _longest([work for work in wanted if work.family not in seated] or wanted, seats)


def should_retire(
    seat: Seat,
    seats: Sequence[Seat],
    works: Sequence[Work],
    rooms: Sequence[Room],
    costs: Costs,
) -> bool:
    """Whether a replica without work ends: its family is done, or another one needs its place."""
    if not any(work.unfinished for work in works if work.family == seat.family):
        return True
    others = [other for other in seats if other.number != seat.number]
    return any(
        work.family != seat.family
        and not _fits(seats, work.need, rooms)
        and _fits(others, work.need, rooms)
        for work in _wanted(seats, works, costs)
    )


def impossible(need: Need, rooms: Sequence[Room]) -> bool:
    """Whether no machine of the cluster, empty, could hold one replica."""
    return not _fits([], need, rooms)


def _wanted(seats: Sequence[Seat], works: Sequence[Work], costs: Costs) -> list[Work]:
    """Models for which one more replica is worth its cold start, whether it fits or not."""
    wanted = []
    for family in sorted({work.family for work in works}):
        its_works = [work for work in works if work.family == family and work.waiting_s > 0]
        its_seats = [seat for seat in seats if seat.family == family]
        total = sum(work.waiting_s for work in its_works)
        asked = max((work.replicas or 1 for work in its_works), default=0)
        pays = total / (len(its_seats) + 1) > costs.start_s
        if its_works and (len(its_seats) < asked or pays):
            wanted += [work for work in its_works if _has_a_place(work, its_seats)]
    return wanted


def _may_start(seats: Sequence[Seat], work: Work, rooms: Sequence[Room]) -> bool:
    """Whether one more fits; before anything is known of its family, no more than one a core."""
    if seats and not work.measured and work.replicas is None:
        whole = [replace(seat, need=_whole(seat.need)) for seat in seats]
        return _fits(whole, _whole(work.need), rooms)
    return _fits(seats, work.need, rooms)


def _whole(need: Need) -> Need:
    return Need(max(1.0, need.cpus), need.gpus)


def _has_a_place(work: Work, seats: Sequence[Seat]) -> bool:
    full = work.replicas is not None and _hosts(work, seats) >= work.replicas
    return work.waiting_s > 0 and not full


def _longest(works: Iterable[Work], seats: Sequence[Seat]) -> int | None:
    """The model with the longest share of work for one more; one that nobody hosts goes first."""
    best = max(
        works,
        key=lambda work: (not _hosts(work, seats), _share(work, seats), -work.model),
        default=None,
    )
    return None if best is None else best.model


def _hosts(work: Work, seats: Sequence[Seat]) -> int:
    return sum(seat.model == work.model for seat in seats)


def _share(work: Work, seats: Sequence[Seat]) -> float:
    return work.waiting_s / (_hosts(work, seats) + 1)


def _fits(seats: Sequence[Seat], need: Need, rooms: Sequence[Room]) -> bool:
    """Whether one more fits, the largest placed first, each on the first machine with room."""
    left = [[room.cpus, room.gpus] for room in rooms]
    placed = sorted([seat.need for seat in seats], key=lambda one: (-one.gpus, -one.cpus))
    for one in [*placed, need]:
        for room in left:
            if room[0] >= one.cpus - 1e-9 and room[1] >= one.gpus - 1e-9:
                room[0] -= one.cpus
                room[1] -= one.gpus
                break
        else:
            return False
    return True


def likely_next(
    seat: Seat, seats: Sequence[Seat], works: Sequence[Work], costs: Costs
) -> int | None:
    """The model that a busy replica, or one started in its place, would probably host next.

    That is the one that it would take if nothing of its own model were waiting now, else the one
    of another family that is worth a start and no larger.
    """
    left = [replace(work, waiting_s=0.0) if work.model == seat.model else work for work in works]
    model = next_model(seat, seats, left, costs)
    if model is not None:
        return model
    others = [other for other in seats if other.number != seat.number]
    fitting = [
        work
        for work in _wanted(others, left, costs)
        if work.need.cpus <= seat.need.cpus and work.need.gpus <= seat.need.gpus
    ]
    return _longest(fitting, others)
