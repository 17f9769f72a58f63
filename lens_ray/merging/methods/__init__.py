"""The merge methods, each a `lens_ray.merging.kernel.Kernel`: `kernel_of` chooses."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lens_ray.merging.kernel import Kernel
from lens_ray.merging.methods.linear import Linear
from lens_ray.merging.recipe import Recipe
from lens_ray.merging.weights import Weights


def kernel_of(
    recipe: Recipe,
    tensor: str,
    shape: Sequence[int],
    dtype: torch.dtype,
    weights: Weights | None = None,
) -> Kernel:
    """What merges one tensor.

    Args:
        recipe: The recipe.
        tensor: Its name on disk.
        shape: Its shape.
        dtype: Its floating type on disk.
        weights: Of the recipe, made once for all tensors; None makes them, and reads the score
            table for each call.
    """
    shares = (weights or Weights.of(recipe)).on(tensor)
    return Linear(recipe, shares, dtype)
