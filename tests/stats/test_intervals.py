from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from lens_ray.stats.intervals import draw, interval, wilson
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
    names = ["/".join(pair) for pair in units.strata]
    return interval(draw(units, names, "key"), np.array(weights), confidence)


@given(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_statsmodels(right: int, more: int, confidence: float) -> None:
    count = right + more
    oracle = proportion_confint(right, count, 1 - confidence, method="wilson")
    assert wilson(right / count, count, confidence) == pytest.approx(oracle, abs=1e-12)


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


def test_few_clusters_give_scipys_bootstrap_widened() -> None:
    rng = np.random.default_rng(4)
    score = (rng.random(25) < 0.6).astype(float)
    low, high = bounds(units_of([(score, np.arange(25))]), [1.0])
    oracle = stats.bootstrap(
        (score,), np.mean, n_resamples=20_000, method="percentile", rng=rng, vectorized=True
    ).confidence_interval
    factor = np.sqrt(25 / 24) * stats.t.ppf(0.975, 24) / stats.norm.ppf(0.975)
    assert high - low == pytest.approx(factor * (oracle.high - oracle.low), rel=0.08)


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


@pytest.mark.parametrize("share", [0.0, 1.0, 0.5])
def test_a_flat_stratum_has_its_wilson_bounds(share: float) -> None:
    score = np.full(40, share) if share != 0.5 else np.tile([0.0, 1.0], 20)
    cluster = np.repeat(np.arange(20), 2)
    assert bounds(units_of([(score, cluster)]), [1.0]) == pytest.approx(
        wilson(share, 20), abs=1e-12
    )


def test_flat_strata_add_in_quadrature() -> None:
    right, wrong = np.ones(30), np.zeros(30)
    low, high = bounds(units_of([(right, np.arange(30)), (wrong, 30 + np.arange(30))]), [0.5, 0.5])
    side = 0.5 * (1 - wilson(1.0, 30)[0])
    assert (low, high) == pytest.approx((0.5 - side, 0.5 + side), abs=1e-12)


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


def test_a_draw_is_repeatable_and_depends_on_its_key_and_name_only() -> None:
    rng = np.random.default_rng(8)
    first = (rng.random(50), np.arange(50))
    second = (rng.random(50), 50 + np.arange(50))
    both, one = units_of([first, second]), units_of([first])
    deviations = draw(both, ["a", "b"], "run").deviations
    assert np.array_equal(deviations, draw(both, ["a", "b"], "run").deviations)
    assert np.array_equal(deviations[:, 0], draw(one, ["a"], "run").deviations[:, 0])
    assert not np.array_equal(deviations, draw(both, ["a", "b"], "other").deviations)


def test_a_wider_level_gives_a_wider_interval() -> None:
    units = units_of([(np.array([1.0, 0.0, 1.0, 1.0] * 8), np.arange(32))])
    widths = [np.diff(bounds(units, [1.0], level))[0] for level in (0.5, 0.8, 0.95, 0.99)]
    assert widths == sorted(widths)


def test_p_chance_equals_the_score_test_of_independent_units() -> None:
    score = np.array([1.0] * 70 + [0.0] * 30)
    units = units_of([(score, np.arange(100))])
    strata = Strata(Units(**{**vars(units), "chance": np.full(100, 0.5)}), "key")
    # 100 independent units show the variance of 99 trials.
    oracle = 2 * stats.t.sf(0.2 / np.sqrt(0.25 / 99), 99)
    assert strata.p_chance(0) == pytest.approx(oracle, rel=1e-9)


ROUNDS = 600
SIMULATED = {
    "even": ([0.4, 0.6, 0.7, 0.5], [33] * 4, 1, 0.0),
    "high": ([0.95, 0.9, 0.97, 0.99], [33] * 4, 1, 0.0),
    "mixed": ([0.95, 0.3, 0.6, 0.99], [33] * 4, 1, 0.0),
    "clusters": ([0.8, 0.6, 0.9], [12] * 3, 3, 0.4),
    "one": ([0.7], [30], 1, 0.0),
    "large": ([0.95, 0.5, 0.99], [300] * 3, 1, 0.0),
    "large clusters": ([0.9, 0.5], [100] * 2, 4, 0.5),
    "top": ([0.995, 0.99, 0.98, 0.999, 0.97], [100] * 5, 1, 0.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SIMULATED))
def test_coverage(name: str) -> None:
    """Over 600 drawn data sets the interval holds the truth in at least 93 %."""
    truth, clusters, size, likeness = SIMULATED[name]
    rng = np.random.default_rng(11)
    weights = np.array(clusters) / sum(clusters)
    target = float(weights @ np.array(truth))
    held, rounds = 0, ROUNDS
    for _ in range(rounds):
        strata, start = [], 0
        for share, count in zip(truth, clusters, strict=True):
            ease = np.full(count, share)
            if likeness:
                spread = (1 - likeness) / likeness
                ease = rng.beta(share * spread, (1 - share) * spread, count)
            score = (rng.random((count, size)) < ease[:, None]).astype(float).ravel()
            strata.append((score, start + np.repeat(np.arange(count), size)))
            start += count
        low, high = bounds(units_of(strata), weights.tolist())
        held += low <= target <= high
    print(name, held / rounds)
    assert held / rounds >= 0.93
