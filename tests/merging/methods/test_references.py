"""Every method against its formula, written down again in float64 with whole tensors."""

from __future__ import annotations

from collections.abc import Sequence
from math import acos, sin

import numpy as np
import pytest
import torch
from torch import Tensor

from lens_ray.merging.kernel import Piece
from lens_ray.merging.methods.slerp import TINY_ANGLE, Slerp, like_linear
from tests.merging.methods.made import merged, recipe, related, ulps

TYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


def agree(found: Tensor, exact: Tensor, dtype: torch.dtype) -> bool:
    """Within one unit in the last place; of a float64 tensor the reference itself is no better."""
    if dtype == torch.float64:
        return torch.allclose(found, exact, rtol=1e-11, atol=1e-11)
    return ulps(found, exact, dtype) <= 1


SHAPE = (37, 41)
WEIGHTS = (0.3, 0.5, 0.2)


def doubles(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.double() for tensor in tensors]


@pytest.mark.parametrize("dtype", TYPES)
def test_linear(dtype: torch.dtype) -> None:
    _, *parents = related(SHAPE, 3, dtype)
    a, b, c = doubles(parents)
    exact = 0.3 * a + 0.5 * b + 0.2 * c
    assert agree(merged(recipe("linear", WEIGHTS), parents), exact, dtype)


def test_terms_that_nearly_cancel_are_right_to_the_last_place() -> None:
    x = torch.tensor([7.0, 210.0, 1.0], dtype=torch.bfloat16)
    y = torch.tensor([-3.0, -90.0, -0.4296875], dtype=torch.bfloat16)
    found = merged(recipe("linear", (0.3, 0.7)), [x, y])
    exact = 0.3 * x.double() + 0.7 * y.double()
    assert ulps(found, exact, torch.bfloat16) <= 1
    # In float32 the last one is off by far more: the case is worth its test.
    single = 0.3 * x.float() + 0.7 * y.float()
    assert ulps(single, exact, torch.float32) > 1


