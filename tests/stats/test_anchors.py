"""Estimates from anchors: by hand, against least squares, and what they are worth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm

from jobs.benchmarks.coverage.cell import Cell, share_held
from jobs.benchmarks.coverage.less import ANCHORS, pair_of
from lens_ray.stats.anchors import ANCHOR, anchor_estimates
from lens_ray.stats.marks import Facet, Marks
from tests.stats.fields import field_of


def marks_with(model: list[float], reference: list[float], anchors: int, **given: Any) -> Marks:
    """The first so many units are the anchors."""
    size = len(model)
    marks = field_of(
        {"model": np.array(model), "reference": np.array(reference)},
        ability=given.pop("ability", ["ocr"] * size), subtask=given.pop("subtask", ["s"] * size),
        **given,
    )  # fmt: skip
    place = np.array([int(name[1:]) for name in marks.ids])
    split = Facet((ANCHOR, "sealed"), np.where(place < anchors, 0, 1))
    return replace(marks, facets={**marks.facets, "split": split})


def test_by_hand() -> None:
    """40 anchors of 200 units. The model: 24 of 40 right; the reference 20 of these 24 and 4 of
    the other 16, so 0.6 there, and 112 of the other 160: 0.68 of all.

    b = cov / var = (20/40 - 0.6 * 0.6) / (0.6 * 0.4) = 0.14 / 0.24; 0.6 + b * (0.68 - 0.6).
    """
    model = [1.0] * 24 + [0.0] * 16 + [np.nan] * 160
    reference = [1.0] * 20 + [0.0] * 4 + [1.0] * 4 + [0.0] * 12 + [1.0] * 112 + [0.0] * 48
    one, overall = anchor_estimates(marks_with(model, reference, 40), "model", "reference")
    assert (one.figure, one.anchors, one.clusters, one.whole) == ("ocr", 40, 40, 200)
    assert one.alone == pytest.approx(0.6)
    assert one.estimate == pytest.approx(0.6 + 0.14 / 0.24 * 0.08)
    assert (overall.figure, overall.estimate) == ("overall", one.estimate)
    # Variance: of m - b (1 - f) r over the anchors, of b (1 - f) r over the rest, and of the four.
    b = 0.14 / 0.24
    m, r = np.array(model[:40]), np.array(reference[:40])
    rest = np.array(reference[40:])
    kept = b * 0.8
    p = (0.6 * 40 + 2) / 44
    here, beyond = np.var(m - kept * r, ddof=1) / 40, kept**2 * np.var(rest, ddof=1) / 160
    variance = here + beyond + 2 * (p**2 + (1 - p) ** 2) / 44**2
    # Satterthwaite, of 39 and 159 degrees; the four are known.
    freedom = variance**2 / (here**2 / 39 + beyond**2 / 159)
    assert one.ci_high is not None
    assert one.ci_low is not None
    assert (one.ci_high - one.ci_low) / 2 == pytest.approx(
        scipy.stats.t.ppf(0.975, freedom) * variance**0.5
    )
    single = np.var(m, ddof=1) / 40 + 2 * (p**2 + (1 - p) ** 2) / 44**2
    assert one.worth == round(40 * single / variance)


def test_the_slope_is_that_of_least_squares_with_a_constant_for_each_subtask() -> None:
    rng = np.random.default_rng(2)
    marks = pair_of(rng, 600, 1, (0.6, 0.7), 0.8, 0.0)
    one = anchor_estimates(marks, "model", "reference")[0]
    anchor = marks.facets["split"].code == 0
    m, r, s = marks.score[0][anchor], marks.score[1][anchor], marks.stratum[anchor]
    design = np.column_stack([r, *(s == k for k in range(3))]).astype(float)
    slope = sm.OLS(m, design).fit().params[0]
    expected = np.mean([
        m[s == k].mean() + slope * (marks.score[1][marks.stratum == k].mean() - r[s == k].mean())
        for k in range(3)
    ])  # fmt: skip
    assert one.estimate == pytest.approx(float(expected), rel=1e-9)


def test_a_model_that_is_its_own_reference_is_known_as_well_as_the_whole_suite() -> None:
    rng = np.random.default_rng(4)
    marks = pair_of(rng, 1000, 1, (0.6, 0.6), 0.5, 0.0)
    same = replace(marks, score=np.stack([marks.score[1], marks.score[1]]))
    one = anchor_estimates(same, "model", "reference")[0]
    size = np.bincount(marks.stratum)
    whole = float((np.bincount(marks.stratum, weights=marks.score[1]) / size).mean())
    assert one.estimate == pytest.approx(whole)
    assert one.worth is not None
    assert one.worth > 3 * one.anchors


def test_a_reference_that_says_nothing_changes_nothing() -> None:
    model = [1.0] * 20 + [0.0] * 20 + [np.nan] * 100
    one = anchor_estimates(marks_with(model, [1.0] * 140, 40), "model", "reference")[0]
    assert one.estimate == one.alone == 0.5
    assert (one.ci_low, one.ci_high, one.worth) == (one.alone_low, one.alone_high, 40)


def test_all_right_is_not_sure() -> None:
    model = [1.0] * 40 + [np.nan] * 100
    one = anchor_estimates(marks_with(model, [1.0] * 140, 40), "model", "reference")[0]
    assert (one.estimate, one.ci_high) == (1.0, 1.0)
    assert one.ci_low is not None
    assert 0.9 < one.ci_low < 0.97


@pytest.mark.parametrize(
    ("model", "anchors", "reason"),
    [
        ([1.0, 0.0] * 8 + [np.nan] * 84, 16, "16 clusters of anchors, fewer than 20"),
        ([np.nan] * 99 + [1.0], 40, "ocr/s has no anchor that both models answered"),
    ],
)
def test_too_little_is_said(model: list[float], anchors: int, reason: str) -> None:
    marks = marks_with(model, [1.0, 0.0] * 50, anchors)
    for one in anchor_estimates(marks, "model", "reference"):
        assert (one.estimate, one.ci_low, one.worth) == (None, None, None)
        assert one.reason == reason


def test_an_ability_in_trouble_takes_the_overall_figure_with_it() -> None:
    abilities = ["ocr" if n % 2 else "counting" for n in range(100)]
    marks = marks_with([1.0, 0.0, 0.0] * 20 + [np.nan] * 40, [1.0, 0.0] * 50, 60,
                       ability=abilities, subtask=abilities)  # fmt: skip
    found = anchor_estimates(marks, "model", "reference", troubles={"ocr": "it lacks rows"})
    assert [(one.figure, one.reason) for one in found] == [
        ("counting", None), ("ocr", "it lacks rows"), ("overall", "no estimate for ocr"),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("cell", ANCHORS, ids=lambda cell: cell.name)
def test_the_intervals_hold_the_truth(cell: Cell) -> None:
    held = share_held(cell, 500, 2)
    assert held.none == 0
    assert held.sound, held
