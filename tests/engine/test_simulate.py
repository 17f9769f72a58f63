"""Jobs in simulated time against what they must take by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lens_ray.engine.behaviour import Behaviour, Engine, work_of
from lens_ray.engine.plan import Expected
from lens_ray.engine.planner import Need, Room
from lens_ray.engine.simulate import rooms_of, simulate
from tests.engine.simulated import model, plan, suite

CORE, GPU = Need(1.0), Need(1.0, 1.0)
#: A call takes 3 ms, an idle replica calls every 50, the driver every 250.
CLOSE = 0.4


def test_an_engine_shares_what_it_computes_on() -> None:
    """Alone a sample takes 1 s; the engine gives no more than two a second."""
    engine = Engine(Behaviour(0.5, batch=4, alone_s=1.0), speed=1.0)
    engine.add([("a", 1.0)])
    assert engine.next_end() == pytest.approx(1.0)
    engine.advance(0.5)
    engine.add([("b", 1.0), ("c", 1.0), ("d", 1.0)])
    # Four share two a second: each gets half a second of work in a second. a has 0.5 left.
    assert engine.next_end() == pytest.approx(0.5 + 1.0)
    assert engine.advance(1.5) == ["a"]
    # b, c, d had 0.5 each, and three share two a second: 0.5 / (2 / 3).
    assert engine.next_end() == pytest.approx(1.5 + 0.75)
    assert sorted(engine.advance(2.5)) == ["b", "c", "d"]
    assert engine.busy_s == pytest.approx(2.25)
    assert engine.next_end() == math.inf


def test_a_window_bounds_what_is_in_the_engine_and_the_rest_waits() -> None:
    engine = Engine(Behaviour(1.0, batch=1), speed=2.0)
    engine.add([("a", 1.0), ("b", 1.0), ("c", 1.0)])
    assert (engine.working, len(engine.queue)) == (1, 2)
    engine.drop(["a", "c"])  # a is begun
    assert engine.advance(10.0) == ["a", "b"]
    assert engine.busy_s == pytest.approx(1.0)
    assert not engine.held


def test_the_work_of_a_sample_is_one_on_average_and_its_own() -> None:
    behaviour = Behaviour(1.0, sigma=0.8)
    drawn = [work_of(behaviour, 1.0, str(name), 7) for name in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(1.0, abs=0.03)
    assert drawn[3] == work_of(behaviour, 1.0, "3", 7) != work_of(behaviour, 1.0, "3", 8)
    assert work_of(Behaviour(1.0), 2.5, "3", 7) == 2.5


@pytest.mark.parametrize(("replicas", "seconds"), [(1, 110.0), (2, 60.0), (4, 35.0)])
def test_equal_samples_on_equal_replicas(replicas: int, seconds: float) -> None:
    """Ten seconds of start, then 100 s of work shared."""
    one = model(0, "f", CORE, replicas=replicas)
    tiny = suite(100)
    done = simulate(
        plan([one], [Room(float(replicas))]), tiny, [tiny.samples], [Behaviour(1.0, start_s=10.0)]
    )
    assert done.answered_s == pytest.approx(seconds, abs=CLOSE)
    assert done.models[0].answers == 100
    assert (done.starts, done.swaps, done.units) == (replicas, 0, replicas)
    assert done.loading == pytest.approx(10.0 / seconds, rel=0.02)
    assert done.generating == pytest.approx(100 / replicas / seconds, rel=0.02)
    assert done.unit_hours == pytest.approx(replicas * seconds / 3600, rel=0.02)


def test_a_wide_window_is_not_faster_than_its_engine() -> None:
    one, tiny = model(0, "f", CORE, replicas=1), suite(100)
    wide = Behaviour(0.1, start_s=0.0, batch=8, parallel=2, alone_s=0.4)
    done = simulate(plan([one], [Room(1.0)]), tiny, [tiny.samples], [wide])
    assert done.answered_s == pytest.approx(10.0, abs=1.0)


def test_the_self_check_asks_one_after_the_other() -> None:
    one, tiny = model(0, "f", CORE, replicas=1), suite(40)
    made = plan([one], [Room(1.0)], flip_samples=10)
    done = simulate(made, tiny, [tiny.samples], [Behaviour(1.0, start_s=0.0)])
    assert done.answered_s == pytest.approx(40.0, abs=CLOSE)
    assert done.makespan_s == pytest.approx(50.0, abs=CLOSE)


def test_models_of_a_family_swap_and_others_start() -> None:
    """One core: 5 + 20 + swap 2 + 20 for the first family, then 5 + 20 for the other."""
    tiny = suite(20)
    guess = Expected(1.0, 5.0)
    models = [model(n, family, CORE, guess) for n, family in enumerate(["f", "f", "g"])]
    behaviours = [Behaviour(1.0, start_s=5.0, swap_s=2.0)] * 3
    done = simulate(plan(models, [Room(1.0)]), tiny, [tiny.samples] * 3, behaviours)
    assert done.answered_s == pytest.approx(72.0, abs=2 * CLOSE)
    assert (done.starts, done.swaps) == (2, 1)


def test_a_slow_replica_does_what_it_can() -> None:
    """A replica of speed 1 and one of 1/4: 100 samples in 80 s, within one slow sample."""
    one, tiny = model(0, "f", CORE, replicas=2), suite(100)
    done = simulate(
        plan([one], [Room(2.0)]), tiny, [tiny.samples], [Behaviour(1.0, start_s=0.0)],
        speed=lambda seat: 0.25 if seat == 1 else 1.0,
    )  # fmt: skip
    assert 80.0 - CLOSE <= done.answered_s <= 84.0 + CLOSE


def test_a_replica_that_dies_is_replaced_and_nothing_is_lost() -> None:
    """Two replicas have 40 of 100 samples at 20 s, when one dies; its successor starts at once."""
    one, tiny = model(0, "f", CORE, replicas=2), suite(100)
    done = simulate(
        plan([one], [Room(2.0)]), tiny, [tiny.samples], [Behaviour(1.0, start_s=0.0)],
        kills={0: 20.0},
    )  # fmt: skip
    assert done.models[0].answers == 100
    assert done.starts == 3
    assert 50.0 <= done.answered_s <= 54.0


def test_what_one_family_leaves_another_takes() -> None:
    """Two GPUs; f has 30 s of work, g 90: g starts a second replica on what f has left."""
    tiny = suite(90)
    models = [model(0, "f", GPU, Expected(1.0, 1.0)), model(1, "g", GPU, Expected(1.0, 1.0))]
    behaviours = [Behaviour(1.0, start_s=1.0)] * 2
    done = simulate(
        plan(models, [Room(8.0, 2.0)]), tiny, [tiny.samples[:30], tiny.samples], behaviours
    )
    # Three starts of 1 s and 120 s of work on two GPUs.
    assert done.starts == 3
    assert done.makespan_s == pytest.approx((120 + 3) / 2, abs=2.0)
    assert done.idle < 0.05


def test_a_model_that_needs_a_whole_machine_does_not_wait_until_the_end() -> None:
    """One machine of 8 GPUs where 8 replicas of small models run; the large one is the longest."""
    tiny = suite(80)
    small = [model(n, f"s{n}", GPU, Expected(5.0, 5.0)) for n in range(8)]
    large = model(8, "large", Need(8.0, 8.0), Expected(5.0, 5.0))
    rooms = rooms_of(2, 16, 64.0)
    behaviours = [Behaviour(5.0, start_s=5.0)] * 9
    done = simulate(plan([*small, large], rooms), tiny, [tiny.samples] * 9, behaviours)
    assert done.models[8].first_s is not None
    assert done.models[8].first_s < 10.0
    assert done.makespan_s == pytest.approx(405.0, abs=5.0)


def test_priority_goes_first() -> None:
    tiny = suite(20)
    models = [
        model(0, "f", CORE, Expected(2.0, 1.0)),
        model(1, "g", CORE, Expected(1.0, 1.0), priority=1),
    ]
    behaviours = [Behaviour(2.0, start_s=1.0), Behaviour(1.0, start_s=1.0)]
    done = simulate(plan(models, [Room(1.0)]), tiny, [tiny.samples] * 2, behaviours)
    first, second = done.models[1], done.models[0]
    assert second.first_s is not None
    assert first.end_s <= second.first_s
    assert done.makespan_s == pytest.approx(1 + 20 + 1 + 40, abs=2 * CLOSE)


def test_the_same_seed_is_the_same_job() -> None:
    one, tiny = model(0, "f", CORE, replicas=3), suite(60)
    made, noisy = plan([one], [Room(3.0)]), [Behaviour(1.0, sigma=0.8)]
    runs = [simulate(made, tiny, [tiny.samples], noisy, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_a_cluster_that_is_not_there() -> None:
    assert [room.gpus for room in rooms_of(3, 8, 4.0, "L4")] == [3.0, 3.0, 2.0]
    assert rooms_of(1, 0, 4.0) == (Room(4.0),)


NEEDS = st.sampled_from([Need(1.0), GPU, Need(1.0, 2.0), Need(2.0, 4.0), Need(2.0, 8.0, 2)])
JOBS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        NEEDS,
        st.integers(0, 12),
        st.sampled_from([0.2, 1.0, 6.0]),
        st.sampled_from(["auto", 1, 3]),
        st.integers(-1, 1),
        st.sampled_from([None, 0.1, 1.0, 20.0]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=30)
@given(JOBS, st.integers(0, 99))
def test_every_job_comes_to_its_end_and_no_machine_is_given_twice(
    facts: list[tuple[str, Need, int, float, int | str, int, float | None]], seed: int
) -> None:
    """Whatever sizes, needs, priorities and wrong guesses: everything is answered, once."""
    rooms = rooms_of(3, 12, 8.0)
    tiny = suite(25)
    models = [
        model(
            n, f"{family}{need}", need, Expected(guess, 3.0), replicas=replicas, priority=priority
        )
        for n, (family, need, _, _, replicas, priority, guess) in enumerate(facts)
    ]
    behaviours = [Behaviour(each, start_s=3.0, sigma=0.5, batch=2) for _, _, _, each, *_ in facts]
    todo = [tiny.samples[:count] for _, _, count, *_ in facts]
    done = simulate(plan(models, rooms), tiny, todo, behaviours, seed=seed, limit_s=5_000)
    assert [one.answers for one in done.models] == [count for _, _, count, *_ in facts]
    assert 0.0 <= done.idle <= 1.0
    assert done.loading + done.generating <= 1.0 + 1e-6  # else a unit was used twice at once


@pytest.mark.slow
def test_a_sweep_of_48_models_leaves_few_gpus_idle() -> None:
    """The benchmark's own large job, with the guess that is missing."""
    from jobs.benchmarks.bench_plan import IDLE_LIMIT, sweep

    assert float(str(sweep(0, "none")["idle"])) < IDLE_LIMIT
