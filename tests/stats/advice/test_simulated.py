"""Simulated fields of models whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.benchmarks.coverage.advice import CELLS, FieldOf, judged_field
from jobs.benchmarks.coverage.cell import Cell, share_held
from lens_ray.stats.advice.combine import route
from lens_ray.stats.advice.expense import Expense
from lens_ray.stats.advice.grounds import Grounds
from lens_ray.stats.advice.more_samples import plan_for, worth
from lens_ray.stats.advice.needs import Needs
from lens_ray.stats.advice.undecided import could_gain
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


@pytest.mark.slow
def test_a_proposed_evaluation_decides_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    said, held, size = [], [], 100
    for _ in range(150):
        skill = {name: tuple(rng.normal(0.6, 0.1, 2)) for name in "ab"}
        whole = simulated(skill, size=3_000, seed=int(rng.integers(1 << 30)))
        place = np.arange(len(whole.ids)) % 3_000
        few = Grounds.of(whole.where(place < size), Needs(), 1000)
        known = few.field({}).known(_leader_first(few), few.weights)
        more = plan_for(known, 0.05, 0.01)
        assert more is not None
        if not more.any() or (size + more).max() > 3_000:
            continue
        said.append(worth(known, more, 0.05, 0.01)[0])
        ability = whole.facets["ability"].code
        then = Grounds.of(whole.where(place < size + more[ability]), Needs(), 1000)
        leader, other = _leader_first(then)
        gain = could_gain(then.field({}), leader, [other], 0.05)[other]
        held.append(gain <= 0.01)
    print(f"{len(said)} evaluations: said {np.mean(said):.3f}, decided {np.mean(held):.3f}")
    assert len(said) > 50
    assert np.mean(held) == pytest.approx(np.mean(said), abs=0.1)


def _leader_first(grounds: Grounds) -> list[str]:
    score = grounds.values @ np.array([grounds.weights[name] for name in grounds.abilities])
    order = np.argsort(-score).tolist()
    return [grounds.marks.models[place] for place in order]
