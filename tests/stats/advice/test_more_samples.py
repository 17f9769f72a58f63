from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from lens_ray.stats.advice.more_samples import Known, dollars, plan_for, settles, worth


def pair(apart: float, spreads: list[float], size: list[float]) -> Known:
    """Two models without covariance whose ability parts have these variances of a difference."""
    parts = np.stack([np.eye(2) * variance / 2 for variance in spreads])
    return Known(np.array([0.5 + apart, 0.5]), parts, np.array(size))


@pytest.mark.parametrize("apart", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("then", [0.0001, 0.0004])
def test_the_probability_of_deciding_is_what_happens(apart: float, then: float) -> None:
    now, error, indifference = 0.0009, 0.05, 0.02
    rng = np.random.default_rng(5)
    found = rng.normal(apart, (now - then) ** 0.5, 200_000)
    decided = norm.ppf(0.95) * then**0.5 - np.abs(found) <= indifference
    assert settles(apart, now, then, error, indifference) == pytest.approx(
        decided.mean(), abs=0.004
    )


def test_the_plan_is_the_least_that_decides() -> None:
    known = pair(0.03, [0.0009], [400.0])
    more = plan_for(known, 0.05, 0.01)
    assert more is not None
    (count,) = more.tolist()

    def decides(samples: float) -> float:
        return settles(0.03, 0.0009, 0.0009 * 400 / (400 + samples), 0.05, 0.01)

    assert decides(count) >= 0.8 > decides(count - 2)


def test_samples_go_where_the_differences_spread() -> None:
    # Neyman: total samples in proportion to the standard deviation of one sample's difference.
    known = pair(0.02, [0.0008, 0.0002, 0.0], [100.0, 100.0, 100.0])
    more = plan_for(known, 0.05, 0.005)
    assert more is not None
    total = known.size + more
    assert total[0] / total[1] == pytest.approx(2.0, abs=0.02)
    assert more[2] == 0


def test_what_needs_no_samples_and_what_no_samples_decide() -> None:
    settled = plan_for(pair(0.5, [0.0001], [100.0]), 0.05, 0.01)
    assert settled is not None
    assert not settled.any()
    assert plan_for(pair(0.0, [0.0001], [100_000.0]), 0.05, 1e-5) is None
    assert plan_for(pair(0.0, [0.0], [100.0]), 0.05, 0.01) is not None


def test_the_worth_of_samples_for_a_pair_is_the_unit_normal_loss() -> None:
    known = pair(0.02, [0.0009], [400.0])
    _, gain = worth(known, np.array([800.0]), 0.05, 0.01)
    spread = (0.0009 * 2 / 3) ** 0.5
    z = 0.02 / spread
    assert gain == pytest.approx(spread * (norm.pdf(z) - z * norm.cdf(-z)), rel=0.05)
    decides, nothing = worth(known, np.array([0.0]), 0.05, 0.01)
    assert decides == 0.0
    assert nothing == pytest.approx(0.0, abs=1e-9)


def test_dollars() -> None:
    assert dollars({"a": 500, "b": 1000}, {"a": 2.0, "b": 3.0}) == (4.0, None)
    assert dollars({"a": 500, "b": 1}, {"a": 2.0, "b": None}) == (
        None, "what answers of b cost is not known",
    )  # fmt: skip
