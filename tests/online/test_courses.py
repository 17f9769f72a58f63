"""Differences of windows against what other programs make of the same marks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.online.courses import Course, courses_of, full_courses
from lens_ray.stats.units import Floats
from lens_ray.testing.simulated_runs import Design, simulate
from tests.online.hand_made import ITEMS, marks, series

SMALL = Design(items=150, checkpoints=8)


def items_only(course: Course, early: tuple[int, int], late: tuple[int, int]) -> float:
    """The standard error without the pair of units that is added."""
    _, error = course.apart(early, late)
    return float((error**2 - course.least) ** 0.5)


def unit_differences(score: Floats, early: tuple[int, int], late: tuple[int, int]) -> Floats:
    found: Floats = score[slice(*late)].mean(axis=0) - score[slice(*early)].mean(axis=0)
    return found


def test_independent_items_have_the_paired_t_test() -> None:
    """One subtask, chance 0, every item a cluster: scipy's paired standard error."""
    from scipy.stats import ttest_rel

    score = (np.random.default_rng(1).random((6, 80)) < 0.6).astype(float)
    run = replace(series({"ocr": [0] * 6}), marks=marks({"ocr": score}))
    course = courses_of(run)["ocr"]
    moved, _ = course.apart((0, 2), (3, 6))
    oracle = ttest_rel(score[3:6].mean(axis=0), score[0:2].mean(axis=0))
    assert moved == pytest.approx(unit_differences(score, (0, 2), (3, 6)).mean(), abs=1e-12)
    assert moved / items_only(course, (0, 2), (3, 6)) == pytest.approx(oracle.statistic, abs=1e-9)
    assert course.least == pytest.approx(2 / 80**2)


def test_clusters_over_subtasks_have_the_robust_variance_of_a_regression() -> None:
    """Five subtasks with chance, clusters of two and three: statsmodels' clustered OLS.

    With one stratum's slope a weight on its units, the difference is the mean of 5 x weight x unit
    difference; its residuals from the stratum's own mean make the variance, as dummies do.
    """
    import statsmodels.api as sm

    run, _ = simulate("early_plateau", 3, SMALL)
    course = courses_of(run)["counting"]
    here = run.marks.where(np.isin(run.marks.stratum, np.flatnonzero(
        [ability == "counting" for ability, _ in run.marks.strata]
    )))  # fmt: skip
    moved = unit_differences(here.score, (0, 3), (4, 8))
    chance = np.array([here.chance[here.stratum == s].mean() for s in range(5)])
    dummies = (here.stratum[:, None] == np.arange(5)).astype(float)
    fit = sm.OLS(moved, dummies).fit(
        cov_type="cluster", cov_kwds={"groups": here.cluster, "use_correction": False}
    )
    weights = 0.2 / (1 - chance)
    effect, error = course.apart((0, 3), (4, 8))
    assert effect == pytest.approx(float(weights @ fit.params), abs=1e-12)
    clusters = here.clusters
    robust = float(weights @ fit.cov_params() @ weights) * clusters / (clusters - 1)
    assert error**2 - course.least == pytest.approx(robust, rel=1e-9)


@given(st.lists(st.integers(0, 8), min_size=4, max_size=4, unique=True), st.integers(0, 50))
def test_any_windows_are_those_of_the_units(cuts: list[int], seed: int) -> None:
    """Running sums give what the unit differences of the windows give."""
    a, b, c, d = sorted(cuts)
    run, _ = simulate("random_walks", seed, Design(items=40, chance=(0.0,), checkpoints=8))
    course = courses_of(run)["ocr"]
    mine = np.array([ability == "ocr" for ability, _ in run.marks.strata])[run.marks.stratum]
    moved = unit_differences(run.marks.score[:, mine], (a, b), (c, d))
    cluster = run.marks.cluster[mine]
    sums = np.array([(moved - moved.mean())[cluster == k].sum() for k in np.unique(cluster)])
    many = len(sums)
    effect, error = course.apart((a, b), (c, d))
    assert effect == pytest.approx(moved.mean(), abs=1e-12)
    expected = (sums**2).sum() / 40**2 * many / (many - 1) + 2 / 40**2
    assert error == pytest.approx(expected**0.5, rel=1e-6)


def test_windows_between_which_nothing_changed_are_not_equal_for_certain() -> None:
    course = courses_of(series({"ocr": [200] * 6}))["ocr"]
    moved, error = course.apart((0, 3), (3, 6))
    assert moved == 0.0
    assert error == pytest.approx(2**0.5 / ITEMS)


def test_a_level_has_the_standard_error_of_a_mean() -> None:
    course = courses_of(series({"ocr": [100, 100, 100]}))["ocr"]
    level, error = course.level(0, 3)
    assert level == pytest.approx(0.25)
    assert error**2 - course.least == pytest.approx(0.25 * 0.75 / (ITEMS - 1))


def test_anchors_count_for_all_and_full_checkpoints_for_themselves() -> None:
    run, _ = simulate("flat", 1, Design(items=300, checkpoints=10, milestones=5))
    anchors, full = courses_of(run)["ocr"], full_courses(run)["ocr"]
    assert len(anchors) == 10
    assert anchors.units == pytest.approx(60, abs=6)
    assert full.places.tolist() == [4, 9]
    assert full.units == 300
    assert full_courses(simulate("flat", 1, SMALL)[0]) == {}


def test_one_that_hardly_answered_is_left_out() -> None:
    run = series({"ocr": [200, 210, 220, 230]})
    score = run.marks.score.copy()
    score[1, 100:] = np.nan
    score[2, :100] = np.nan
    course = courses_of(replace(run, marks=replace(run.marks, score=score)))["ocr"]
    assert course.steps.tolist() == [100, 300, 400]
    assert course.units == 300
    # Of the last 300 items 100, 120 and 130 are right.
    assert course.score == pytest.approx([100 / 300, 120 / 300, 130 / 300])


def test_what_cannot_be_compared_says_why() -> None:
    run = series({"ocr": [10] * 6, "entity": [10] * 6})
    score = run.marks.score.copy()
    score[2, run.marks.stratum == 0] = np.nan
    holes = courses_of(replace(run, marks=replace(run.marks, score=score)))
    assert holes["ocr"].reason is None
    assert holes["entity"].reason == "no unit of entity was answered at every checkpoint"
    assert np.isnan(holes["entity"].score).all()
    alike = replace(run.marks, cluster=np.zeros_like(run.marks.cluster), clusters=1)
    found = courses_of(replace(run, marks=alike))["ocr"].reason
    assert found == "one cluster only: nothing shows how far it may be off"
    flat = replace(run.marks, chance=np.ones_like(run.marks.chance))
    assert "chance 1 and upper 1" in str(courses_of(replace(run, marks=flat))["ocr"].reason)
    assert courses_of(series({"ocr": []}))["ocr"].reason is not None