@pytest.mark.parametrize("dtype", TYPES)
def test_task_arithmetic(dtype: torch.dtype) -> None:
    base, *parents = related(SHAPE, 3, dtype)
    start, *moved = doubles([base, *parents])
    terms = [w * (x - start) for w, x in zip((0.8, -0.3, 1.1), moved, strict=True)]
    exact = start + 0.7 * (terms[0] + terms[1] + terms[2])
    made = merged(recipe("task_arithmetic", (0.8, -0.3, 1.1), scale=0.7), parents, base)
    assert agree(made, exact, dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("normalize", [True, False])
def test_ties(dtype: torch.dtype, normalize: bool) -> None:
    base, *parents = related(SHAPE, 3, dtype)
    how = recipe("ties", WEIGHTS, density=0.4, scale=0.9, normalize=normalize)
    exact = ties(base, parents, 0.4, 0.9, normalize)
    assert agree(merged(how, parents, base), exact, dtype)


def ties(
    base: Tensor, parents: Sequence[Tensor], density: float, scale: float, normalize: bool
) -> Tensor:
    """The paper's three steps: trim by a full sort, elect, disjoint mean."""
    start, *moved = (tensor.double().numpy() for tensor in (base, *parents))
    narrow = np.float64 if base.dtype == torch.float64 else np.float32
    kept = []
    for x in moved:
        delta = x - start
        sizes = np.abs(delta).astype(narrow)
        threshold = np.sort(sizes, axis=None)[::-1][int(density * delta.size) - 1]
        kept.append(np.where(sizes >= threshold, delta, 0.0))
    weighted = [w * delta for w, delta in zip(WEIGHTS, kept, strict=True)]
    summed = weighted[0] + weighted[1] + weighted[2]
    # In the last bits of the sum stands the order of its terms: 0.3 - 0.5 + 0.2 is not 0.
    sign = np.where(np.abs(summed) > 1e-12, np.sign(summed), 0)
    total, weight = np.zeros_like(start), np.zeros_like(start)
    for w, term in zip(WEIGHTS, weighted, strict=True):
        agrees = (np.sign(term) == sign) & (sign != 0)
        total += np.where(agrees, term, 0.0)
        weight += np.where(agrees, w, 0.0)
    if normalize:
        total = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return torch.from_numpy(start + scale * total)


@pytest.mark.parametrize("dtype", TYPES)
def test_slerp(dtype: torch.dtype) -> None:
    _, a, _ = related(SHAPE, 2, dtype, seed=1)
    _, b, _ = related(SHAPE, 2, dtype, seed=2)  # far from a: the arc is not the chord
    x, y = doubles([a, b])
    angle = acos(float((x * y).sum() / (x.norm() * y.norm())))
    exact = (sin(0.75 * angle) * x + sin(0.25 * angle) * y) / sin(angle)
    assert angle > 1.5
    assert agree(merged(recipe("slerp", (0.75, 0.25)), [a, b]), exact, dtype)


def test_slerp_of_neighbours_is_linear_and_says_so() -> None:
    _, a, b = related(SHAPE, 2, torch.bfloat16)
    how = recipe("slerp", (0.75, 0.25))
    kernel = Slerp(how, (0.75, 0.25), torch.bfloat16)
    piece = Piece("x", 0, (0, SHAPE[0]), (a.flatten(), b.flatten()), None)
    kernel.settle(0, [kernel.look(0, piece)])
    assert kernel.angle is not None
    assert 0 < kernel.angle < TINY_ANGLE
    straight = merged(recipe("linear", (0.75, 0.25)), [a, b])
    assert ulps(merged(how, [a, b]), straight, torch.bfloat16) <= 1
    told = like_linear([kernel.angle, 1.2, kernel.angle, None])
    assert told is not None
    assert told.startswith("slerp: 2 of 3 tensors are less than 0.12 rad apart (largest 1.2)")
    assert like_linear([1.0, 0.01, 0.9]) is None
    assert like_linear([None]) is None


@pytest.mark.parametrize("dtype", TYPES)
def test_model_stock(dtype: torch.dtype) -> None:
    base, *parents = related(SHAPE, 3, dtype)
    parents = [(x.double() + 0.01).to(dtype) for x in parents]  # a common direction
    start, *moved = doubles([base, *parents])
    deltas = [(x - start).flatten() for x in moved]
    pairs = [(0, 1), (0, 2), (1, 2)]
    cosines = [
        float(deltas[i] @ deltas[j] / (deltas[i].norm() * deltas[j].norm())) for i, j in pairs
    ]
    mean = sum(cosines) / 3
    share = 3 * mean / (1 + 2 * mean)
    assert 0.1 < share < 0.9
    exact = share * (moved[0] + moved[1] + moved[2]) / 3 + (1 - share) * start
    made = merged(recipe("model_stock", (None, None, None)), parents, base)
    assert agree(made, exact, dtype)


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties"])
def test_dare_keeps_or_drops_each_number_and_rescales(method: str) -> None:
    base = torch.zeros(200, 500)
    parent = torch.full((200, 500), 0.3)
    made = merged(recipe(method, (1.0,), density=0.25), [parent], base)
    kept = made != 0
    assert torch.allclose(made[kept], torch.tensor(1.2))
    # 100,000 draws at 0.25: five standard errors are 0.0068.
    assert abs(float(kept.double().mean()) - 0.25) < 0.0068


def test_dare_draws_for_each_parent_and_tensor_anew() -> None:
    base, parent = torch.zeros(100, 100), torch.ones(100, 100)
    both = recipe("dare_linear", (1.0, 10.0), density=0.5)
    made = merged(both, [parent, parent], base)
    assert {round(float(v)) for v in made.unique()} == {0, 2, 20, 22}
    single = recipe("dare_linear", (1.0,), density=0.5)
    one = merged(single, [parent], base, tensor="x")
    assert not torch.equal(one, merged(single, [parent], base, tensor="y"))
    assert not torch.equal(
        one, merged(recipe("dare_linear", (1.0,), density=0.5, seed=1), [parent], base, tensor="x")
    )


def test_golden_ties_by_hand() -> None:
    base = torch.zeros(4)
    a = torch.tensor([3.0, -2.0, 0.1, 1.0])
    b = torch.tensor([-1.0, -4.0, 5.0, -1.0])
    # Half of four: a keeps 3 and -2, b keeps -4 and 5. Signs +, -, +, none.
    made = merged(recipe("ties", (1.0, 1.0), density=0.5), [a, b], base)
    assert made.tolist() == [3.0, -3.0, 5.0, 0.0]


def test_two_opposed_changes_of_one_size_leave_the_base() -> None:
    base = torch.tensor([1.0, 1.0])
    made = merged(
        recipe("ties", (1.0, 1.0), density=1.0),
        [torch.tensor([1.5, 2.0]), torch.tensor([0.5, 2.0])], base,
    )  # fmt: skip
    assert made.tolist() == [1.0, 2.0]


def test_model_stock_by_hand() -> None:
    base = torch.zeros(2)
    # Right angle: c = 0, nothing in common, the base stays.
    apart = merged(
        recipe("model_stock", (None, None)),
        [torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])],
        base,
    )
    assert apart.tolist() == [0.0, 0.0]
    # 60 degrees: c = 1/2, t = 1 / 1.5 = 2/3.
    half = torch.tensor([0.5, 3**0.5 / 2])
    near = merged(recipe("model_stock", (None, None)), [torch.tensor([1.0, 0.0]), half], base)
    assert near.tolist() == pytest.approx([0.5, 3**0.5 / 6], rel=1e-6)
    # Opposed: 1 + (N - 1) c = 0 has no share; the base stays.
    opposed = merged(
        recipe("model_stock", (None, None)),
        [torch.tensor([1.0, 1.0]), torch.tensor([-1.0, -1.0])],
        base,
    )
    assert opposed.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_weights_that_leave_only_their_rounding_divide_nothing(dtype: torch.dtype) -> None:
    """0.1 + 0.2 - 0.3 is 2.8e-17 as it is added up; a mean over that is no mean."""
    base = torch.zeros(1, 4, dtype=dtype)
    parents = [torch.full((1, 4), value, dtype=dtype) for value in (1.0, 1.0, -1.0)]
    made = merged(recipe("ties", (0.1, 0.2, -0.3), density=1.0), parents, base)
    assert made.abs().max() < 2
