from __future__ import annotations

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS

from lens_ray.stats.contrast import contrast
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.joint import draw_jointly
from tests.stats.fields import field_of


def test_one_stratum_equals_the_cluster_robust_regression() -> None:
    rng = np.random.default_rng(1)
    cluster = np.sort(rng.integers(0, 60, 300))
    ease = rng.normal(0, 1, 60)[cluster]
    a = (ease + rng.normal(0.5, 1, 300) > 0).astype(float)
    b = (ease + rng.normal(0.2, 1, 300) > 0).astype(float)
    marks = field_of(
        {"a": a, "b": b}, ability=["ocr"] * 300, subtask=["x"] * 300,
        cluster=[f"c{number:03d}" for number in cluster],
    )  # fmt: skip
    found = contrast(marks, "a", "b", ability_figures(marks))[0]
    fit = OLS(a - b, np.ones(300)).fit(
        cov_type="cluster",
        cov_kwds={"groups": cluster, "df_correction": True},
        use_t=True,
    )
    clusters = len(np.unique(cluster))
    # statsmodels widens by C / (C - 1) x (n - 1) / (n - k); here k = 1.
    assert found.clusters == clusters
    assert found.difference == pytest.approx(fit.params[0], abs=1e-12)
    assert found.se == pytest.approx(fit.bse[0], abs=1e-12)
    assert found.p == pytest.approx(fit.pvalues[0], abs=1e-9)


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
