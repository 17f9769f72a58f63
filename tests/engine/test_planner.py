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
    leavers,
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


GPU, WHOLE = Need(1.0, 1.0), Need(1.0, 8.0)


def placed(number: int, model: int, family: str, need: Need, *places: str, **more: bool) -> Seat:
    return Seat(number, family, model, need, places, **more)


def test_parts_of_a_replica_may_lie_on_several_machines() -> None:
    wide = Need(2.0, 16.0, 2)
    eights = (Room(8.0, 8.0, "a"), Room(8.0, 8.0, "b"))
    assert impossible(Need(1.0, 16.0), eights)
    assert not impossible(wide, eights)
    assert impossible(wide, (Room(8.0, 8.0), Room(8.0, 7.0)))
    assert impossible(wide, (Room(8.0, 16.0), Room(0.0, 0.0))) is False  # both on one
    one = work(0, 900.0, need=wide, replicas=1)
    start = next_start([], [one], eights, COSTS)
    assert start is not None
    assert sorted(start.places) == ["a", "b"]
    there = placed(0, 0, "a", wide, "a", "b")
    more = work(1, 900.0, "b", need=Need(1.0, 1.0))
    assert next_start([there], [more], eights, COSTS) is None


def test_small_replicas_fill_machines_up_so_that_whole_ones_stay_free() -> None:
    rooms = (Room(64.0, 8.0, "a"), Room(64.0, 8.0, "b"))
    seats = [placed(0, 0, "s", GPU, "b")]
    start = next_start(seats, [work(0, 9_000.0, "s", need=GPU)], rooms, COSTS)
    assert start is not None
    assert start.places == ("b",)
    # A replica on CPUs alone does not take the cores beside GPUs.
    mixed = (Room(4.0, 8.0, "g"), Room(4.0, 0.0, "c"))
    start = next_start([], [work(0, 9.0)], mixed, COSTS)
    assert start is not None
    assert start.places == ("c",)


def test_where_replicas_lie_counts_not_only_how_many_there_are() -> None:
    """Six GPUs are free, three on each machine: no room for four."""
    rooms = (Room(64.0, 8.0, "a"), Room(64.0, 8.0, "b"))
    seats = [placed(n, n, f"s{n}", GPU, "ab"[n % 2]) for n in range(10)]
    four = work(10, 9_000.0, "four", need=Need(1.0, 4.0))
    assert next_start(seats, [four], rooms, COSTS) is None
    assert next_start([replace(s, places=()) for s in seats], [four], rooms, COSTS) is not None


def test_the_family_that_would_be_done_last_gets_the_next_replica() -> None:
    seats = [seat(0, 0), seat(1, 1, "b")]
    works = [work(0, 100.0), work(1, 300.0, "b")]
    start = next_start(seats, works, (Room(3.0),), COSTS)
    assert start is not None
    assert start.model == 1


def test_a_family_knows_its_own_start_and_swap() -> None:
    slow = work(0, 100.0, start_s=60.0)
    assert [s.model for s in started([slow], (Room(8.0),))] == [0]  # 100 / 2 < 60
    seats = [seat(0, 0), seat(1, 1)]
    works = [work(0, 0.0, swap_s=20.0), work(1, 30.0, swap_s=20.0)]
    assert next_model(seats[0], seats, works, TWO_CORES, COSTS) is None


def test_priority_comes_before_length() -> None:
    works = [work(0, 900.0), work(1, 5.0, "b", priority=1), work(2, 700.0, priority=-1)]
    assert [s.model for s in started(works, TWO_CORES)] == [1, 0]
    seats = [seat(0, 0)]
    same = [work(0, 0.0), work(1, 9.0, priority=2), work(2, 900.0)]
    assert next_model(seats[0], seats, same, TWO_CORES, COSTS) == 1
    # A warm replica does not go on with its family where a higher priority waits for its room.
    other = [work(0, 0.0), work(1, 900.0), work(2, 9.0, "b", priority=1)]
    assert next_model(seats[0], seats, other, (Room(1.0),), COSTS) is None
    assert should_retire(seats[0], seats, other, (Room(1.0),), COSTS)
    assert next_model(seats[0], seats, other, TWO_CORES, COSTS) == 1


