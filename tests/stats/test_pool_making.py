"""Pools made of marks and extended into new versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lens_ray.errors import UserError
from lens_ray.stats.marks import Marks
from lens_ray.stats.pool import save_pool
from lens_ray.stats.pool_making import choose_pool, extended, pool_of_marks
from tests.stats.fields import field_of

RIGHT = {"m1": (3, 1), "m2": (4, 2), "m3": (0, 4)}


def marks(*models: str) -> Marks:
    """Four samples of each of two subtasks, chance 0.25 and 0."""
    scores = {
        name: np.array([float(i < right) for right in RIGHT[name] for i in range(4)])
        for name in models
    }
    found = field_of(
        scores, ability=["ocr"] * 8, subtask=["x"] * 4 + ["y"] * 4, chance=[0.25] * 4 + [0.0] * 4
    )
    return replace(found, suite="mine", suite_digest="d" * 64)


def test_a_pool_holds_corrected_scores() -> None:
    """(3/4 - 1/4) / (3/4) = 2/3 of subtask x, 1/4 of y."""
    pool = pool_of_marks("mine", marks("m1", "m2"))
    assert (pool.label, pool.suite_digest, pool.models) == ("mine@1", "d" * 64, ("m1", "m2"))
    assert pool.corrected("ocr", "x") == pytest.approx((2 / 3, 1.0))
    assert pool.corrected("ocr", "y") == pytest.approx((0.25, 0.5))


def test_extending_makes_a_new_version_and_leaves_the_old_one(tmp_path: Path) -> None:
    pool = pool_of_marks("mine", marks("m1", "m2"))
    path = save_pool(pool, tmp_path)
    before = path.read_bytes()
    wider = extended(pool, marks("m3"))
    assert (wider.label, wider.models) == ("mine@2", ("m1", "m2", "m3"))
    assert wider.corrected("ocr", "x") == pytest.approx((2 / 3, 1.0, -1 / 3))
    save_pool(wider, tmp_path)
    assert path.read_bytes() == before
    with pytest.raises(UserError, match="pool mine@2 has the model 'm3' already"):
        extended(wider, marks("m3"))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    pool = pool_of_marks("mine", marks("m1", "m2"))
    other = replace(marks("m3"), suite_digest="e" * 64)
    with pytest.raises(UserError, match=r"mine@1 is of the suite d{12}, these runs answered mine"):
        extended(pool, other)
    path = save_pool(pool, tmp_path)
    assert choose_pool(path, "mine", "d" * 64) == pool
    assert choose_pool(None, "mine", "d" * 64) is None
    with pytest.raises(UserError, match="make one of that suite: lens-ray pool make"):
        choose_pool(path, "mine", "e" * 64)


def test_a_gap_or_a_flat_subtask_is_no_pool() -> None:
    gap = replace(marks("m1"), score=np.array([[1.0] * 4 + [np.nan] * 4]))
    with pytest.raises(UserError, match="m1 has no answered sample of ocr/y"):
        pool_of_marks("mine", gap)
    flat = replace(marks("m1"), chance=np.ones(8))
    with pytest.raises(UserError, match="ocr/x has chance 1 and upper 1"):
        pool_of_marks("mine", flat)
