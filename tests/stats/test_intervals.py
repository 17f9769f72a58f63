from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from lens_ray.stats.clustered import clustered
from lens_ray.stats.intervals import interval, proportion, wilson
from lens_ray.stats.strata import Strata
from lens_ray.stats.units import Floats, Ints, Units


def units_of(strata: list[tuple[Floats, Ints]]) -> Units:
    """Units of strata given as (scores, clusters)."""
    score = np.concatenate([scores for scores, _ in strata])
    cluster = np.concatenate([clusters for _, clusters in strata])
    return Units(
        strata=tuple(("ocr", f"s{i}") for i in range(len(strata))),
        stratum=np.repeat(np.arange(len(strata)), [len(scores) for scores, _ in strata]),
        score=score,
        chance=np.zeros(len(score)),
        upper=np.ones(len(score)),
        cluster=cluster,
        clusters=int(cluster.max()) + 1,
        covered=np.array([len(scores) for scores, _ in strata]),
        first=np.arange(len(score)),
    )


def bounds(units: Units, weights: list[float], confidence: float = 0.95) -> tuple[float, float]:
    sums = clustered(units.score, units.stratum, units.cluster, len(units.strata))
    return interval(sums, np.array(weights), confidence)


@given(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_statsmodels(right: int, more: int, confidence: float) -> None:
    count = right + more
    oracle = proportion_confint(right, count, 1 - confidence, method="wilson")
    assert wilson(right / count, count, confidence) == pytest.approx(oracle, abs=1e-12)


@pytest.mark.parametrize("count", [30, 40, 75, 100, 250, 1000])
def test_the_interval_of_a_share_holds_every_truth(count: int) -> None:
    """Coverage by enumeration of all outcomes, for a grid of truths."""
    found = np.array([proportion(right / count, count) for right in range(count + 1)])
    truth = np.concatenate([np.arange(0.01, 12, 0.03) / count, np.arange(12, count / 2) / count])
    truth = truth[truth < 0.5][:, None]
    held = (found[:, 0] <= truth) & (truth <= found[:, 1])
    share = (stats.binom.pmf(np.arange(count + 1), count, truth) * held).sum(axis=1)
    assert share.min() >= 0.928
    assert share[truth[:, 0] * count >= 5].max() <= 0.978


def test_the_interval_of_a_share_does_not_care_which_is_called_right() -> None:
    for right in range(31):
        low, high = proportion(right / 30, 30)
        assert proportion(1 - right / 30, 30) == pytest.approx((1 - high, 1 - low))
        assert low <= right / 30 <= high


@pytest.mark.parametrize("continuous", [False, True])
def test_many_clusters_give_the_cluster_robust_interval(continuous: bool) -> None:
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(1500), 3)
    ease = np.repeat(rng.beta(2, 1, 1500), 3)
    score = ease if continuous else (rng.random(4500) < ease).astype(float)
    if continuous:
        score = np.clip(score + rng.normal(0, 0.1, 4500), 0, 1)
    low, high = bounds(units_of([(score, cluster)]), [1.0])
    fit = OLS(score, np.ones(4500)).fit(
        cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True
    )
    oracle = fit.conf_int()[0]
    width = oracle[1] - oracle[0]
    assert abs(low - oracle[0]) < 0.06 * width
    assert abs(high - oracle[1]) < 0.06 * width


def test_clustering_widens_the_interval() -> None:
    score = np.repeat([1.0, 0.0] * 10, 5)
    alone = bounds(units_of([(score, np.arange(100))]), [1.0])
    together = bounds(units_of([(score, np.repeat(np.arange(20), 5))]), [1.0])
    assert together[1] - together[0] > 1.9 * (alone[1] - alone[0])


def test_strata_that_share_their_clusters_move_together() -> None:
    score = np.array([1.0, 0.0] * 30)
    same = bounds(units_of([(score, np.arange(60)), (score, np.arange(60))]), [0.5, 0.5])
    apart = bounds(units_of([(score, np.arange(60)), (score, 60 + np.arange(60))]), [0.5, 0.5])
    assert apart[1] - apart[0] == pytest.approx((same[1] - same[0]) / np.sqrt(2), rel=0.1)
    opposed = bounds(units_of([(score, np.arange(60)), (1 - score, np.arange(60))]), [0.5, 0.5])
    assert opposed[1] - opposed[0] < 1e-9