def test_idle_replicas_make_room_together() -> None:
    """Two of one GPU each have no work; the large model needs both of their places."""
    rooms = (Room(8.0, 2.0, "a"),)
    seats = [placed(n, n, f"s{n}", GPU, "a", idle=True) for n in range(2)]
    works = [work(n, 0.0, f"s{n}", need=GPU) for n in range(2)]
    pair = work(2, 50.0, "pair", need=Need(1.0, 2.0))
    assert should_retire(seats[0], seats, [*works, pair], rooms, COSTS)
    busy = [seats[0], replace(seats[1], idle=False)]
    assert not should_retire(seats[0], busy, [*works, pair], rooms, COSTS)


def test_the_fewest_leave_for_a_model_that_would_be_the_last() -> None:
    """Machine a has one short model, b has eight long ones: whoever is on a leaves."""
    rooms = (Room(64.0, 8.0, "a"), Room(64.0, 8.0, "b"), Room(64.0, 1.0, "c"))
    seats = [placed(0, 0, "short", GPU, "a")]
    seats += [placed(n, n, f"long{n}", GPU, "b") for n in range(1, 9)]
    works = [work(0, 300.0, "short", need=GPU)]
    works += [work(n, 500.0, f"long{n}", need=GPU) for n in range(1, 9)]
    large = work(9, 900.0, "large", need=WHOLE)
    assert next_start(seats, [*works, large], rooms[:2], COSTS) is not None  # short: a second one
    assert leavers(seats, [*works, large], rooms, COSTS) == (0,)
    # What it frees is the large one's: nobody else starts there while it leaves.
    leaving = [replace(seats[0], leaving=True), *seats[1:]]
    start = next_start(leaving, [*works, large], rooms[:2], COSTS)
    assert start is None
    assert next_model(leaving[0], leaving, works, rooms, COSTS) is None
    assert should_retire(leaving[0], leaving, works, rooms, COSTS)
    start = next_start(seats[1:], [*works, large], rooms[:2], COSTS)
    assert start is not None
    assert (start.model, start.places) == (9, ("a",))


def test_nobody_leaves_where_that_gains_nothing() -> None:
    rooms = (Room(64.0, 8.0, "a"),)
    seats = [placed(n, n, f"s{n}", GPU, "a") for n in range(8)]
    works = [work(n, 20.0, f"s{n}", need=GPU) for n in range(8)]
    short = work(8, 15.0, "large", need=WHOLE)
    assert leavers(seats, [*works, short], rooms, COSTS) == ()  # in 20 s the room is there
    starting = [replace(seats[0], ready=False), *seats[1:]]
    large = work(8, 9_000.0, "large", need=WHOLE, priority=1)
    assert leavers(starting, [*works, large], rooms, COSTS) == ()
    assert len(leavers(seats, [*works, large], rooms, COSTS)) == 8  # but for priority, all do


@given(WORKS, ROOMS)
def test_no_machine_is_given_more_than_it_has(facts: list[tuple], rooms: list[Room]) -> None:  # type: ignore[type-arg]
    works = [
        Work(number, family + str(need), need, replicas, waiting, waiting > 0, measured)
        for number, (family, waiting, replicas, need, measured) in enumerate(facts)
    ]
    used = {f"#{number}": [0.0, 0.0] for number in range(len(rooms))}
    for one in started(works, tuple(rooms)):
        assert len(one.places) == one.need.parts
        for name in one.places:
            used[name][0] += one.need.cpus / one.need.parts
            used[name][1] += one.need.gpus / one.need.parts
    for number, room in enumerate(rooms):
        assert used[f"#{number}"][0] <= room.cpus + 1e-6
        assert used[f"#{number}"][1] <= room.gpus + 1e-6
