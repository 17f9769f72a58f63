"""The threshold of TIES is that of a full sort, whichever way it was found."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lens_ray.merging.methods import magnitude
from lens_ray.merging.methods.magnitude import Magnitude


def trimmed(
    values: Tensor, density: float, dtype: torch.dtype, cuts: Sequence[int] = ()
) -> tuple[Tensor, int]:
    """Differences from zero after the trim, and how many looks it took over these pieces."""
    base = torch.zeros_like(values)
    trim = Magnitude(1, values.numel(), density, dtype)
    number = 0
    while number < trim.looks:
        found = [
            trim.look(number, 0, base[first:last], values[first:last], first)
            for first, last in itertools.pairwise([0, *cuts, values.numel()])
        ]
        trim.settle(number, 0, found)
        number += 1
    return trim.trimmed(0, -values.to(torch.float64), 0), number


def sorted_out(values: Tensor, density: float) -> Tensor:
    """The same by a full sort."""
    kept = min(values.numel(), max(1, int(density * values.numel())))
    sizes = values.to(torch.float64).abs()
    threshold = sizes.sort(descending=True).values[kept - 1]
    return torch.where(sizes >= threshold, -values.to(torch.float64), 0.0)


@given(
    numbers=st.lists(st.floats(-4, 4, width=16), min_size=1, max_size=300),
    density=st.floats(0.001, 1.0),
    wide=st.booleans(),
    sampled=st.sampled_from([1 << 16, 40, 8]),
    inside=st.sampled_from([0.05, 1.0]),
)
@settings(max_examples=150, deadline=None)
def test_the_threshold_is_that_of_a_full_sort(
    numbers: list[float], density: float, wide: bool, sampled: int, inside: float
) -> None:
    values = torch.tensor(numbers, dtype=torch.float64 if wide else torch.float32)
    cuts = [len(numbers) // 3, len(numbers) // 2]
    with patch.multiple(magnitude, _SAMPLED=sampled, _INSIDE=inside, _ERRORS=0.5):
        found, _ = trimmed(values, density, values.dtype, cuts)
    assert torch.equal(found, sorted_out(values, density))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("density", [0.0001, 0.2, 0.9])
def test_two_looks_at_what_is_as_weights_are(dtype: torch.dtype, density: float) -> None:
    values = torch.randn(400_000, generator=torch.Generator().manual_seed(0)).to(dtype)
    found, looks = trimmed(values, density, dtype, [130_000])
    assert looks == 2
    assert torch.equal(found, sorted_out(values, density))


def test_a_sample_that_misleads_costs_looks_and_no_number() -> None:
    values = torch.rand(1 << 18, generator=torch.Generator().manual_seed(0)) + 1
    values[::5] = 0  # every number that the sample takes: 4 divides the length, 5 does not
    found, looks = trimmed(values, 0.5, torch.float32)
    assert looks == 4
    assert torch.equal(found, sorted_out(values, 0.5))


def test_mostly_equal_differences_collect_nothing() -> None:
    values = torch.zeros(1 << 18)
    values[:1000] = torch.arange(1000)
    found, looks = trimmed(values, 0.5, torch.float32)
    assert looks == 2
    assert torch.equal(found, -values.to(torch.float64))


@given(bits=st.integers(1, 0x7F800000), steps=st.integers(-3, 3))
@settings(max_examples=100, deadline=None)
def test_float64_is_trimmed_as_its_float32(bits: int, steps: int) -> None:
    threshold = float(np.int32(bits).view(np.float32))
    edge = magnitude._rounded_below(threshold)
    near = edge
    for _ in range(abs(steps)):
        near = float(np.nextafter(near, np.inf if steps > 0 else 0.0))
    with np.errstate(over="ignore"):
        assert (near > edge) == (np.float32(near) >= np.float32(threshold))