def wilson_t(share: float, clusters: int) -> tuple[float, float]:
    """Wilson's formula as in the textbooks, with the t quantile of the clusters."""
    q2 = stats.t.ppf(0.975, clusters - 1) ** 2
    middle = (share + q2 / (2 * clusters)) / (1 + q2 / clusters)
    half = np.sqrt(q2 * share * (1 - share) / clusters + q2**2 / (4 * clusters**2))
    half /= 1 + q2 / clusters
    return max(middle - half, 0.0), min(middle + half, 1.0)


@pytest.mark.parametrize("share", [0.0, 1.0, 0.5])
def test_clusters_that_are_all_alike_are_so_many_trials(share: float) -> None:
    score = np.full(40, share) if share != 0.5 else np.tile([0.0, 1.0], 20)
    cluster = np.repeat(np.arange(20), 2)
    # Nothing shows that units of a cluster differ: the worst case, one trial a cluster. Of halves
    # the spread between units is known with n - 1.
    found = bounds(units_of([(score, cluster)]), [1.0])
    if share == 0.5:
        assert found[1] - found[0] == pytest.approx(np.diff(wilson_t(0.5, 20))[0], rel=0.03)
    else:
        assert found == pytest.approx(wilson_t(share, 20), abs=1e-12)


def test_clusters_of_which_each_is_all_right_or_all_wrong_are_so_many_trials() -> None:
    score = np.repeat(([1.0] * 13 + [0.0] * 7), 4)
    found = bounds(units_of([(score, np.repeat(np.arange(20), 4))]), [1.0])
    # The variance of a share of 20 with n - 1 is that of a share of 19.
    expected = np.array(wilson_t(0.65, 20))
    assert found == pytest.approx(tuple(expected), abs=0.01)


def test_rights_only_go_down_and_wrongs_only_go_up() -> None:
    right, wrong = np.ones(30), np.zeros(30)
    low, high = bounds(units_of([(right, np.arange(30)), (wrong, 30 + np.arange(30))]), [0.5, 0.5])
    # The whole way is the one stratum's: q^2 / (n + q^2) of its weight, q with 29 + 29 degrees.
    q2 = stats.t.ppf(0.975, 58) ** 2
    side = 0.5 * q2 / (30 + q2)
    assert (low, high) == pytest.approx((0.5 - side, 0.5 + side), abs=1e-12)


def test_equal_strata_of_rights_only_are_one() -> None:
    strata = [(np.ones(25), 25 * place + np.arange(25)) for place in range(4)]
    low, high = bounds(units_of(strata), [0.25] * 4)
    q2 = stats.t.ppf(0.975, 96) ** 2
    assert (low, high) == pytest.approx((100 / (100 + q2), 1.0), abs=1e-12)


STRATUM = st.tuples(
    st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=1, max_size=12),
    st.integers(0, 4),
    st.integers(1, 3),
)


@given(st.lists(STRATUM, min_size=1, max_size=4), st.sampled_from([0.5, 0.95, 0.999]))
@settings(max_examples=60, deadline=None)
def test_the_interval_holds_the_estimate_and_stays_possible(
    spec: list[tuple[list[float], int, int]], confidence: float
) -> None:
    strata = [
        (np.array(scores), start + np.arange(len(scores)) // size) for scores, start, size in spec
    ]
    units = units_of(strata)
    weights = [1 / len(strata)] * len(strata)
    low, high = bounds(units, weights, confidence)
    estimate = sum(np.mean(scores) for scores, _ in strata) / len(strata)
    assert low <= estimate + 1e-12
    assert estimate - 1e-12 <= high
    assert low >= -1e-12
    assert high <= 1 + 1e-12


def test_a_wider_level_gives_a_wider_interval() -> None:
    units = units_of([(np.array([1.0, 0.0, 1.0, 1.0] * 8), np.arange(32))])
    widths = [np.diff(bounds(units, [1.0], level))[0] for level in (0.5, 0.8, 0.95, 0.99)]
    assert widths == sorted(widths)


def test_p_chance_equals_the_score_test_of_independent_units() -> None:
    score = np.array([1.0] * 70 + [0.0] * 30)
    units = units_of([(score, np.arange(100))])
    strata = Strata(Units(**{**vars(units), "chance": np.full(100, 0.5)}))
    # 100 independent units show the variance of 99 trials.
    oracle = 2 * stats.t.sf(0.2 / np.sqrt(0.25 / 99), 99)
    assert strata.p_chance(0) == pytest.approx(oracle, rel=1e-9)
