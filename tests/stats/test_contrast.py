from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from lens_ray.stats.contrast import Difference, contrast
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.joint import draw_jointly
from tests.stats.fields import field_of


def two(a: ArrayLike, b: ArrayLike, cluster: Sequence[str] | None = None) -> Difference:
    """The contrast of two models on one stratum."""
    scores = {"a": np.array(a, dtype=float), "b": np.array(b, dtype=float)}
    size = len(scores["a"])
    marks = field_of(scores, ability=["ocr"] * size, subtask=["x"] * size, cluster=cluster)
    return contrast(marks, "a", "b", ability_figures(marks))[0]


def test_bonett_and_price_by_hand() -> None:
    # 40 units: 9 only a has right, none only b: one pair is added each way.
    found = two([1.0] * 9 + [1.0] * 20 + [0.0] * 11, [0.0] * 9 + [1.0] * 20 + [0.0] * 11)
    share, trials = 9 / 40, 39  # variance with n - 1
    within = share - share**2
    kept = trials / (trials + 2)
    middle = kept * share
    variance = kept**2 * within / trials + 2 * (1 + kept * share**2) / (trials + 2) ** 2
    assert (found.better, found.worse, found.n, found.clusters) == (9, 0, 40, 40)
    assert found.difference == pytest.approx(0.225)
    assert found.df == pytest.approx(39)
    assert found.se == pytest.approx(variance**0.5, rel=1e-12)
    half = stats.t.ppf(0.975, 39) * variance**0.5
    assert found.ci_low == pytest.approx(middle - half)
    assert found.ci_high == pytest.approx(middle + half)
    assert found.p == pytest.approx(2 * stats.t.sf(middle / variance**0.5, 39))
    assert found.p_exact == pytest.approx(2 / 2**9)
    # As in the paper, but for n - 1: (x12 + 1) / (n + 2), (x21 + 1) / (n + 2).
    p12, p21 = 10 / 42, 1 / 42
    paper = ((p12 + p21 - (p12 - p21) ** 2) / 42) ** 0.5
    assert found.se == pytest.approx(paper, rel=0.02)


def test_equal_answers_have_an_interval_about_nothing() -> None:
    found = two([1.0, 0.0] * 100, [1.0, 0.0] * 100)
    assert (found.difference, found.better, found.worse, found.p) == (0.0, 0, 0, 1.0)
    assert found.ci_low is not None
    assert found.ci_high == -found.ci_low
    # "Three over n": with none of 200, a truth of 0.018 is seen as none in 2.6 %.
    assert 0.012 < found.ci_high < 0.018
    assert found.se is not None
    assert found.mde == pytest.approx(found.se * 2.83, rel=0.01)
    assert found.reason is None


def test_one_cluster_says_nothing() -> None:
    found = two([1.0, 0.0, 1.0], [0.0, 0.0, 1.0], ["c"] * 3)
    assert found.difference == pytest.approx(1 / 3)
    assert (found.ci_low, found.ci_high, found.p, found.mde) == (None,) * 4
    assert found.reason == "one cluster only: nothing shows how far it may be off"


def test_few_clusters_are_named() -> None:
    few = two([1.0, 0.0, 1.0] * 8, [0.0, 1.0, 1.0] * 8, [f"c{n // 2}" for n in range(24)])
    assert few.note == "12 clusters only, fewer than 20: the interval may be too narrow"
    assert few.ci_low is not None
    assert few.p_exact is None
    assert two([1.0, 0.0] * 10, [0.0, 1.0] * 10).note is None


def test_small_differences_of_many_units_need_no_pair() -> None:
    rng = np.random.default_rng(3)
    base = rng.uniform(0.3, 0.7, 60)
    moved = rng.normal(0.01, 0.05, 60)
    found = two(base + moved, base)
    plain = moved.std(ddof=1) / 60**0.5
    assert found.p_exact is None
    assert found.se == pytest.approx(plain, rel=0.02)


def test_interval_and_test_agree() -> None:
    rng = np.random.default_rng(4)
    for _ in range(60):
        size = int(rng.integers(3, 60))
        a, b = ((rng.random(size) < share).astype(float) for share in (0.9, rng.choice([0.9, 0.6])))
        found = two(a, b, [f"c{n // 2}" for n in range(size)])
        assert found.ci_low is not None
        assert found.ci_high is not None
        assert found.p is not None
        assert found.difference is not None
        assert found.ci_low <= found.difference <= found.ci_high
        assert (found.p < 0.05) == (found.ci_low > 0 or found.ci_high < 0)


def test_the_joint_bootstrap_has_the_spread_of_the_contrast() -> None:
    rng = np.random.default_rng(2)
    size = 900
    subtask = [f"t{number % 3}" for number in range(size)]
    ability = ["ocr" if number % 3 < 2 else "counting" for number in range(size)]
    # Clusters reach over the subtasks of both abilities.
    cluster = [f"c{number // 4:03d}" for number in range(size)]
    ease = np.repeat(rng.normal(0, 1, size // 4), 4)
    scores = {
        name: (ease + rng.normal(shift, 1, size) > 0).astype(float)
        for name, shift in (("a", 0.4), ("b", 0.1))
    }
    marks = field_of(scores, ability=ability, subtask=subtask, cluster=cluster)
    figures = ability_figures(marks)
    draws = draw_jointly(marks, "key", 4000)
    spread = draws.replicates(figures)
    for place, found in enumerate(contrast(marks, "a", "b", figures)):
        drawn = spread[:, 0, place] - spread[:, 1, place]
        assert found.se is not None
        assert drawn.std() == pytest.approx(found.se, rel=0.05)
        assert drawn.mean() == pytest.approx(found.difference, abs=4 * found.se / 4000**0.5)
