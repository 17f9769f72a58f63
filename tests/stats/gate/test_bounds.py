from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from lens_ray.stats.figures import ability_figures
from lens_ray.stats.gate.bounds import Bounded, measured, share_bounds
from tests.stats.gate.grounds import marks_from


def ocr(new: object, old: object | None = None, size: int = 1) -> Bounded:
    score = np.array([new] if old is None else [new, old], dtype=np.float64)
    marks = marks_from(score, size=size)
    return measured(marks, ability_figures(marks))["ocr"]


def test_losses_alone_are_bounded_as_poisson_counts() -> None:
    for losses in (1, 3, 5, 10, 20):
        new = np.ones(4000)
        new[:losses] = 0
        found = ocr(new, np.ones(4000))
        assert found.bounds is not None
        assert found.estimate == pytest.approx(-losses / 4000)
        low, _ = found.bounds(0.05)
        exact = stats.chi2.ppf(0.95, 2 * (losses + 1)) / 2
        # Never shorter than the mid-P bound, at most a tenth longer than the exact one.
        assert exact - 0.6 < -low * 4000 < 1.1 * exact


def test_without_any_difference_the_rule_of_three_holds() -> None:
    found = ocr(np.ones(200), np.ones(200))
    assert found.bounds is not None
    low, high = found.bounds(0.05)
    assert (found.estimate, found.n, found.clusters) == (0.0, 200, 200)
    assert 3.0 / 200 < -low < 3.4 / 200
    assert high == pytest.approx(-low)


def test_where_gains_and_losses_balance_it_is_the_cluster_robust_t_interval() -> None:
    rng = np.random.default_rng(3)
    size, count = 3, 300
    ease = np.repeat(rng.normal(0, 1, count), size)
    new, old = ((ease + rng.normal(0, 1, count * size) > 0).astype(float) for _ in range(2))
    found = ocr(new, old, size=size)
    assert found.bounds is not None
    low, high = found.bounds(0.05)
    fit = OLS(new - old, np.ones(count * size)).fit(
        cov_type="cluster",
        cov_kwds={"groups": np.arange(count * size) // size, "df_correction": True},
        use_t=True,
    )
    wide = fit.conf_int(alpha=0.1)[0]
    # The unseen cluster and a little skewness: a few hundredths of the width.
    assert low == pytest.approx(wide[0], abs=0.06 * (wide[1] - wide[0]))
    assert high == pytest.approx(wide[1], abs=0.06 * (wide[1] - wide[0]))


def test_bounds_widen_with_certainty_and_hold_the_estimate() -> None:
    found = ocr([1, 1, 0, 1, 0, 1, 1, 1] * 5, [1, 0, 0, 1, 1, 1, 0, 1] * 5)
    assert found.bounds is not None
    tails = [0.25, 0.1, 0.05, 0.01, 0.001]
    pairs = [found.bounds(tail) for tail in tails]
    assert found.estimate is not None
    assert all(low < found.estimate < high for low, high in pairs)
    assert [low for low, _ in pairs] == sorted((low for low, _ in pairs), reverse=True)
    assert [high for _, high in pairs] == sorted(high for _, high in pairs)


def test_only_units_that_both_answered_count() -> None:
    nan = np.nan
    found = ocr([1.0, nan, 0.0, 1.0], [1.0, 1.0, nan, 0.0])
    assert (found.n, found.candidate, found.baseline, found.estimate) == (2, 1.0, 0.5, 0.5)
    lost = ocr([1.0, nan], [nan, 1.0])
    assert (lost.estimate, lost.bounds, lost.n) == (None, None, 0)
    assert lost.reason == "ocr/t0 has no unit that both models answered"


def test_a_share_is_bounded_by_its_clusters() -> None:
    statuses = ["refused"] * 20 + ["ok"] * 180
    alone = share_bounds(statuses, [str(place) for place in range(200)], "refused")
    low, high = alone(0.05)
    # Clopper and Pearson's, within a tenth of the distance.
    assert low == pytest.approx(stats.beta.ppf(0.05, 20, 181), abs=0.005)
    assert high == pytest.approx(stats.beta.ppf(0.95, 21, 180), abs=0.005)
    whole = share_bounds(statuses, [str(place // 4) for place in range(200)], "refused")
    assert whole(0.05)[0] < low
    assert whole(0.05)[1] > high
