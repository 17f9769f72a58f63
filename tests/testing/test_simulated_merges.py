"""What is simulated is what its truth says."""

from __future__ import annotations

import numpy as np
import pytest

from lens_ray.merging.search.pool import average
from lens_ray.merging.search.table import table_of
from lens_ray.testing.simulated_merges import KINDS, Kind, MergeDesign, SimulatedMerges


@pytest.mark.parametrize("kind", KINDS)
def test_the_expected_score_is_the_truth(kind: Kind) -> None:
    """Over 20 runs of one merge the mean error is within four standard errors of none."""
    errors = []
    for seed in range(20):
        asker = SimulatedMerges(kind, seed, MergeDesign(parents=3))
        trial = average("m", {"step-1000": 0.3, "step-1200": 0.7}, asker.parents)
        values = table_of(asker.ask([trial], "search"), None, 0.95).values["m"]
        truth = asker.truth(trial.recipe)
        errors.append(np.mean([values[name] - truth[name] for name in truth]))
    assert abs(np.mean(errors)) < 4 * np.std(errors, ddof=1) / 20**0.5


def test_models_agree_as_far_as_they_are_made_alike() -> None:
    asker = SimulatedMerges("equal", 1, MergeDesign(search=2000))
    first = average("a", {"step-1000": 1.0}, asker.parents)
    near = average("b", {"step-1000": 0.8, "step-1400": 0.2}, asker.parents)
    far = average("c", {"step-1400": 1.0}, asker.parents)
    score = asker.ask([first, near, far], "search").score
    apart = (score != score[0]).mean(axis=1)
    assert 0 < apart[1] < apart[2] < 0.15


def test_the_anchor_is_part_of_the_search() -> None:
    asker = SimulatedMerges("conflict", 1)
    trial = average("a", {"step-1000": 1.0}, asker.parents)
    small, large = asker.ask([trial], "anchor"), asker.ask([trial], "search")
    place = {name: at for at, name in enumerate(large.ids)}
    assert len(small.ids) == 1200
    assert all(
        large.score[0, place[name]] == mark
        for name, mark in zip(small.ids, small.score[0], strict=True)
    )
    assert asker.spent.samples == 3000
    asker.ask([trial], "search")
    assert asker.asked == [("a", "anchor"), ("a", "search")]
