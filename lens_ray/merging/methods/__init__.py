"""The merge methods, each a `lens_ray.merging.kernel.Kernel`: `kernel_of` chooses.

`linear`, `slerp`, `model_stock` and `task_vectors` are the kernels. What `task_vectors` keeps of a
difference, `magnitude` (TIES, by `digits`) or `draw` (DARE) says; `sums` adds up in one order, and
`bfloat16` is what is compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch

from lens_ray.merging.kernel import Kernel
from lens_ray.merging.methods.draw import Draw
from lens_ray.merging.methods.linear import Linear
from lens_ray.merging.methods.magnitude import Magnitude
from lens_ray.merging.methods.model_stock import ModelStock
from lens_ray.merging.methods.slerp import Slerp
from lens_ray.merging.methods.task_vectors import TaskVectors, Trim
from lens_ray.merging.recipe import Recipe
from lens_ray.merging.weights import Weights


def kernel_of(
    recipe: Recipe,
    tensor: str,
    shape: Sequence[int],
    dtype: torch.dtype,
    weights: Weights | None = None,
    compared: torch.dtype | None = None,
) -> Kernel:
    """What merges one tensor.

    Args:
        recipe: The recipe.
        tensor: Its name on disk.
        shape: Its shape.
        dtype: Its floating type on disk.
        weights: Of the recipe, made once for all tensors; None makes them, and reads the score
            table for each call.
        compared: Type on disk, where ``dtype`` is that of its copies: TIES keeps what is equal to
            the threshold in this type.
    """
    if recipe.method == "model_stock":
        return ModelStock(recipe, dtype)
    shares = (weights or Weights.of(recipe)).on(tensor)
    if recipe.method in ("linear", "window"):
        return Linear(recipe, shares, dtype)
    if recipe.method == "slerp":
        return Slerp(recipe, shares, dtype)
    trim: Trim | None = None
    if recipe.method == "ties":
        trim = Magnitude(len(recipe.parents), prod(shape), recipe.density, compared or dtype)
    elif recipe.method in ("dare_linear", "dare_ties"):
        names = [parent.name for parent in recipe.parents]
        trim = Draw(recipe.seed, tensor, names, recipe.density)
    return TaskVectors(recipe, shares, shape, dtype, trim)


def copied_from(recipe: Recipe, tensor: str, weights: Weights) -> int | None:
    """The parent of which the merge of a tensor is a copy whatever the others hold, by its place.

    None where more than one weighs something, or an adapter is folded in. A tensor that is the
    same in all parents, and in the base where there is one, is a copy too, under every method.
    """
    if recipe.method not in ("linear", "window", "slerp"):
        return None
    weighing = [place for place, weight in enumerate(weights.on(tensor)) if weight != 0]
    if len(weighing) != 1 or recipe.parents[weighing[0]].adapter is not None:
        return None
    return weighing[0]
