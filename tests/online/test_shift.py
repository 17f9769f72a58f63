"""Shifts between windows, against the comparison of models and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lens_ray.online.shift import Ground
from lens_ray.online.windows import Windows
from lens_ray.stats.contrast import contrast
from lens_ray.stats.figures import ability_figures
from lens_ray.testing.simulated_runs import Design, simulate
from tests.online import hand_made

SMALL = Design(items=200, checkpoints=12)


def test_of_single_checkpoints_it_is_the_comparison_of_two_models() -> None:
    series, _ = simulate("decline", 3, SMALL)
    found = Ground(series).shifts(Windows((2,), (9,)), declared=True)
    figures = ability_figures(series.marks).only(series.abilities)
    for expected in contrast(series.marks, "1000", "300", figures):
        moved = found.moved[expected.figure]
        assert moved.effect == expected.difference
        assert 2 * min(moved.below(None), moved.above(None)) == pytest.approx(expected.p, rel=1e-6)
        low, high = moved.interval(None, 0.95)
        assert (low, high) == pytest.approx((expected.ci_low, expected.ci_high), abs=1e-9)


def test_effect_and_variance_of_windows_by_plain_arithmetic() -> None:
    """One stratum, each item a cluster: the mean of unit differences and its usual variance."""
    rng = np.random.default_rng(0)
    answers = {name: rng.integers(0, 2, (6, 500)) for name in ("ocr", "entity")}
    series = replace(hand_made.series({"ocr": [0] * 6}), marks=hand_made.marks(answers))
    found = Ground(series).shifts(Windows((0, 1), (3, 4, 5)), declared=False)
    for name, rows in answers.items():
        apart = rows[3:].mean(axis=0) - rows[:2].mean(axis=0)
        assert found.moved[name].effect == pytest.approx(apart.mean())
        assert found.moved[name].items == pytest.approx(apart.var(ddof=1) / 500, rel=0.02)


def test_only_units_that_both_windows_answered_count() -> None:
    series, _ = simulate("flat", 1, replace(SMALL, milestones=4))
    found = Ground(series).shifts(Windows((0, 1, 2, 3), (4, 5, 6, 7)), declared=False)
    anchors = ~np.isnan(series.marks.score).any(axis=0)
    bare = replace(series, marks=series.marks.where(anchors))
    only = Ground(bare).shifts(Windows((0, 1, 2, 3), (4, 5, 6, 7)), declared=False)
    for name, moved in found.moved.items():
        assert moved.effect == pytest.approx(only.moved[name].effect)
        assert moved.items == pytest.approx(only.moved[name].items)


def test_without_a_common_unit_the_reason_is_told() -> None:
    series, _ = simulate("flat", 1, SMALL)
    score = series.marks.score.copy()
    score[0, ::2], score[5, 1::2] = np.nan, np.nan
    gone = replace(series, marks=replace(series.marks, score=score))
    found = Ground(gone).shifts(Windows((0,), (5,)), declared=False)
    assert not found.moved
    assert set(found.lacking.values()) == {
        "no unit was answered at every checkpoint of both windows"
    }


def test_checkpoints_outside_the_windows_change_nothing() -> None:
    series, _ = simulate("conflict", 2, SMALL)
    windows = Windows((0, 1, 2), (4, 5, 6))
    cut = replace(
        series, steps=series.steps[:7], depth=series.depth[:7],
        marks=series.marks.only(series.marks.models[:7]),
    )  # fmt: skip
    assert Ground(series).shifts(windows, declared=True) == Ground(cut).shifts(
        windows, declared=True
    )


def test_a_shift_beyond_the_wander_around_it_is_found() -> None:
    counts = {name: [200, 200, 201, 199] for name in ("counting", "attribute", "grounding")}
    series = hand_made.series(
        {**counts, "ocr": [200, 200, 280, 280], "entity": [300, 300, 220, 220]}
    )
    found = Ground(series).shifts(Windows((0, 1), (2, 3)), declared=True)
    assert found.in_conflict("ocr", "entity")[0] < 1e-4
    assert found.in_conflict("entity", "ocr")[0] > 0.99
    up, down = [200, 200, 280, 280], [200, 200, 120, 120]
    every = {"counting": up, "attribute": down, "grounding": up, "ocr": down, "entity": up}
    wild = Ground(hand_made.series(every)).shifts(Windows((0, 1), (2, 3)), declared=True)
    assert wild.in_conflict("counting", "attribute")[0] > 0.01
