"""Weighted averages: `Linear`, also of windows and of two points."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lens_ray.merging.kernel import Piece
from lens_ray.merging.methods.sums import WeightedSum, in_blocks, ordered
from lens_ray.merging.recipe import Recipe


class Linear:
    """out = Σ wᵢ xᵢ with Σ wᵢ = 1 (Wortsman et al. 2022, arXiv 2203.05482).

    A parent of weight 0 is not read, so that one-hot weights give that parent bit by bit, its
    negative zeros too.
    """

    looks = 0

    def __init__(self, recipe: Recipe, weights: Sequence[float], dtype: torch.dtype) -> None:
        self._weights = weights
        self._order = ordered(recipe, weights)
        self._dtype = dtype

    def look(self, number: int, piece: Piece) -> object:
        """Never asked."""
        raise AssertionError("a weighted average looks at nothing")

    def settle(self, number: int, found: Sequence[object]) -> None:
        """Never asked."""

    def merge(self, piece: Piece) -> Tensor:
        """See `lens_ray.merging.kernel.Kernel`."""
        add = WeightedSum()
        return in_blocks(
            piece,
            self._dtype,
            lambda block: add([(self._weights[i], piece.parents[i][block]) for i in self._order]),
        )
