"""Simulated fields of models whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.benchmarks.coverage.advice import CELLS, FieldOf, judged_field
from jobs.benchmarks.coverage.cell import Cell, share_held
from lens_ray.stats.advice.combine import route
from lens_ray.stats.advice.expense import Expense
from tests.stats.advice.makers import simulated


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_the_cells_of_the_table(cell: Cell) -> None:
    found = share_held(cell, 200, 1)
    print(f"{found.name}: true best kept {found.share:.3f}, {found.width:.1f} models kept")
    assert found.sound


@pytest.mark.slow
def test_the_true_best_cannot_be_excluded_and_the_regret_is_as_said() -> None:
    rng = np.random.default_rng(3)
    kept, lost, said, many = [], [], [], []
    for _ in range(200):
        judged, truth, best = judged_field(FieldOf(10, 100, 1, 0.3, 0.2), rng)
        chosen = int(judged.score.argmax())
        kept.append(bool(judged.possible[best]))
        many.append(int(judged.possible.sum()))
        lost.append(float(truth.max() - truth[chosen]))
        said.append(float(judged.regret[chosen]))
    print(
        f"true best kept {np.mean(kept):.3f} of 200 fields, {np.mean(many):.1f} of 10 models kept, "
        f"regret {np.mean(lost):.4f} (said {np.mean(said):.4f})"
    )
    assert np.mean(kept) >= 0.95
    assert np.mean(many) < 6
    assert np.mean(said) == pytest.approx(np.mean(lost), abs=0.003)


@pytest.mark.slow
def test_a_route_that_gains_nothing_is_seldom_called_better() -> None:
    free = {name: Expense() for name in "abc"}
    weights = {"counting": 0.5, "ocr": 0.5}
    alike = {"a": (0.6, 0.6), "b": (0.6, 0.6), "c": (0.6, 0.6)}
    found = [
        route(simulated(alike, size=200, seed=seed), "a", weights, free, 0.02).verdict
        for seed in range(300)
    ]
    assert found.count("better") <= 0.06 * 300
