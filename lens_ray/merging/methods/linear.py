"""Weighted averages: `Linear`, also of windows and of two points."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lens_ray.merging.kernel import Piece
from lens_ray.merging.methods.sums import WeightedSum, all_finite, in_blocks, is_short, ordered
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
        self._short = is_short(recipe, dtype)

    def look(self, number: int, piece: Piece) -> object:
        """Never asked."""
        raise AssertionError("a weighted average looks at nothing")

    def settle(self, number: int, found: Sequence[object]) -> None:
        """Never asked."""

    def merge(self, piece: Piece) -> Tensor:
        """See `lens_ray.merging.kernel.Kernel`."""
        terms = [(self._weights[i], piece.parents[i]) for i in self._order]
        if self._short and all(numbers.dtype == torch.bfloat16 for _, numbers in terms):
            from lens_ray.merging.methods import bfloat16

            rounded = bfloat16.weighted_sum(terms, piece.room)
            unread = set(range(len(piece.parents))) - set(self._order)
            if rounded is not None and all(all_finite(piece.parents[i]) for i in unread):
                return rounded
        add = WeightedSum()
        return in_blocks(
            piece,
            self._dtype,
            lambda block: add([(weight, numbers[block]) for weight, numbers in terms]),
        )
