"""tau against statsmodels, its interval against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats import meta_analysis

from lens_ray.stats.heterogeneity import Measured, cochran_q, tau_bounds, tau_of
from lens_ray.stats.units import Floats


def cases(count: int) -> list[Measured]:
    rng = np.random.default_rng(7)
    found = []
    for _ in range(count):
        size = int(rng.integers(2, 12))
        variance = rng.uniform(1e-4, 0.02, size)
        spread = rng.choice([0.0, 0.02, 0.1, 0.4])
        values = rng.normal(0.5, np.sqrt(spread**2 + variance))
        found.append(Measured(values, variance))
    return found


def test_tau_is_that_of_statsmodels() -> None:
    """At least 1,000 random cases, to 1e-9.

    statsmodels gives up with 0 where rounding brings its last step past the root; those cases are
    known by a Q above its degrees of freedom, and left out.
    """
    compared = zeros = 0
    for case in cases(1400):
        square, converged = meta_analysis._fit_tau_iterative(*case, atol=1e-10, maxiter=500)
        if not converged and cochran_q([case], np.array(0.0))[0] > len(case.values) - 1:
            continue
        mine = float(tau_of([case])) ** 2
        assert mine == pytest.approx(square, rel=1e-9, abs=1e-12)
        compared += 1
        zeros += mine == 0
    assert compared >= 1000
    assert 100 < zeros < compared - 100  # both kinds of case were met


def test_the_whole_analysis_agrees() -> None:
    case = cases(3)[2]
    whole = meta_analysis.combine_effects(*case, method_re="iterated", atol=1e-9)
    assert float(tau_of([case])) ** 2 == pytest.approx(whole.tau2, rel=1e-9, abs=1e-12)


def test_the_interval_is_where_q_has_the_quantiles_of_chi_square() -> None:
    for case in cases(300):
        low, high = tau_bounds([case])
        estimate = float(tau_of([case]))
        assert 0 <= low <= estimate <= high

        def q(square: float, case: Measured = case) -> float:
            return float(cochran_q([case], np.array(square))[0])

        for bound, share in ((low, 0.975), (high, 0.025)):
            wanted = stats.chi2.ppf(share, len(case.values) - 1)
            if q(0.0) <= wanted:
                few = len(case.values) - 1
                hidden = case.variance.mean() * stats.chi2.ppf(0.975, few) / few
                assert bound == pytest.approx(0.0 if share > 0.5 else hidden**0.5)
                continue
            exact = optimize.brentq(lambda s, w=wanted: q(s) - w, 0, 1e4, xtol=1e-15, rtol=1e-14)
            assert bound**2 == pytest.approx(exact, rel=1e-7)


def test_groups_share_one_tau() -> None:
    """Q and degrees of freedom add up; a copy of a group does not change tau."""
    case = Measured(np.array([0.2, 0.5, 0.9]), np.array([0.01, 0.02, 0.01]))
    assert float(tau_of([case, case])) == pytest.approx(float(tau_of([case])), rel=1e-9)
    shifted = Measured(case.values + 0.3, case.variance)
    assert float(tau_of([case, shifted])) == pytest.approx(float(tau_of([case])), rel=1e-9)
    one, two = tau_bounds([case]), tau_bounds([case, shifted])
    assert one[0] < two[0] < two[1] < one[1]


def test_equal_variances_by_hand() -> None:
    """tau^2 = s^2 - v: the values 0.2, 0.5, 0.8 have s^2 = 0.09."""
    case = Measured(np.array([0.2, 0.5, 0.8]), np.full(3, 0.01))
    assert float(tau_of([case])) ** 2 == pytest.approx(0.08, rel=1e-12)
    even = Measured(np.full(3, 0.5), np.full(3, 0.01))
    low, high = tau_bounds([even])
    assert (float(tau_of([even])), low) == (0.0, 0.0)
    # What noise of SD 0.1 shows in 97.5 % of the cases: 0.1 sqrt(7.378 / 2).
    assert high == pytest.approx(0.1 * (7.377759 / 2) ** 0.5, rel=1e-6)


@example([0.0, 1.2276882731063222e-160], 1.0)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6), st.floats(0.5, 5))
def test_replicates_are_worked_out_one_by_one(values: list[float], scale: float) -> None:
    variance: Floats = np.linspace(0.001, 0.01, len(values))
    y = np.array(values)
    many = tau_of([Measured(np.stack([y, scale * y, y + 1]), variance)])
    alone = [float(tau_of([Measured(each, variance)])) for each in (y, scale * y, y + 1)]
    assert many == pytest.approx(alone, rel=1e-9, abs=1e-9)
