"""What a merge keeps of its parents: calibrated for what lies between them, and not blind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lens_ray.merging.verify.churn import Kept, churn, kept_of
from lens_ray.merging.verify.policy import BehaviourLimits
from lens_ray.stats.multiplicity import holm
from tests.merging.verify.grounds import behaviour_ground, rows

LEVEL = 0.05
UNITS, FIELDS = 3000, 400
#: Of 400 fields at 5 %, more than 31 have a probability of 0.5 % (binomial).
MOST = 31


def balanced(kept: Sequence[Kept], level: float) -> bool:
    return min(holm([one.p for one in kept])) > level


def parents(rng: np.random.Generator, alike: float, lead: float) -> Any:
    """Margins of two parents: above 0 is right. ``alike`` is their correlation."""
    shared = rng.standard_normal(UNITS)
    own = rng.standard_normal((2, UNITS))
    found = alike**0.5 * shared + (1 - alike) ** 0.5 * own + 0.7
    found[1] += lead
    return found


def rejected(rng: np.random.Generator, made: Any, alike: float, lead: float) -> int:
    cluster = np.arange(UNITS)
    count = 0
    for _ in range(FIELDS):
        margins = parents(rng, alike, lead)
        merge = made(margins)
        count += not balanced(kept_of(merge > 0, margins > 0, cluster), LEVEL)
    return count


@pytest.mark.parametrize("share", [0.02, 0.25, 0.5, 0.9])
@pytest.mark.parametrize(("alike", "lead"), [(0.5, 0.0), (0.5, 0.4), (0.95, 0.05)])
def test_a_mean_of_two_parents_is_not_taken_for_a_fault(
    share: float, alike: float, lead: float
) -> None:
    """In conflict (0.5 correlated, one 0.1 behind) or neighbours, with noise that no line has.

    What a network does on a line between two weights bends off the straight way by the curvature,
    which goes with share x (1 - share): at the middle, here by a quarter of the parents' distance.
    Noise of a third of it beside a share of 0.02 is a loss, and is found in 8 %.
    """
    rng = np.random.default_rng(int(share * 100) + int(lead * 1000))

    def mean(margins: Any) -> Any:
        bend = share * (1 - share) * float(np.std(margins[0] - margins[1]))
        straight = share * margins[0] + (1 - share) * margins[1]
        return straight + bend * rng.standard_normal(UNITS)

    assert rejected(rng, mean, alike, lead) <= MOST


def test_a_sibling_of_a_parent_errs_at_the_level() -> None:
    """The edge of the null: exchangeable with B given A. Clusters of two, drawn together."""
    rng = np.random.default_rng(8)
    cluster = np.arange(UNITS) // 2
    count = 0
    for _ in range(FIELDS):
        shared, apart = rng.standard_normal((2, UNITS // 2)).repeat(2, axis=1)
        three = shared + 0.5 * apart + rng.standard_normal((3, UNITS)) + 0.7
        first = kept_of(three[0] > 0, three[1:] > 0, cluster)[0]
        count += first.p <= LEVEL
    assert 5 <= count <= MOST  # 5 % but for ties and the steps of the binomial


def test_a_merge_that_lost_a_little_of_everything_is_found() -> None:
    """Neighbours, and 3 % of what the mean has right is gone: found in most fields."""
    rng = np.random.default_rng(9)

    def worn(margins: Any) -> Any:
        return np.where(rng.random(UNITS) < 0.03, -1.0, margins.mean(axis=0))

    assert rejected(rng, worn, 0.98, 0.0) >= 0.8 * FIELDS


def test_between_three_parents_the_one_that_keeps_least_is_the_measure() -> None:
    """The merge is the last of three in a row, which keeps less of the first than the second."""
    first = np.array([True] * 100 + [False] * 50)
    second = np.array([True] * 90 + [False] * 60)
    third = np.array([True] * 60 + [False] * 40 + [True] * 50)
    kept = kept_of(third, np.array([first, second, third]), np.arange(150))
    assert [one.beside for one in kept] == [2, 2, 0]
    assert balanced(kept, LEVEL)
    # Against the second parent alone it loses 30 and wins none.
    assert kept_of(third, np.array([first, second]), np.arange(150))[0].p == pytest.approx(2**-30)


def test_by_hand_one_parent_and_clusters() -> None:
    """12 lost, 2 won: p = (1 + 14 + 91) / 2^14; twelve questions on one image are one trial."""
    parent = rows({"ocr": [1.0] * 500 + [0.0] * 200})
    merge = rows({"ocr": [0.0] * 12 + [1.0] * 488 + [1.0] * 2 + [0.0] * 198})
    check = churn(behaviour_ground(merge, {"one": parent}), BehaviourLimits())
    assert (check.figures["lost"], check.figures["won"]) == (12, 2)
    assert check.figures["p"] == pytest.approx((1 + 14 + 91) / 2**14)
    assert check.verdict == "fail"
    assert check.figures["upper"] == pytest.approx(0.0386, abs=2e-4)  # 12 of 500, tables
    together = [rows({"ocr": t["score"].to_pylist()}, per_image=12) for t in (merge, parent)]
    one = churn(behaviour_ground(together[0], {"one": together[1]}), BehaviourLimits())
    assert (one.figures["clusters_lost"], one.verdict) == (1, "pass")


def test_what_all_parents_had_is_counted_and_two_parents_are_held_against_each_other() -> None:
    one = rows({"ocr": [1.0] * 300 + [0.0] * 100})
    two = rows({"ocr": [1.0] * 200 + [0.0] * 100 + [1.0] * 100})
    between = rows({"ocr": [0.0] * 20 + [1.0] * 180 + [1.0] * 50 + [0.0] * 150})
    check = churn(behaviour_ground(between, {"one": one, "two": two}), BehaviourLimits())
    assert check.verdict == "fail"  # of what "two" has it keeps 180, "one" keeps 200
    assert (check.figures["of"], check.figures["clusters_lost"]) == ("two", 20)
    assert (check.figures["lost"], check.figures["all_parents_right"]) == (20, 200)
