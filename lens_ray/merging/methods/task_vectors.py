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
from lens_ray.merging.methods.magnitude import Magnitude
from lens_ray.merging.methods.sums import BLOCK, all_finite, in_blocks, is_short, ordered
from lens_ray.merging.recipe import ELECTING, Recipe


class Trim(Protocol):
    """What of a task vector is kept.

    Attributes:
        looks: How often the differences are looked at first; may grow while they are settled.
    """

    looks: int

    def look(self, number: int, parent: int, base: Tensor, values: Tensor, first: int) -> object:
        """What a look finds in some differences between the base and a parent.

        ``first`` is the place of the first one in the tensor.
        """
        ...

    def settle(self, number: int, parent: int, found: Sequence[object]) -> None:
        """Take in what a look found in all pieces."""
        ...

    def trimmed(self, parent: int, differences: Tensor, first: int) -> Tensor:
        """A block of differences in float64, from a place in the tensor on; changed in place."""
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
        self._weights = weights
        self._scale = recipe.scale
        self._order = ordered(recipe, weights)
        self._width = prod(shape[1:])
        self._dtype = dtype
        self._trim = trim
        self._short = is_short(recipe, dtype)
        self._elects = recipe.method in ELECTING
        self._normalizes = recipe.normalizes

    @property
    def looks(self) -> int:
        """See `lens_ray.merging.kernel.Kernel`."""
        return self._trim.looks if self._trim else 0

    def look(self, number: int, piece: Piece) -> object:
        """See `lens_ray.merging.kernel.Kernel`."""
        assert self._trim is not None
        assert piece.base is not None
        trim, base, first = self._trim, piece.base, piece.rows[0] * self._width
        return [trim.look(number, i, base, piece.parents[i], first) for i in self._order]

    def settle(self, number: int, found: Sequence[object]) -> None:
        """See `lens_ray.merging.kernel.Kernel`."""
        assert self._trim is not None
        for place, parent in enumerate(self._order):
            own = [one[place] for one in found if isinstance(one, list)]
            self._trim.settle(number, parent, own)

    def merge(self, piece: Piece) -> Tensor:
        """See `lens_ray.merging.kernel.Kernel`."""
        assert piece.base is not None
        if (rounded := self._compiled(piece, piece.base)) is not None:
            return rounded
        whole = piece.base
        room = [torch.empty(BLOCK, dtype=torch.float64) for _ in range(len(self._order) + 4)]

        def merged(block: slice) -> Tensor:
            base, *rest = (one[: block.stop - block.start] for one in room)
            base.copy_(whole[block])
            first = piece.rows[0] * self._width + block.start
            terms = [
                self._term(i, torch.sub(base, into.copy_(piece.parents[i][block]), out=into), first)
                for i, into in zip(self._order, rest, strict=False)
            ]
            if not terms:
                return base
            free = rest[len(terms) :]
            combined = self._elected(terms, free) if self._elects else _total(terms, free[0])
            # A zero added makes -0 zero, and base - 0 is the base whatever its sign.
            return base.sub_(combined.mul_(self._scale).add_(0.0))

        return in_blocks(piece, self._dtype, merged)

    def _compiled(self, piece: Piece, base: Tensor) -> Tensor | None:
        """The merge in bfloat16; None where other types are in it, or NaN, or draws, or nothing."""
        trim, values = self._trim, [piece.parents[i] for i in self._order]
        known = self._short and (trim is None or isinstance(trim, Magnitude))
        alike = all(numbers.dtype == torch.bfloat16 for numbers in (base, *piece.parents))
        if not (known and alike and values):
            return None
        from lens_ray.merging.methods import bfloat16

        dropped = [trim.dropped(i) if isinstance(trim, Magnitude) else -1.0 for i in self._order]
        weights = [self._weights[i] for i in self._order]
        rounded = bfloat16.moved(
            base,
            list(zip(weights, dropped, values, strict=True)),
            scale=self._scale,
            elects=self._elects,
            normalizes=self._normalizes,
            room=piece.room,
        )
        unread = set(range(len(piece.parents))) - set(self._order)
        return rounded if all(all_finite(piece.parents[i]) for i in unread) else None

    def _term(self, parent: int, difference: Tensor, first: int) -> Tensor:
        """wᵢ (base − x), trimmed; in place."""
        if self._trim is not None:
            difference = self._trim.trimmed(parent, difference, first)
        return difference.mul_(self._weights[parent])

    def _elected(self, terms: Sequence[Tensor], free: Sequence[Tensor]) -> Tensor:
        """The sum over the terms that have the elected sign; in place.

        Terms that agree with the sign of the sum S are (Σ|t| + |S|) / 2 in magnitude together.
        No sign is elected where S is nothing but its own rounding: 0.3 - 0.5 + 0.2 is not 0 in
        floating point, and with few bits on disk such differences are not rare. What is left would
        elect by the order of the terms.
        """
        size, total, other = free
        torch.abs(terms[0], out=size)
        for term in terms[1:]:
            size.add_(torch.abs(term, out=other))
        _total(terms, total)
        size.add_(torch.abs(total, out=other))
        # A comparison into floating point takes a third of the time of one into a mask.
        decided = torch.gt(other.mul_(2.0**40), size, out=other)
        sign = total.sign_().mul_(decided)
        magnitude = size.mul_(0.5)
        if self._normalizes:
            weight = other.zero_()
            for place, term in zip(self._order, terms, strict=True):
                agrees = torch.gt(term.mul_(sign), 0, out=term)
                weight.add_(agrees, alpha=self._weights[place])
            # Weights of both signs may leave nothing but their rounding, which divides by nothing.
            least = sum(abs(self._weights[place]) for place in self._order) / 2.0**40
            magnitude.div_(weight.masked_fill_(weight.abs() <= least, 1.0))
        return magnitude.mul_(sign)


def _total(terms: Sequence[Tensor], into: Tensor) -> Tensor:
    into.copy_(terms[0])
    for term in terms[1:]:
        into.add_(term)
    return into
