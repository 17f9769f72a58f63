"""How far checkpoints wander: against simulation of random walks, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lens_ray.online.wander import (
    Scatter,
    Wander,
    around,
    around_without_largest,
    directions,
    reach,
    step_variance,
    times_of,
)
from lens_ray.online.windows import Windows
from lens_ray.stats.units import Floats


def walks(rng: np.random.Generator, times: Floats, sigma: float, count: int) -> Floats:
    """Random walks at some times; the first moved from 0 by its own time."""
    gaps = np.diff(times, prepend=0.0)
    moved: Floats = np.cumsum(sigma * np.sqrt(gaps) * rng.standard_normal((count, len(times))), 1)
    return moved


@pytest.mark.parametrize(
    ("early", "late"), [([1, 2, 3], [7, 8]), ([1], [2]), ([0.5, 4.0], [4.5, 5.0, 9.0])]
)
def test_reach_is_the_variance_of_walks(early: list[float], late: list[float]) -> None:
    rng = np.random.default_rng(0)
    times = np.array([*early, *late], dtype=np.float64)
    moved = walks(rng, times, 1.0, 200_000)
    gain = moved[:, len(early) :].mean(1) - moved[:, : len(early)].mean(1)
    assert reach(np.array(early), np.array(late)) == pytest.approx(gain.var(), rel=0.02)


def test_neighbours_reach_one_step() -> None:
    assert reach(np.array([3.0]), np.array([4.0])) == pytest.approx(1.0)


def test_directions_are_independent_in_a_walk() -> None:
    times = np.array([0.0, 1.0, 2.0, 4.0, 5.0])
    weights, variance = directions(times)
    assert weights.sum(axis=1) == pytest.approx(np.zeros(4), abs=1e-12)
    assert weights @ weights.T == pytest.approx(np.eye(4), abs=1e-12)
    seen = walks(np.random.default_rng(1), times + 1, 1.0, 200_000) @ weights.T
    assert np.cov(seen.T) == pytest.approx(np.diag(variance), abs=0.04)


def scatters(rng: np.random.Generator, sigma: float, noise: float) -> list[Scatter]:
    """Twelve windows of five checkpoints, with noise of known variance."""
    times = np.arange(5.0)
    weights, variance = directions(times)
    found = []
    for row in walks(rng, times + 1, sigma, 12):
        seen = weights @ (row + noise * rng.standard_normal(5))
        found.append(Scatter(seen**2, np.full(4, noise**2), variance))
    return found


def test_the_step_variance_is_found_beside_the_noise_of_items() -> None:
    rng = np.random.default_rng(2)
    found = [step_variance(scatters(rng, 0.8, 1.0)) for _ in range(600)]
    values = np.array([one.value for one in found if one is not None])
    errors = np.array([one.error for one in found if one is not None])
    assert values.mean() == pytest.approx(0.64, abs=0.04)
    assert values.std() == pytest.approx(errors.mean(), rel=0.2)


def test_without_wander_little_is_found() -> None:
    rng = np.random.default_rng(3)
    values = [one.value for _ in range(300) if (one := step_variance(scatters(rng, 0.0, 1.0)))]
    assert np.mean(np.array(values) == 0) == pytest.approx(0.5, abs=0.15)
    assert np.quantile(values, 0.95) < 0.4


def test_a_few_deviations_tell_nothing() -> None:
    few = scatters(np.random.default_rng(4), 1.0, 1.0)[:2]
    assert step_variance(few) is None


def test_around_by_hand() -> None:
    """Mean square 2.5, noise 1: 1.5 beyond it, raised by half of sqrt(2 / 4) times 2.5."""
    found = around([1.0, -1.0, 2.0, 2.0], [1.0] * 4, 0.5)
    assert found is not None
    assert found.variance == pytest.approx(1.5 + 0.5 * 0.5**0.5 * 2.5)
    assert around([1.0, 2.0], [1.0, 1.0], 0.5) is None


def test_leaving_out_the_largest_is_made_up_for() -> None:
    rng = np.random.default_rng(5)
    seen = [
        found.variance
        for row in rng.standard_normal((4000, 5))
        if (found := around_without_largest(row.tolist(), [0.0] * 5, 0.0))
    ]
    assert np.mean(seen) == pytest.approx(1.0, abs=0.04)
    assert around_without_largest([1.0, 2.0, 3.0], [1.0] * 3, 0.0) is None


def test_what_rose_does_not_hide_what_fell() -> None:
    quiet, loud = (
        around_without_largest([0.1, 0.2, -0.1, 0.1, large], [0.01] * 5, 0.0)
        for large in (0.2, 9.0)
    )
    assert quiet is not None
    assert loud is not None
    assert loud.variance == pytest.approx(quiet.variance)


def test_degrees_of_freedom_are_those_of_the_larger_part() -> None:
    assert Wander(3.0, 4.0).freedom(1.0, 100.0) == pytest.approx(16 / (0.01 + 9 / 4))
    assert Wander(0.0, 4.0).freedom(1.0, 100.0) == pytest.approx(100.0)


def test_time_is_counted_in_usual_distances() -> None:
    early, late = times_of(Windows((0, 1), (4,)), np.array([100.0, 200.0, 300.0, 400.0, 900.0]))
    assert early.tolist() == [1.0, 2.0]
    assert late.tolist() == [9.0]
