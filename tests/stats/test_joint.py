"""The joint bootstrap: many clusters are weighted in another way with the same covariance."""

from __future__ import annotations

import numpy as np
import pytest

from lens_ray.stats import joint
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.joint import draw_jointly
from tests.stats.fields import field_of


def test_many_clusters_get_weights_with_the_same_covariance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(4)
    size = 600
    ease = np.repeat(rng.normal(0, 1, size // 3), 3)
    scores = {
        name: (ease + rng.normal(0, 1, size) + shift > 0).astype(float)
        for name, shift in (("a", 0.3), ("b", 0.0), ("c", -0.5))
    }
    marks = field_of(
        scores,
        ability=["ocr", "counting", "ocr"] * (size // 3),
        subtask=["x", "y", "z"] * (size // 3),
        cluster=[f"c{number // 3}" for number in range(size)],
    )
    figures = ability_figures(marks)
    drawn = draw_jointly(marks, "key", 20_000).replicates(figures).reshape(20_000, -1)
    monkeypatch.setattr(joint, "_MANY", 1)
    weighted = draw_jointly(marks, "key", 20_000).replicates(figures).reshape(20_000, -1)
    assert not np.allclose(drawn[0], weighted[0])
    one, two = (np.cov(each, rowvar=False) for each in (drawn, weighted))
    assert one == pytest.approx(two, abs=0.05 * one.diagonal().max())
    assert drawn.mean(axis=0) == pytest.approx(weighted.mean(axis=0), abs=1e-3)


def test_the_same_key_gives_the_same_draw() -> None:
    marks = field_of(
        {"a": (np.arange(40) % 3 > 0).astype(float)}, ability=["ocr"] * 40, subtask=["x"] * 40
    )  # fmt: skip
    one, two, other = (draw_jointly(marks, key, 50) for key in ("k", "k", "l"))
    np.testing.assert_array_equal(one.deviations, two.deviations)
    assert one.seed == two.seed
    assert not np.array_equal(one.deviations, other.deviations)
