"""Sums of task vectors, trimmed or not: `TaskVectors`.

==================  ===========  =======================================================
method              trim         combined by
==================  ===========  =======================================================
``task_arithmetic``  none         sum (Ilharco et al. 2023, arXiv 2212.04089)
``ties``             `Magnitude`  elected sign, mean (Yadav et al. 2023, arXiv 2306.01708)
``dare_linear``      `Draw`       sum (Yu et al. 2024, arXiv 2311.03099)
``dare_ties``        `Draw`       elected sign, mean
==================  ===========  =======================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from lens_ray.merging.kernel import Piece
from lens_ray.merging.methods.sums import in_blocks, ordered
from lens_ray.merging.recipe import ELECTING, Recipe


class Trim(Protocol):
    """What of a task vector is kept.

    Attributes:
        looks: How often the differences are looked at first.
    """

    looks: int

    def look(self, number: int, parent: int, base: Tensor, values: Tensor) -> Tensor:
        """What a look finds in some differences between the base and a parent, in counts."""
        ...

    def settle(self, parent: int, counts: Sequence[Tensor]) -> None:
        """Take in the counts of all pieces."""
        ...

    def trimmed(self, parent: int, differences: Tensor, first: int) -> Tensor:
        """A block of differences from a place in the tensor on; may be changed in place."""
        ...


class TaskVectors:
    """out = base + scale · c(τ₁, ..., τₙ) with τᵢ = trim(xᵢ − base).

    Summed, c = Σ wᵢ τᵢ. Elected, a number's sign is that of Σ wᵢ τᵢ, and c = Σ wᵢ τᵢ over the
    parents whose wᵢ τᵢ has it, divided by their Σ wᵢ unless ``normalize: false``. Where the sum is
    0 no sign is elected and the base stays, as the paper's formula has it.

    Differences are taken the other way round, base − x: then base − 0 is the base bit by bit where
    nothing has changed, and a negative zero stays one.
    """

    def __init__(
        self,
        recipe: Recipe,
        weights: Sequence[float],
        shape: Sequence[int],
        dtype: torch.dtype,
        trim: Trim | None,
    ) -> None:
        self.looks = trim.looks if trim else 0
        self._weights = weights
        self._scale = recipe.scale
        self._order = ordered(recipe, weights)
        self._width = prod(shape[1:])
        self._dtype = dtype
        self._trim = trim
        self._elects = recipe.method in ELECTING
        self._normalizes = recipe.normalizes

    def look(self, number: int, piece: Piece) -> object:
        """See `lens_ray.merging.kernel.Kernel`."""
        assert self._trim is not None
        assert piece.base is not None
        trim, base = self._trim, piece.base
        return [trim.look(number, i, base, piece.parents[i]) for i in self._order]

    def settle(self, number: int, found: Sequence[object]) -> None:
        """See `lens_ray.merging.kernel.Kernel`."""
        assert self._trim is not None
        for place, parent in enumerate(self._order):
            counts = [one[place] for one in found if isinstance(one, list)]
            self._trim.settle(parent, counts)

    def merge(self, piece: Piece) -> Tensor:
        """See `lens_ray.merging.kernel.Kernel`."""
        assert piece.base is not None
        whole = piece.base

        def merged(block: slice) -> Tensor:
            base = whole[block].to(torch.float64)
            first = piece.rows[0] * self._width + block.start
            terms = [self._term(i, base - piece.parents[i][block], first) for i in self._order]
            if not terms:
                return base
            combined = self._elected(terms) if self._elects else _total(terms)
            return base.sub_(combined.mul_(self._scale))

        return in_blocks(piece, self._dtype, merged)

    def _term(self, parent: int, difference: Tensor, first: int) -> Tensor:
        """wᵢ (base − x), trimmed."""
        if self._trim is not None:
            difference = self._trim.trimmed(parent, difference, first)
        return difference.mul_(self._weights[parent])

    def _elected(self, terms: Sequence[Tensor]) -> Tensor:
        """The sum over the terms that have the elected sign; in place.

        Magnitudes are summed and the sign is put back, since a clamp takes half as long as a mask.
        """
        sign = _sign(terms)
        magnitude = torch.zeros_like(sign)
        weight = torch.zeros_like(sign)
        for place, term in zip(self._order, terms, strict=True):
            magnitude.add_(term.mul_(sign).clamp_(min=0))
            if self._normalizes:
                weight.add_(term.sign_(), alpha=self._weights[place])
        if self._normalizes:
            weight[weight == 0] = 1
            magnitude.div_(weight)
        return magnitude.mul_(sign)


def _sign(terms: Sequence[Tensor]) -> Tensor:
    """Of the sum of some terms; 0 where the sum is nothing but its own rounding.

    0.3 - 0.5 + 0.2 is not 0 in floating point, and with few bits on disk such differences are not
    rare: what is left would elect a sign by the order of the terms.
    """
    total = _total(terms)
    size = terms[0].abs()
    for term in terms[1:]:
        size.add_(term.abs())
    decided = total.abs() > size.mul_(2.0**-40)
    return total.sign_().mul_(decided)


def _total(terms: Sequence[Tensor]) -> Tensor:
    total = terms[0].clone()
    for term in terms[1:]:
        total.add_(term)
    return total
