"""Every formula that scipy or statsmodels has, on 1,000 random cases each, to 1e-9."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats import multitest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from lens_ray.stats.clustered import cluster_variance, clustered
from lens_ray.stats.detectable import power_of
from lens_ray.stats.intervals import wilson
from lens_ray.stats.mcnemar import mcnemar_exact
from lens_ray.stats.multiplicity import holm

CASES = 1000
LEVELS = (0.8, 0.9, 0.95, 0.99)
near = pytest.approx


def cases(seed: int) -> Iterator[np.random.Generator]:
    """A source of chance for each case."""
    return (np.random.default_rng([seed, case]) for case in range(CASES))


def test_wilson() -> None:
    for rng in cases(1):
        count = int(rng.integers(1, 4000))
        right = int(rng.integers(0, count + 1))
        level = float(rng.choice(LEVELS))
        oracle = proportion_confint(right, count, 1 - level, method="wilson")
        assert wilson(right / count, count, level) == near(oracle, abs=1e-9)


def test_mcnemar_exact() -> None:
    for rng in cases(2):
        better, worse = (int(each) for each in rng.integers(0, rng.choice([5, 60, 2000]), 2))
        oracle = mcnemar([[7, better], [worse, 9]], exact=True).pvalue
        assert mcnemar_exact(better, worse) == near(min(oracle, 1.0), abs=1e-9)


def test_holm(monkeypatch: pytest.MonkeyPatch) -> None:
    # statsmodels collects garbage in each call, 0.2 s where much is loaded.
    monkeypatch.setattr(gc, "collect", lambda: 0)
    for rng in cases(3):
        pvalues = rng.random(int(rng.integers(1, 12))) ** rng.choice([1, 4])
        oracle = multitest.multipletests(pvalues, method="holm")[1]
        assert holm(pvalues.tolist()) == near(list(oracle), abs=1e-9)


def test_the_t_interval_of_a_mean() -> None:
    for rng in cases(4):
        values = rng.normal(0, 1, int(rng.integers(3, 80)))
        number = np.arange(len(values))
        variance, freedom = clustered(values, 0 * number, number, 1).combined(np.ones(1))
        level = float(rng.choice(LEVELS))
        oracle = stats.ttest_1samp(values, 0.0)
        assert values.mean() / variance**0.5 == near(oracle.statistic, rel=1e-9, abs=1e-9)
        assert freedom == near(oracle.df)
        half = stats.t.ppf((1 + level) / 2, freedom) * variance**0.5
        expected = oracle.confidence_interval(level)
        assert (values.mean() - half, values.mean() + half) == near(tuple(expected), abs=1e-9)


def test_the_cluster_robust_variance_of_a_regression() -> None:
    for rng in cases(5):
        clusters = int(rng.integers(2, 30))
        cluster = np.concatenate([np.arange(clusters), rng.integers(0, clusters, 60)])
        values = rng.normal(0, 1, clusters)[cluster] + rng.normal(0, 1, len(cluster))
        fit = OLS(values, np.ones(len(values))).fit(
            cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True
        )
        sums = clustered(values, 0 * cluster, cluster, 1)
        assert sums.mean[0] == near(fit.params[0], abs=1e-9)
        assert sums.plain[0] == near(fit.bse[0] ** 2, abs=1e-9)


def test_the_cluster_robust_variance_of_strata_that_share_clusters() -> None:
    """Two means of units of the same clusters are a regression on two indicators."""
    for rng in cases(6):
        clusters = int(rng.integers(5, 30))
        cluster = np.concatenate([np.arange(clusters), rng.integers(0, clusters, 60)])
        stratum = rng.permutation(len(cluster)) % 2
        values = rng.normal(0, 1, clusters)[cluster] + rng.normal(0, 1, len(cluster))
        weights = rng.normal(0, 1, 2)
        fit = OLS(values, np.stack([1 - stratum, stratum], axis=1)).fit(
            cov_type="cluster", cov_kwds={"groups": cluster}
        )
        # statsmodels widens by C / (C - 1) (n - 1) / (n - 2), we by the first of the two.
        scale = (len(values) - 1) / (len(values) - 2)
        oracle = weights @ fit.cov_params() @ weights / scale
        sums = clustered(values, stratum, cluster, 2)
        present = sums.stratum
        group = np.zeros(len(present), dtype=np.int64)
        influence = weights[present] * sums.residual
        found, freedom = cluster_variance(influence, sums.cluster, group)
        assert found == near(oracle, rel=1e-9)
        assert freedom == near(clusters - 1)
        moved = float((weights**2 * (sums.variance - sums.plain)).sum())
        assert sums.combined(weights)[0] == near(found + moved, rel=1e-9)


def test_the_welch_interval_of_two_strata() -> None:
    """The difference of two independent means has Satterthwaite's degrees of freedom."""
    for rng in cases(7):
        one, two = (rng.normal(0, rng.uniform(0.2, 3), int(rng.integers(3, 60))) for _ in "ab")
        values = np.concatenate([one, two])
        stratum = np.repeat([0, 1], [len(one), len(two)])
        sums = clustered(values, stratum, np.arange(len(values)), 2)
        variance, freedom = sums.combined(np.array([1.0, -1.0]))
        oracle = stats.ttest_ind(one, two, equal_var=False)
        assert (one.mean() - two.mean()) / variance**0.5 == near(oracle.statistic, abs=1e-9)
        assert freedom == near(oracle.df, rel=1e-9)


def test_the_power_of_the_t_test() -> None:
    solver = TTestPower()
    for rng in cases(8):
        units = int(rng.integers(3, 500))
        effect = float(rng.uniform(0, 4) / math.sqrt(units))
        level = float(rng.choice([0.01, 0.05, 0.1]))
        oracle = solver.power(effect, units, level)
        found = power_of(effect, 1 / math.sqrt(units), units - 1, level)
        assert found == near(oracle, abs=1e-9)
