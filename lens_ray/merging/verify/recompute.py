"""A tensor merged once more, in float64: `reference`, and how far a written number may be off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lens_ray.merging.kernel import Piece, merged_alone
from lens_ray.merging.recipe import Recipe
from lens_ray.merging.weights import Weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Methods whose result at one place depends on that place alone, and which are written out here
#: once more, so that a fault of a kernel cannot hide behind itself.
BY_PLACE = ("linear", "window", "task_arithmetic")
#: Of the terms of a sum, what its own rounding in float64 may come to: 2⁻⁵³ for each of some thirty
#: operations. Where terms cancel, as 0.6 a + 0.3 b + 0.1 c of bfloat16 numbers can do exactly, what
#: is left depends on their order, and units in its last place mean nothing.
_ROUNDING = 2.0**-48
#: Bits of the fraction, and the exponent of the smallest normal number.
_FORMATS = {"F64": (52, -1022), "F32": (23, -126), "F16": (10, -14), "BF16": (7, -126)}


def reference(recipe: Recipe, weights: Weights, piece: Piece, shape: Sequence[int]) -> Tensor:
    """The merged numbers of a piece in float64.

    Of a method in `BY_PLACE` by its formula; of any other by its own kernel on float64 numbers, for
    which the piece must be the whole tensor.
    """
    import torch

    parents = tuple(parent.to(torch.float64) for parent in piece.parents)
    base = None if piece.base is None else piece.base.to(torch.float64)
    if recipe.method not in BY_PLACE:
        whole = Piece(piece.tensor, piece.number, piece.rows, parents, base)
        return by_kernel(recipe, weights, whole, shape, piece.parents[0].dtype)
    # Who weighs nothing is not asked: 0 times infinity, as masks hold it, is no number.
    weighed = [one for one in zip(weights.on(piece.tensor), parents, strict=True) if one[0] != 0]
    if base is None:
        return torch.stack([s * p for s, p in weighed]).sum(0)
    if not weighed:
        return base
    return base + recipe.scale * torch.stack([s * (p - base) for s, p in weighed]).sum(0)


def by_kernel(
    recipe: Recipe,
    weights: Weights,
    piece: Piece,
    shape: Sequence[int],
    compared: torch.dtype | None = None,
) -> Tensor:
    """The merged numbers of one piece, which is all that the kernel sees of its tensor."""
    from lens_ray.merging.methods import kernel_of

    kernel = kernel_of(recipe, piece.tensor, shape, piece.parents[0].dtype, weights, compared)
    return merged_alone(kernel, piece)


def rounding(recipe: Recipe, weights: Weights, piece: Piece) -> Tensor | None:
    """How far `reference` may be off, number by number: by the rounding of its terms.

    None of a method whose reference is its own kernel's, which adds in the same order.
    """
    if recipe.method not in BY_PLACE:
        return None
    shares = weights.on(piece.tensor)
    values = [*piece.parents] if piece.base is None else [*piece.parents, piece.base]
    size = values[0].double().abs()
    for value in values[1:]:
        size += value.double().abs()
    return size.mul_(_ROUNDING * max(1.0, abs(recipe.scale) * sum(abs(s) for s in shares)))


def ulps(found: Tensor, truth: Tensor, dtype: str, near: Tensor | None = None) -> float:
    """The largest distance, in units in the last place of the written type.

    Args:
        found: As written.
        truth: In float64.
        dtype: The written type, as safetensors calls it.
        near: Distances that are none; see `rounding`.

    Returns:
        Infinity where one of them is no number and the other is.
    """
    import torch

    fraction, smallest = _FORMATS[dtype]
    there = found.to(torch.float64)
    # frexp's fractions are in [0.5, 1), so its exponent is one above the format's.
    exponent = torch.frexp(truth)[1].masked_fill(truth == 0, smallest)  # of 0 it says 0
    exponent = exponent.clamp(min=smallest + 1) - 1 - fraction
    apart = (there - truth).abs()
    off = apart / torch.ldexp(torch.ones_like(truth), exponent)
    same = (there == truth) | (there.isnan() & truth.isnan())
    if near is not None:
        same |= (apart <= near) & near.isfinite() & apart.isfinite()
    off = torch.where(same, 0.0, off).nan_to_num(nan=float("inf"))
    return float(off.max()) if off.numel() else 0.0
