"""Interpolation on the arc between two tensors: `Slerp`."""

from __future__ import annotations

from collections.abc import Sequence
from math import acos, fsum, sin, sqrt

import torch
from torch import Tensor

from lens_ray.merging.kernel import Piece
from lens_ray.merging.methods.sums import WeightedSum, blocks, in_blocks, settled
from lens_ray.merging.recipe import Recipe

#: Below it the arc's length and the chord's differ by less than bfloat16 can show (ω²/8 < 2⁻⁹).
TINY_ANGLE = 0.12


class Slerp:
    """out = (sin((1 − t) ω) a + sin(t ω) b) / sin ω (Shoemake 1985), t the weight of b.

    ω is the angle between the two tensors taken as vectors. Where sin ω is 0, or one of them is,
    the interpolation is linear.

    Attributes:
        angle: ω in radians, once it is settled; None where a tensor is all zeros.
    """

    looks = 1

    def __init__(self, recipe: Recipe, weights: Sequence[float], dtype: torch.dtype) -> None:
        self.angle: float | None = None
        self._coefficients = (weights[0], weights[1])
        self._weights = (weights[0], weights[1])
        self._dtype = dtype

    def look(self, number: int, piece: Piece) -> object:
        """Σ a², Σ b² and Σ ab of a piece."""
        sums = torch.zeros(3, dtype=torch.float64)
        for block in blocks(piece.parents[0].numel()):
            a, b = (parent[block].to(torch.float64) for parent in piece.parents)
            sums += torch.stack((a.dot(a), b.dot(b), a.dot(b)))
        return tuple(sums.tolist())

    def settle(self, number: int, found: Sequence[object]) -> None:
        """The angle, and the coefficients that it makes."""
        aa, bb, ab = (fsum(column) for column in zip(*_sums(found), strict=True))
        if aa == 0 or bb == 0:
            return
        self.angle = acos(max(-1.0, min(1.0, ab / sqrt(aa * bb))))
        if (whole := sin(self.angle)) > 1e-6:
            a, b = (settled(sin(w * self.angle) / whole) for w in self._weights)
            self._coefficients = (a, b)

    def merge(self, piece: Piece) -> Tensor:
        """See `lens_ray.merging.kernel.Kernel`."""
        add = WeightedSum()
        used = [
            (coefficient, parent)
            for coefficient, parent in zip(self._coefficients, piece.parents, strict=True)
            if coefficient != 0
        ]
        return in_blocks(
            piece, self._dtype, lambda block: add([(c, parent[block]) for c, parent in used])
        )


def like_linear(angles: Sequence[float | None]) -> str | None:
    """What to tell the user of the angles of all tensors; None where the arc is worth its name."""
    known = [angle for angle in angles if angle is not None]
    tiny = sum(angle < TINY_ANGLE for angle in known)
    if not known or 2 * tiny < len(known):
        return None
    return (
        f"slerp: {tiny} of {len(known)} tensors are less than {TINY_ANGLE} rad apart (largest "
        f"{max(known):.3g}), where arc and chord are the same in bfloat16; method: linear with "
        "these weights gives that without a second look at the files"
    )


def _sums(found: Sequence[object]) -> list[tuple[float, ...]]:
    return [one for one in found if isinstance(one, tuple)]
