"""Tensors, recipes over them, and kernels run over pieces of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lens_ray.merging.kernel import Piece
from lens_ray.merging.methods import kernel_of
from lens_ray.merging.recipe import Parent, Recipe

NAMES = "abcdefgh"


def recipe(method: str, weights: Sequence[float | None], **keys: Any) -> Recipe:
    """Parents ``a``, ``b``, ... with weights; a base where the method needs one."""
    parents = tuple(
        Parent(name=name, path=f"/models/{name}", weight=weight)
        for name, weight in zip(NAMES, weights, strict=False)
    )
    if method in ("task_arithmetic", "ties", "dare_linear", "dare_ties", "model_stock"):
        keys.setdefault("base", Parent(name="start", path="/models/start"))
    return Recipe.model_validate({"method": method, "parents": parents, **keys})


def related(shape: Sequence[int], parents: int, dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
    """A base, and parents that have moved from it a little."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(tuple(shape), generator=generator, dtype=torch.float64)
    moved = [
        base + 0.02 * torch.randn(tuple(shape), generator=generator, dtype=torch.float64)
        for _ in range(parents)
    ]
    return [tensor.to(dtype) for tensor in (base, *moved)]


def merged(
    recipe: Recipe,
    parents: Sequence[Tensor],
    base: Tensor | None = None,
    *,
    rows: int | None = None,
    tensor: str = "layers.0.weight",
) -> Tensor:
    """The merge, in float32 or rounded already, made in pieces of so many rows."""
    first = parents[0]
    kernel = kernel_of(recipe, tensor, first.shape, first.dtype)
    length = first.shape[0] if first.dim() else 1
    step = rows or max(1, length)
    pieces = [
        Piece(
            tensor,
            number,
            (start, min(start + step, length)),
            tuple(_rows(parent, start, start + step) for parent in parents),
            None if base is None else _rows(base, start, start + step),
        )
        for number, start in enumerate(range(0, max(1, length), step))
    ]
    number = 0
    while number < kernel.looks:
        kernel.settle(number, [kernel.look(number, piece) for piece in pieces])
        number += 1
    return torch.cat([kernel.merge(piece) for piece in pieces]).reshape(first.shape)


def _rows(tensor: Tensor, start: int, stop: int) -> Tensor:
    return (tensor[start:stop] if tensor.dim() else tensor).flatten()


_INTEGERS = {
    torch.bfloat16: torch.int16,
    torch.float16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}


def ulps(found: Tensor, exact: Tensor, dtype: torch.dtype) -> int:
    """Largest distance, in units in the last place of a type, between a merge and its reference."""
    a, b = (_ordered(tensor.to(dtype)) for tensor in (found, exact))
    return int((a - b).abs().max())


def _ordered(tensor: Tensor) -> Tensor:
    """Numbers of a type in order as integers; -0.0 and 0.0 are one."""
    bits = tensor.view(_INTEGERS[tensor.dtype]).to(torch.int64)
    least = torch.iinfo(_INTEGERS[tensor.dtype]).min
    return torch.where(bits < 0, least - bits, bits)
