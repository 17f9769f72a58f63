"""V1: are the numbers what the recipe says? `algebra`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lens_ray.merging.checks import Check
from lens_ray.merging.recipe import Recipe
from lens_ray.merging.verify.policy import AlgebraLimits


def algebra(
    folder: Path,
    recipe: Recipe,
    parents: Sequence[Path],
    base: Path | None = None,
    limits: AlgebraLimits | None = None,
) -> tuple[Check, ...]:
    """Try the identities of a method on some tensors, and recompute row blocks in float64.

    Args:
        folder: Of the merge; it may still be called ``.partial``.
        recipe: How it was made.
        parents: Local folders, in the recipe's order.
        base: Local folder of the base.
        limits: How much is recomputed; None takes the defaults.

    Returns:
        One check a name.
    """
    raise NotImplementedError
