"""Intervals of a standard deviation under noise, against the non-central chi-square."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.api import OLS

from lens_ray.stats.dispersion import Noisy, mean_covariance, normal_noise, sd_bounds


@pytest.mark.parametrize("observed", [1.5, 3.0, 8.0])
def test_the_lower_bound_inverts_the_non_central_chi_square(observed: float) -> None:
    """With equal independent normal noise of variance 1, Q = sum of squares is non-central."""
    values = np.array([-1.0, 0.0, 1.0, 0.5, -0.5])
    values *= observed / values.std(ddof=1)
    noise = normal_noise(np.eye(5), 3, replicates=40_000)
    low, high = sd_bounds([Noisy(values, noise)])
    q = 4 * observed**2

    def excess(spread: float) -> float:
        return float(stats.ncx2.sf(q, 4, 4 * spread**2 + 1e-12)) - 0.025

    exact = optimize.brentq(excess, 0, observed) if excess(0) < 0 else 0.0
    assert low == pytest.approx(exact, abs=0.03)
    assert low <= observed < high


def test_no_noise_leaves_nothing_open() -> None:
    values = np.array([0.1, 0.4, 0.2])
    low, high = sd_bounds([Noisy(values, np.zeros((100, 3)))])
    assert low == pytest.approx(values.std(ddof=1), rel=1e-6)
    assert high == pytest.approx(values.std(ddof=1), rel=1e-6)


def test_values_that_are_all_alike_may_hide_what_noise_hides() -> None:
    noise = normal_noise(np.eye(3) * 0.01, 1)
    low, high = sd_bounds([Noisy(np.full(3, 0.5), noise)])
    assert low == 0.0
    # No more than the noise's own largest spread: 2.5 % of sqrt(chi2_2 / 2) * 0.1 lie above.
    assert 0.05 < high < 0.1 * math.sqrt(stats.chi2.ppf(0.975, 2) / 2)


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=6),
    st.floats(0.01, 1),
    st.floats(0.1, 10),
)
def test_bounds_hold_the_figure_and_scale_with_it(
    values: list[float], noise: float, scale: float
) -> None:
    drawn = normal_noise(np.eye(len(values)) * noise**2, 5, replicates=300)
    y = np.array(values)
    low, high = sd_bounds([Noisy(y, drawn)])
    assert 0 <= low <= y.std(ddof=1) + 1e-12
    assert y.std(ddof=1) - 1e-12 <= high < math.inf
    assert sd_bounds([Noisy(scale * y, scale * drawn)]) == pytest.approx(
        (scale * low, scale * high), rel=1e-4, abs=1e-6
    )


def test_two_groups_that_are_the_same_are_one_figure() -> None:
    """The mean of two equal spreads is the spread; independent noise makes it more certain."""
    values = np.array([0.0, 2.0, 6.0])
    one = Noisy(values, normal_noise(np.eye(3), 1))
    two = Noisy(values, normal_noise(np.eye(3), 2))
    alone, both = sd_bounds([one]), sd_bounds([one, two])
    assert alone[0] < both[0] < values.std(ddof=1) < both[1] < alone[1]


def test_the_covariance_is_the_cluster_robust_one_of_a_regression() -> None:
    """OLS on one dummy a stratum, clusters in several strata; each has C / (C - 1) of its own."""
    rng = np.random.default_rng(1)
    for _ in range(40):
        strata, images = int(rng.integers(2, 5)), int(rng.integers(5, 20))
        units = int(rng.integers(60, 200))
        stratum = np.concatenate(
            [np.tile(np.arange(strata), images), rng.integers(0, strata, units)]
        )
        cluster = np.concatenate(
            [np.repeat(np.arange(images), strata), rng.integers(0, images, units)]
        )
        score = rng.random(len(stratum))
        mean, covariance, clusters = mean_covariance(score, stratum, cluster, np.arange(strata))
        model = OLS(score, np.eye(strata)[stratum]).fit(
            cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False}
        )
        assert clusters.tolist() == [images] * strata
        assert mean == pytest.approx(model.params, abs=1e-12)
        wanted = model.cov_params() * images / (images - 1)
        assert covariance == pytest.approx(wanted, rel=1e-9, abs=1e-15)


def test_a_flat_stratum_has_the_variance_of_agresti_and_coull() -> None:
    """Ten clusters, all right: (10 + 2) / (10 + 4) = 6 / 7, and 6 / 49 / 14."""
    score, where = np.ones(10), np.zeros(10, dtype=np.int64)
    mean, covariance, clusters = mean_covariance(score, where, np.arange(10), np.array([0]))
    assert (mean.tolist(), clusters.tolist()) == ([1.0], [10])
    assert covariance[0, 0] == pytest.approx(6 / 49 / 14)


def test_missing_answers_are_no_units() -> None:
    score = np.array([1.0, np.nan, 0.0, 1.0])
    where = np.zeros(4, dtype=np.int64)
    mean, _, clusters = mean_covariance(score, where, np.arange(4), np.array([0]))
    assert mean[0] == pytest.approx(2 / 3)
    assert clusters[0] == 3
