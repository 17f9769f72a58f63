"""What must hold bit by bit: one-hot, self-merge, order, and independence of pieces."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lens_ray.merging.methods import copied_from, kernel_of
from lens_ray.merging.methods.draw import Draw
from lens_ray.merging.recipe import Recipe
from lens_ray.merging.weights import Weights
from tests.merging.methods.made import merged, recipe, related

#: One recipe a method, of two parents.
RECIPES: dict[str, Recipe] = {
    "linear": recipe("linear", (0.3, 0.7)),
    "window": recipe("window", (None, None)),
    "slerp": recipe("slerp", (0.3, 0.7)),
    "task_arithmetic": recipe("task_arithmetic", (0.3, 0.7), scale=1.1),
    "ties": recipe("ties", (0.3, 0.7), density=0.6),
    "dare_linear": recipe("dare_linear", (0.3, 0.7), density=0.6),
    "dare_ties": recipe("dare_ties", (0.3, 0.7), density=0.6),
    "model_stock": recipe("model_stock", (None, None)),
}
SMALL = (torch.bfloat16, torch.float16, torch.float32)


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def with_odd_numbers(dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    """Zeros of both signs, the smallest and the largest numbers among others."""
    info = torch.finfo(dtype)
    tensor = related((16, 24), 1, dtype, seed)[1]
    tensor[0, :6] = torch.tensor(
        [0.0, -0.0, info.tiny, info.smallest_normal / 4, info.max, info.min]
    )
    return tensor


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("method", ["linear", "slerp"])
def test_one_hot_is_that_parent_bit_by_bit(method: str, dtype: torch.dtype) -> None:
    a, b = with_odd_numbers(dtype), related((16, 24), 1, dtype, 3)[1]
    assert bits(merged(recipe(method, (1.0, 0.0)), [a, b]).to(dtype)) == bits(a)
    assert bits(merged(recipe(method, (0.0, 1.0)), [b, a]).to(dtype)) == bits(a)


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("method", RECIPES)
def test_a_merge_with_itself_is_itself_bit_by_bit(method: str, dtype: torch.dtype) -> None:
    a = with_odd_numbers(dtype)
    base = a if RECIPES[method].base else None
    assert bits(merged(RECIPES[method], [a, a], base).to(dtype)) == bits(a)


@pytest.mark.parametrize("dtype", SMALL)
def test_thirds_of_one_parent_are_that_parent(dtype: torch.dtype) -> None:
    a = with_odd_numbers(dtype)
    made = merged(recipe("linear", (0.1, 0.2, 0.7)), [a, a, a])
    assert bits(made.to(dtype)) == bits(a)


@pytest.mark.parametrize(
    "method", ["linear", "task_arithmetic", "ties", "dare_linear", "dare_ties"]
)
def test_the_order_of_the_parents_changes_no_bit(method: str) -> None:
    base, *parents = related((50, 30), 3, torch.float32)
    whole = recipe(method, (0.25, 0.35, 0.4))
    expected = merged(whole, parents, base if whole.base else None)
    for order in itertools.permutations(range(3)):
        turned = whole.model_copy(update={"parents": tuple(whole.parents[i] for i in order)})
        made = merged(turned, [parents[i] for i in order], base if whole.base else None)
        assert bits(made) == bits(expected)


@given(rows=st.integers(1, 80), seed=st.integers(0, 20), method=st.sampled_from(sorted(RECIPES)))
@settings(max_examples=40, deadline=None)
def test_the_size_of_pieces_changes_no_bit(rows: int, seed: int, method: str) -> None:
    base, *parents = related((71, 13), 2, torch.bfloat16, seed)
    start = base if RECIPES[method].base else None
    whole = merged(RECIPES[method], parents, start)
    assert bits(merged(RECIPES[method], parents, start, rows=rows)) == bits(whole)


def test_pieces_larger_than_a_block_are_as_rows_one_by_one() -> None:
    base, *parents = related((5, 70_001), 2, torch.bfloat16)
    for method in ("linear", "ties", "dare_ties"):
        start = base if RECIPES[method].base else None
        whole = merged(RECIPES[method], parents, start)
        assert bits(merged(RECIPES[method], parents, start, rows=1)) == bits(whole)


@given(first=st.integers(0, 5000), length=st.integers(1, 700))
@settings(max_examples=100, deadline=None)
def test_a_draw_depends_on_the_place_alone(first: int, length: int) -> None:
    draw = Draw(7, "layers.3.weight", ["a"], 0.5)
    whole = draw.trimmed(0, torch.ones(6000, dtype=torch.float64), 0)
    part = draw.trimmed(0, torch.ones(length, dtype=torch.float64), first)
    assert torch.equal(part, whole[first : first + length])


def test_a_scalar_and_an_empty_tensor() -> None:
    for method, how in RECIPES.items():
        for made in (torch.tensor(2.0), torch.zeros(0, 4)):
            base = made if how.base else None
            assert torch.equal(merged(how, [made, made], base), made), method


def test_what_is_copied_without_reading_the_others() -> None:
    one = recipe("linear", (0.0, 1.0, 0.0))
    assert copied_from(one, "x", Weights.of(one)) == 1
    both = recipe("linear", (0.5, 0.5))
    assert copied_from(both, "x", Weights.of(both)) is None
    scaled = recipe("task_arithmetic", (1.0,))
    assert copied_from(scaled, "x", Weights.of(scaled)) is None


def test_two_looks_are_enough_and_averages_need_none() -> None:
    shape = (1024, 1024)
    looks = {
        method: kernel_of(how, "x", shape, torch.bfloat16).looks for method, how in RECIPES.items()
    }
    assert looks == {
        "linear": 0, "window": 0, "slerp": 1, "task_arithmetic": 0, "ties": 2, "dare_linear": 0,
        "dare_ties": 0, "model_stock": 1,
    }  # fmt: skip
