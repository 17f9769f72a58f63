from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.stats.advice.pareto import front

_VALUES = st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=8)


def test_the_front() -> None:
    score = np.array([0.9, 0.8, 0.8, 0.7])
    cheap = np.array([-3.0, -1.0, -2.0, -1.0])
    assert front([score, cheap]).tolist() == [True, True, False, False]


def test_what_is_unknown_speaks_for_neither() -> None:
    nan = float("nan")
    assert front([np.array([0.9, 0.5]), np.array([-1.0, nan])]).tolist() == [True, True]
    # Known of none: does not count.
    assert front([np.array([0.9, 0.5]), np.array([nan, nan])]).tolist() == [True, False]
    assert front([]).tolist() == []


@given(_VALUES)
def test_as_the_definition_says(points: list[tuple[int, int, int]]) -> None:
    found = front([np.array(axis, dtype=float) for axis in zip(*points, strict=True)])
    for mine, kept in zip(points, found.tolist(), strict=True):
        beaten = any(
            all(o >= m for o, m in zip(other, mine, strict=True)) and other != mine
            for other in points
        )
        assert kept is not beaten
