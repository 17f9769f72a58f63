"""Which replica takes which model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.engine.planner import (
    Costs,
    Need,
    Room,
    Seat,
    Work,
    impossible,
    next_model,
    next_start,
    should_retire,
)

CORE = Need(1.0)
COSTS = Costs(start_s=10.0, swap_s=1.0)
TWO_CORES = (Room(2.0),)


def work(model: int, waiting_s: float, family: str = "a", **given: object) -> Work:
    facts = {"need": CORE, "replicas": None, "unfinished": True, "measured": True} | given
    return Work(model, family, waiting_s=waiting_s, **facts)  # type: ignore[arg-type]


def seat(number: int, model: int, family: str = "a", need: Need = CORE) -> Seat:
    return Seat(number, family, model, need)


def started(works: list[Work], rooms: tuple[Room, ...], costs: Costs = COSTS) -> list[Seat]:
    """Every replica that is started at the beginning."""
    seats: list[Seat] = []
    while (start := next_start(seats, works, rooms, costs)) is not None:
        one = next(w for w in works if w.model == start.model)
        seats.append(Seat(len(seats), one.family, start.model, one.need, start.places))
        assert len(seats) <= 100
    return seats


def test_the_longest_model_starts_first_and_models_spread_over_replicas() -> None:
    works = [work(0, 50.0), work(1, 80.0), work(2, 60.0)]
    assert [s.model for s in started(works, TWO_CORES)] == [1, 2]


def test_each_family_gets_a_replica_before_one_gets_two() -> None:
    works = [work(0, 500.0), work(1, 400.0), work(2, 20.0, "b")]
    assert [s.model for s in started(works, TWO_CORES)] == [0, 2]


def test_a_start_must_pay_but_the_first_one_always_does() -> None:
    assert [s.model for s in started([work(0, 0.1)], TWO_CORES)] == [0]
    assert [s.model for s in started([work(0, 19.0)], TWO_CORES)] == [0]
    assert [s.model for s in started([work(0, 21.0)], TWO_CORES)] == [0, 0]


def test_replicas_as_many_as_asked_for_where_they_fit() -> None:
    asked = work(0, 1.0, replicas=8, need=Need(0.2))
    assert len(started([asked], TWO_CORES)) == 8
    assert len(started([replace(asked, need=CORE)], TWO_CORES)) == 2
    assert len(started([work(0, 1000.0, replicas=1)], TWO_CORES)) == 1


def test_before_anything_is_measured_one_replica_a_core() -> None:
    light = work(0, 10_000.0, need=Need(0.2), measured=False)
    assert len(started([light], TWO_CORES)) == 2
    assert len(started([replace(light, measured=True)], TWO_CORES)) == 10


def test_gpus_are_counted_by_machine() -> None:
    pair = work(0, 10_000.0, need=Need(1.0, 2.0))
    assert len(started([pair], (Room(8.0, 3.0), Room(8.0, 1.0)))) == 1
    assert len(started([pair], (Room(8.0, 4.0), Room(8.0, 2.0)))) == 3
    assert impossible(pair.need, (Room(8.0, 1.0), Room(8.0, 1.0)))
    assert not impossible(pair.need, (Room(1.0, 2.0),))


def test_a_warm_replica_takes_the_longest_model_of_its_family() -> None:
    seats = [seat(0, 0), seat(1, 1)]
    works = [work(0, 0.0), work(1, 30.0), work(2, 50.0), work(3, 900.0, "b")]
    assert next_model(seats[0], seats, works, TWO_CORES, COSTS) == 2


def test_a_model_that_nobody_hosts_goes_before_a_shared_one() -> None:
    seats = [seat(0, 0), seat(1, 1)]
    works = [work(0, 0.0), work(1, 500.0), work(2, 3.0)]
    assert next_model(seats[0], seats, works, TWO_CORES, COSTS) == 2


def test_sharing_a_model_must_pay_for_the_swap() -> None:
    seats = [seat(0, 0), seat(1, 1)]
    assert next_model(seats[0], seats, [work(0, 0.0), work(1, 1.9)], TWO_CORES, COSTS) is None
    assert next_model(seats[0], seats, [work(0, 0.0), work(1, 2.1)], TWO_CORES, COSTS) == 1
    full = work(1, 500.0, replicas=1)
    assert next_model(seats[0], seats, [work(0, 0.0), full], TWO_CORES, COSTS) is None


def test_a_replica_retires_when_its_family_is_done() -> None:
    seats = [seat(0, 0)]
    done = work(0, 0.0, unfinished=False)
    assert should_retire(seats[0], seats, [done], TWO_CORES, COSTS)
    in_flight = work(0, 0.0)
    assert not should_retire(seats[0], seats, [in_flight], TWO_CORES, COSTS)


def test_a_replica_makes_room_for_another_family_only_where_that_pays() -> None:
    seats = [seat(0, 0), seat(1, 1)]
    idle = [work(0, 0.0), work(1, 0.0)]
    assert should_retire(seats[0], seats, [*idle, work(2, 0.5, "b")], TWO_CORES, COSTS)
    assert not should_retire(seats[0], seats, [*idle, work(2, 50.0, "b")], (Room(3.0),), COSTS)
    with_b = [seats[0], seat(1, 2, "b")]
    short, long = work(2, 15.0, "b"), work(2, 25.0, "b")
    assert not should_retire(seats[0], with_b, [idle[0], short], TWO_CORES, COSTS)
    assert should_retire(seats[0], with_b, [idle[0], long], TWO_CORES, COSTS)


WORKS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([0.0, 0.5, 8.0, 40.0, 900.0]),
        st.sampled_from([None, 1, 3]),
        st.sampled_from([Need(0.2), Need(1.0), Need(1.0, 1.0), Need(2.0)]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)
ROOMS = st.lists(
    st.builds(Room, st.sampled_from([1.0, 2.0, 4.0]), st.sampled_from([0.0, 1.0, 2.0])),
    min_size=1,
    max_size=3,
)


@given(WORKS, ROOMS)
def test_any_job_is_begun_and_brought_to_an_end(facts: list[tuple], rooms: list[Room]) -> None:  # type: ignore[type-arg]
    """Replicas that work off what they take, swap, retire and start leave nothing behind."""
    works = [
        Work(number, family + str(need), need, replicas, waiting, waiting > 0, measured)
        for number, (family, waiting, replicas, need, measured) in enumerate(facts)
    ]
    possible = {w.model for w in works if not impossible(w.need, rooms)}
    seats: dict[int, Seat] = {}
    numbers = 0
    for _ in range(200):
        while (start := next_start(list(seats.values()), works, rooms, COSTS)) is not None:
            assert start.model in possible
            one = works[start.model]
            seats[numbers] = Seat(numbers, one.family, start.model, one.need, start.places)
            numbers += 1
            assert _fits(list(seats.values()), rooms)
        if not seats:
            break
        for mine in list(seats.values()):
            if works[mine.model].waiting_s > 0:  # works it off
                works[mine.model] = replace(works[mine.model], waiting_s=0.0, unfinished=False)
                continue
            others = list(seats.values())
            model = next_model(mine, others, works, rooms, COSTS)
            if model is not None:
                assert works[model].family == mine.family
                hosts = sum(s.model == model for s in others)
                asked = works[model].replicas
                assert asked is None or hosts < asked
                seats[mine.number] = replace(mine, model=model)
            elif should_retire(mine, others, works, rooms, COSTS):
                del seats[mine.number]
    assert not seats
    assert all(w.waiting_s == 0 for w in works if w.model in possible)


def _fits(seats: list[Seat], rooms: list[Room]) -> bool:
    return sum(s.need.cpus for s in seats) <= sum(r.cpus for r in rooms) + 1e-6 and sum(
        s.need.gpus for s in seats
    ) <= sum(r.gpus for r in rooms)


@pytest.mark.parametrize("rooms", [(), (Room(0.0),)])
def test_nothing_starts_without_room(rooms: tuple[Room, ...]) -> None:
    assert next_start([], [work(0, 10.0)], rooms, COSTS) is None
