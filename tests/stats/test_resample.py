from __future__ import annotations

import numpy as np
import pytest

from lens_ray.stats.clustered import clustered
from lens_ray.stats.resample import draw
from tests.stats.test_intervals import units_of


def test_a_draw_is_repeatable_and_depends_on_its_key_and_name_only() -> None:
    rng = np.random.default_rng(8)
    first = (rng.random(50), np.arange(50))
    second = (rng.random(50), 50 + np.arange(50))
    both, one = units_of([first, second]), units_of([first])
    deviations = draw(both, ["a", "b"], "run").deviations
    assert np.array_equal(deviations, draw(both, ["a", "b"], "run").deviations)
    assert np.array_equal(deviations[:, 0], draw(one, ["a"], "run").deviations[:, 0])
    assert not np.array_equal(deviations, draw(both, ["a", "b"], "other").deviations)


@pytest.mark.parametrize("count", [40, 1500])
def test_replicates_spread_as_the_cluster_robust_variance_says(count: int) -> None:
    rng = np.random.default_rng(9)
    ease = np.repeat(rng.random(count), 3)
    units = units_of([((rng.random(3 * count) < ease).astype(float), np.repeat(range(count), 3))])
    draws = draw(units, ["a"], "run", 6000)
    sums = clustered(units.score, units.stratum, units.cluster, 1)
    assert draws.variance[0] == pytest.approx(sums.plain[0], rel=1e-12)
    assert draws.deviations[:, 0].var() == pytest.approx(sums.plain[0], rel=0.06)
