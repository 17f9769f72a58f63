"""Entropy of ranks, and its bounds by trying out every rank."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lens_ray.stats.entropy import entropy_bounds, rank_among, rank_entropy

SPANS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 3)).map(lambda span: (span[0], sum(span))),
    min_size=1,
    max_size=5,
)


@given(SPANS)
def test_bounds_are_those_of_every_choice_of_ranks(spans: list[tuple[int, int]]) -> None:
    choices = itertools.product(*(range(low, high + 1) for low, high in spans))
    every = rank_entropy(np.array(list(choices)))
    best, worst = (np.array(side) for side in zip(*spans, strict=True))
    assert entropy_bounds(best, worst) == pytest.approx((every.min(), every.max()), abs=1e-12)


def test_wide_spans_of_many_subtasks_are_quick_and_exact() -> None:
    low, high = entropy_bounds(np.full(30, 1), np.full(30, 49))
    assert low == 0.0
    assert high == pytest.approx(np.log(30))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_entropy_is_that_of_scipy(ranks: list[int]) -> None:
    shares = np.unique(ranks, return_counts=True)[1] / len(ranks)
    assert float(rank_entropy(np.array(ranks))) == pytest.approx(float(stats.entropy(shares)))


@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 1)), min_size=1, max_size=9),
       st.floats(-1, 1).map(lambda x: round(x, 1)))  # fmt: skip
def test_ranks_are_those_of_scipy(others: list[float], own: float) -> None:
    joint = -np.array([*others, own])
    wanted = int(stats.rankdata(joint, method="min")[-1])
    assert int(rank_among(np.array(own), others)) == wanted
