"""What is simulated is what its truth says."""

from __future__ import annotations

import numpy as np
import pytest

from lens_ray.stats.cells import means_of
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.units import Floats
from lens_ray.testing.simulated_runs import KINDS, Design, Kind, simulate


def observed(kind: Kind, seed: int, design: Design) -> tuple[Floats, Floats]:
    """Corrected scores and their truth, both by checkpoint and ability of the design."""
    series, truth = simulate(kind, seed, design)
    figures = ability_figures(series.marks).only(design.abilities)
    return figures.values(means_of(series.marks)), truth.skill


@pytest.mark.parametrize("kind", KINDS)
def test_the_expected_score_is_the_truth(kind: Kind) -> None:
    """Over 20 runs of 1,000 items the mean error is within four standard errors of none."""
    errors = []
    for seed in range(20):
        scores, truth = observed(kind, seed, Design(checkpoints=12))
        errors.append((scores - truth).mean())
    assert abs(np.mean(errors)) < 4 * np.std(errors, ddof=1) / 20**0.5


def test_the_same_seed_gives_the_same_run() -> None:
    (one, _), (two, _) = simulate("conflict", 3), simulate("conflict", 3)
    assert np.array_equal(one.marks.score, two.marks.score)
    assert not np.array_equal(one.marks.score, simulate("conflict", 4)[0].marks.score)


def test_items_persist_and_churn() -> None:
    score = simulate("flat", 1)[0].marks.score
    neighbours = (score[1:] != score[:-1]).mean(axis=1)
    assert 0.08 < neighbours.min() <= neighbours.max() < 0.15
    assert (score[0] != score[-1]).mean() > neighbours.max()


def test_anchors_are_a_fifth_in_whole_clusters() -> None:
    series, _ = simulate("flat", 1, Design(milestones=5))
    known = series.marks.answered
    assert series.depth[:5] == ("anchor",) * 4 + ("full",)
    assert known[4].all()
    assert known[0].mean() == pytest.approx(0.2, abs=0.01)
    share = np.bincount(series.marks.cluster, known[0]) / np.bincount(series.marks.cluster)
    assert set(share.tolist()) == {0.0, 1.0}


def test_clusters_hold_two_or_three_items_of_one_subtask() -> None:
    marks = simulate("flat", 1)[0].marks
    assert set(np.bincount(marks.cluster).tolist()) == {2, 3}
    pairs = np.unique(np.stack([marks.cluster, marks.stratum]), axis=1)
    assert pairs.shape[1] == marks.clusters


def test_truths_are_as_named() -> None:
    design = Design()
    _, conflict = simulate("conflict", 5, effect=0.08)
    places = {name: place for place, name in enumerate(design.abilities)}
    moved = conflict.skill[-1] - conflict.skill[0]
    assert moved[places[conflict.rises[0]]] == pytest.approx(0.08)
    assert moved[places[conflict.falls[0]]] == pytest.approx(-0.08)
    assert np.count_nonzero(np.abs(moved) > 1e-12) == 2
    inside = (design.steps > conflict.early[1]) & (design.steps < conflict.late[0])
    steps = np.flatnonzero(np.abs(np.diff(conflict.skill, axis=0)).max(axis=1) > 1e-12) + 1
    assert inside[steps].all()
    _, plateau = simulate("early_plateau", 5)
    for name, place in plateau.plateau.items():
        course = plateau.skill[:, places[name]]
        assert (np.diff(course[: place + 1]) > 0).all()
        assert np.ptp(course[place:]) < 1e-12
    _, late = simulate("late_rise", 5)
    for name, place in late.rises_at.items():
        course = late.skill[:, places[name]]
        assert course[place] < 0.1
        assert course[-1] > 0.5
        assert course[place + 1] > course[place]
