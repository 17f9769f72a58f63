from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lens_ray.stats.dvs_res import dvs_and_res
from lens_ray.stats.pool import Pool, make_pool

GRID = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=4, max_size=4)


def pool_of(scores: list[list[float]]) -> Pool:
    """One model a row, one subtask a column."""
    return make_pool(
        "p", 1, "s",
        {f"m{i}": {"ocr": {f"t{j}": value for j, value in enumerate(line)}}
         for i, line in enumerate(scores)},
    )  # fmt: skip


@given(st.lists(GRID, min_size=2, max_size=9), GRID)
def test_equals_numpy_and_scipy(scores: list[list[float]], own: list[float]) -> None:
    matrix = np.array(scores)
    corrected = {f"t{j}": value for j, value in enumerate(own)}
    dvs, res, reason = dvs_and_res(corrected, "ocr", pool_of(scores))
    spread = matrix.std(axis=0, ddof=1)
    if spread.min() > 1e-9:
        z = (np.array(own) - matrix.mean(axis=0)) / spread
        assert dvs == pytest.approx(np.std(z, ddof=1), rel=1e-9, abs=1e-9)
        assert reason is None
    else:
        assert dvs is None
        assert "has no spread on ocr/t" in str(reason)
    joint = np.vstack([matrix, own])
    ranks = [int(stats.rankdata(-joint[:, j], method="min")[-1]) for j in range(4)]
    shares = np.unique(ranks, return_counts=True)[1] / 4
    assert res == pytest.approx(float(stats.entropy(shares)), abs=1e-12)


def test_a_model_of_the_pool_has_the_rank_it_has_in_it() -> None:
    scores = [[0.1, 0.9, 0.5], [0.5, 0.5, 0.5], [0.9, 0.1, 0.7]]
    res = dvs_and_res({"t0": 0.5, "t1": 0.5, "t2": 0.5}, "ocr", pool_of(scores))[1]
    assert res == 0.0  # rank 2 everywhere: its own copy ties, it does not precede


def test_the_same_place_everywhere_is_perfectly_steady() -> None:
    pool = pool_of([[0.0, 0.4], [0.2, 0.8]])
    dvs, res, _ = dvs_and_res({"t0": 0.3, "t1": 1.0}, "ocr", pool)
    assert dvs == pytest.approx(0.0, abs=1e-12)
    assert math.copysign(1, res or 0.0) == 1.0
    assert res == 0.0


@pytest.mark.parametrize(
    ("corrected", "pool", "reason"),
    [
        ({"t0": 0.1, "t1": 0.2}, None, "no pool for this suite"),
        ({"t0": 0.1}, pool_of([[0.1], [0.2]]), "stability needs 2 subtasks, ocr has 1"),
        ({"t0": 0.1, "new": 0.2}, pool_of([[0.1, 0.2], [0.2, 0.3]]), "pool p@1 lacks ocr/new"),
    ],
)
def test_undefined_is_none_with_a_reason(
    corrected: dict[str, float], pool: Pool | None, reason: str
) -> None:
    assert dvs_and_res(corrected, "ocr", pool) == (None, None, reason)


def test_a_pool_of_one_has_ranks_but_no_spread() -> None:
    dvs, res, reason = dvs_and_res({"t0": 0.1, "t1": 0.2}, "ocr", pool_of([[0.0, 0.5]]))
    assert dvs is None
    assert res == pytest.approx(math.log(2), abs=1e-12)
    assert reason == "pool p@1 has no spread on ocr/t0"
