"""Convergence: hand arithmetic, a brute-force oracle, looks as prefixes, and truths."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from jobs.benchmarks.online_truths import said_of
from lens_ray.online.convergence import convergence, level_of, walk
from lens_ray.online.courses import courses_of
from lens_ray.online.findings import Convergence, Findings
from lens_ray.online.series import Series
from lens_ray.online.spec import Rules
from lens_ray.testing.simulated_runs import Design, Kind, simulate
from tests.online.hand_made import ITEMS, series

RULES = Rules()


def until(run: Series, count: int) -> Series:
    """The first checkpoints of a run."""
    some = replace(run.marks, models=run.marks.models[:count], score=run.marks.score[:count])
    return replace(run, steps=run.steps[:count], marks=some, depth=run.depth[:count])


def of(rights: list[int], rules: Rules = RULES) -> Convergence:
    return convergence(series({"ocr": rights}), rules)[0]


def test_by_hand() -> None:
    """400 items of which 100, 200, 300 and then always 300 are right.

    Up to step 300 the two checkpoints ending there have the mean (0.5 + 0.75) / 2 and the later
    ones 0.75: a gain of 0.125. At 400 both sides are 0.75: the gain is 0, its standard error that
    of one unit better and one worse, sqrt(2) / 400, and the bound at 98 % is 2.06 times that.
    """
    found = of([100, 200, 300, 300, 300, 300, 300, 300])
    assert found.phase == "converged"
    assert (found.step, found.declared_at, found.later) == (400, 800, 4)
    assert (found.effect, found.confidence, found.margin) == (0.0, 0.98, 0.02)
    assert found.interval is not None
    bound = student.ppf(0.98, ITEMS - 1) * 2**0.5 / ITEMS
    assert list(found.interval) == pytest.approx([-1.0, bound], rel=1e-9)
    assert bound == pytest.approx(0.00728, abs=1e-5)


def test_four_later_checkpoints_are_needed() -> None:
    found = of([300] * 5)
    assert (found.phase, found.reason) == ("too_few", "5 checkpoints; 6 are needed")
    assert of([]).phase == "too_few"
    assert of([300] * 6).phase == "converged"


def test_near_chance_is_not_converged() -> None:
    found = of([30] * 12)
    assert found.phase == "not_learned"
    assert found.reason is not None
    assert "0.075" in found.reason
    # 0.15 with a standard error of 0.0179 is above 0.1 by 1.65 of them; 0.1225 is not.
    assert of([60] * 12).phase == "converged"
    assert of([49] * 12).phase == "not_learned"


def test_what_still_rises_has_not_converged_however_small_the_gain_so_far() -> None:
    """200 of 400 items, then four more at each checkpoint: 0.06 so far, with a margin of 0.1."""
    rules = Rules(margin=0.1)
    assert of([200] * 12, rules).phase == "converged"
    assert of([200] * 6 + [204, 208, 212, 216, 220, 224], rules).phase != "converged"


def test_rising_names_its_gain() -> None:
    found = of([100 + 20 * place for place in range(12)])
    assert found.phase == "rising"
    assert found.step is None
    # Ten checkpoints, 20 items each: the halves' means are five checkpoints apart.
    assert found.effect == pytest.approx(5 * 20 / ITEMS)
    assert found.interval is not None
    assert found.effect is not None
    assert 0 < found.interval[0] < found.effect
    assert found.interval[1] == 1.0


def test_what_rose_and_fell_is_not_rising() -> None:
    """As entity of the shipped run: up to 8700, then down."""
    found = of([0, 50, 100, 150, 200, 250, 300, 220, 230, 225])
    assert found.phase == "undecided"
    assert found.reason == "the newest checkpoints lie below step 700"
    assert found.effect == pytest.approx((225 - 300) / ITEMS)


def test_a_stall_is_said_in_words() -> None:
    """The newest five are 290, 292, 292, 292, 292; the step before has too few later ones."""
    found = of([100, 150, 200, 250, 280, 290, *[292] * 4])
    assert found.phase == "undecided"
    assert found.reason is not None
    assert found.reason.startswith("stalled since 600,")
    assert found.later == 3
    # Means of 292, 292, 292 and of 290, 292 apart by 1 of 400.
    assert found.effect == pytest.approx(1 / ITEMS)


def test_a_second_rise_takes_it_back() -> None:
    rights = [100, 200, 300, *[300] * 8, 330, 360, 390, 390]
    assert of(rights[:11]).phase == "converged"
    found = of(rights)
    assert found.phase == "rising"
    assert found.withdrawn == (1200,)
    assert found.declared_at is None
    again = of([*rights, *[390] * 8])
    assert again.phase == "converged"
    assert again.withdrawn == (1200,)
    assert again.step is not None
    assert again.step >= 1400


def test_one_that_falls_gains_nothing() -> None:
    found = of([300, 300, 300, 300, 280, 260, 240, 220])
    assert found.phase == "converged"
    assert found.effect is not None
    assert found.effect < 0


def test_a_late_rise_is_never_foretold() -> None:
    low = [20] * 20
    assert all(of(low[:count]).phase in ("too_few", "not_learned") for count in range(1, 20))


def test_fewer_items_know_less() -> None:
    """The same shares of 40 items: one unit either way is more than the margin."""
    run = series({"ocr": [300] * 8})
    few = run.marks.where(np.arange(ITEMS) >= ITEMS - 120)
    assert convergence(replace(run, marks=few), RULES)[0].phase == "undecided"


@pytest.mark.parametrize("kind", ["early_plateau", "second_rise"])
def test_every_look_is_that_of_the_checkpoints_until_then(kind: Kind) -> None:
    """What is said of a look within a run is what a watcher said at the time."""
    run, _ = simulate(kind, 2, Design(items=400, abilities=("ocr", "entity"), checkpoints=26))
    whole = courses_of(run)
    then = [convergence(until(run, count), RULES) for count in range(1, 27)]
    for place, ability in enumerate(run.abilities):
        said = walk(whole[ability], RULES, level_of(RULES)).said
        for look, found in enumerate(decisions[place] for decisions in then):
            step = int(run.steps[said[look]]) if said[look] >= 0 else None
            assert found.step == step
        ended = (said[:-1] >= 0) & (said[1:] < 0)
        assert then[-1][place].withdrawn == tuple(run.steps[1:][ended].tolist())


def test_gain_and_error_by_brute_force() -> None:
    """Every step and look, from the unit marks, one pair at a time."""
    run, _ = simulate("early_plateau", 5, Design(items=60, chance=(0.25,), abilities=("ocr",)))
    found = walk(courses_of(run)["ocr"], RULES, 0.98)
    score, cluster = run.marks.score, run.marks.cluster
    for step, look in ((1, 5), (3, 7), (8, 12), (8, 14), (10, 29), (20, 29)):
        later = look - step
        width = 2 if later < 6 else 3 if later < 12 else 5
        base = score[max(step + 1 - width, 0) : step + 1].mean(axis=0)
        moved = (score[step + 1 : look + 1].mean(axis=0) - base) / 0.75
        sums = np.bincount(cluster, weights=moved - moved.mean())
        many = len(sums)
        variance = (sums**2).sum() / 60**2 * many / (many - 1) + 2 / (0.75 * 60) ** 2
        assert found.gain[step, look] == pytest.approx(moved.mean(), abs=1e-12)
        assert found.error[step, look] == pytest.approx(variance**0.5, rel=1e-9)


def test_a_base_stays_behind_the_bend_of_uneven_steps() -> None:
    """Checkpoints each 1,000 steps, then each 100: only the last of the former is near."""
    run = series({"ocr": [100, 200, 260, *[300] * 9]})
    uneven = np.array([1000, 2000, 3000, 4000, *range(4100, 4900, 100)])
    found = convergence(replace(run, steps=uneven), RULES)[0]
    assert (found.step, found.later) == (4000, 8)
    even = convergence(run, RULES)[0]
    assert (even.step, even.later) == (600, 6)


def test_milestones_see_what_anchors_cannot() -> None:
    """4,000 items every second checkpoint, 800 anchors at each: half of alpha for either."""
    design = Design(items=4000, abilities=("ocr",), checkpoints=40, milestones=2)
    found = convergence(simulate("early_plateau", 1, design)[0], RULES)[0]
    assert found.phase == "converged"
    assert found.confidence == pytest.approx(0.995 if found.later >= 6 else 0.99)
    assert found.step is not None
    assert found.step % 200 == 0


@given(
    st.lists(st.integers(0, ITEMS), max_size=24),
    st.integers(1, 40),
    st.floats(0.005, 0.4),
)
def test_whatever_comes_a_decision_is_whole(rights: list[int], window: int, margin: float) -> None:
    rules = Rules(window=window, margin=margin)
    found = of(rights, rules)
    assert (found.phase == "converged") == (found.step is not None)
    assert (found.phase in ("converged", "rising")) == (found.reason is None)
    if found.phase == "converged":
        assert found.interval is not None
        assert found.interval[1] < margin
        assert found.later >= 4
        assert found.declared_at is not None
        assert found.step is not None
        assert found.step + 400 <= found.declared_at <= 100 * len(rights)
    assert list(found.withdrawn) == sorted(set(found.withdrawn))
    json.dumps(Findings("r", 1, convergence=(found,)).to_json(), allow_nan=False)


def test_it_prints_as_json() -> None:
    run, _ = simulate("second_rise", 1, Design(items=200))
    found = Findings(run="r", step=3000, convergence=convergence(run, RULES))
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["convergence"][0]["phase"]


def test_a_few_simulated_runs() -> None:
    """Twelve runs an early plateau and twelve flat ones: nothing false, most found."""
    design = Design()
    kinds: tuple[Kind, ...] = ("early_plateau", "flat")
    for kind in kinds:
        said = [
            each
            for seed in range(12)
            for each in said_of(*simulate(kind, seed, design), design, RULES)
        ]
        assert not any(each.false for each in said)
        assert np.mean([each.delay is not None and each.delay <= 8 for each in said]) > 0.8
