"""An average drawn towards the base by how much the parents disagree: `ModelStock`."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, sqrt

import torch
from torch import Tensor

from lens_ray.merging.kernel import Piece
from lens_ray.merging.methods.sums import blocks, in_blocks, settled
from lens_ray.merging.recipe import Recipe


class ModelStock:
    """out = t · mean(xᵢ) + (1 − t) · base with t = N c / (1 + (N − 1) c).

    From Jang et al. 2024, arXiv 2403.19522: c is the mean cosine between the task vectors of two
    parents in this tensor; of a parent that has not moved it is 0. Where 1 + (N − 1) c is 0 the
    base stays.

    Attributes:
        share: t, once it is settled.
    """

    looks = 1

    def __init__(self, recipe: Recipe, dtype: torch.dtype) -> None:
        self.share = 0.0
        self._dtype = dtype
        names = [parent.name for parent in recipe.parents]
        self._order = sorted(range(len(names)), key=names.__getitem__)

    def look(self, number: int, piece: Piece) -> object:
        """Dot products of all pairs of task vectors, row by row of their matrix."""
        assert piece.base is not None
        parents = len(self._order)
        products = torch.zeros(parents, parents, dtype=torch.float64)
        for block in blocks(piece.base.numel()):
            base = piece.base[block].to(torch.float64)
            moved = torch.stack([base - piece.parents[i][block] for i in self._order])
            products += moved @ moved.T
        return tuple(products.flatten().tolist())

    def settle(self, number: int, found: Sequence[object]) -> None:
        """The share of the mean."""
        rows = [one for one in found if isinstance(one, tuple)]
        products = [fsum(column) for column in zip(*rows, strict=True)]
        parents = len(self._order)
        cosines = []
        for a in range(parents):
            for b in range(a + 1, parents):
                size = sqrt(products[a * (parents + 1)]) * sqrt(products[b * (parents + 1)])
                cosine = products[a * parents + b] / size if size else 0.0
                cosines.append(max(-1.0, min(1.0, cosine)))
        mean = fsum(cosines) / len(cosines)
        below = 1 + (parents - 1) * mean
        self.share = settled(parents * mean / below) if abs(below) >= 1e-6 else 0.0

    def merge(self, piece: Piece) -> Tensor:
        """See `lens_ray.merging.kernel.Kernel`."""
        assert piece.base is not None
        whole = piece.base

        def merged(block: slice) -> Tensor:
            base = whole[block].to(torch.float64)
            total = torch.zeros_like(base)
            for i in self._order:
                total.add_(base - piece.parents[i][block])
            return base.sub_(total.mul_(self.share / len(self._order)))

        return in_blocks(piece, self._dtype, merged)
