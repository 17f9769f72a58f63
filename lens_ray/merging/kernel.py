"""How one tensor is merged, piece by piece: the protocol `Kernel`.

A kernel sees a tensor in pieces of whole rows, so that memory does not grow with the model. Those
that need to know something of the whole tensor first (a threshold, a norm) look at every piece
before the first one is merged. What a look finds is settled in the order of the pieces, so the
result depends on no schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of one tensor, in all parents.

    Attributes:
        tensor: Its name on disk.
        number: Of the piece, from 0.
        rows: First row and the one after the last; (0, 1) of a scalar.
        parents: One flat tensor a parent, in the recipe's order, in the type that is on disk;
            float32 where an adapter was folded in.
        base: The same of the base; None where the recipe has none.
        room: Bytes that the merge may be put into and returned in; None makes fresh ones.
    """

    tensor: str
    number: int
    rows: tuple[int, int]
    parents: tuple[Tensor, ...]
    base: Tensor | None
    room: Tensor | None = None


class Kernel(Protocol):
    """The merge of one tensor. `look` and `merge` may be called from several threads at once.

    Attributes:
        looks: How often every piece is looked at before the first one is merged; mostly 0. It
            may grow when a look is settled.
    """

    @property
    def looks(self) -> int:
        """See above."""
        ...

    def look(self, number: int, piece: Piece) -> object:
        """What the look with this number finds in a piece; changes nothing."""
        ...

    def settle(self, number: int, found: Sequence[object]) -> None:
        """Take in what one look found in all pieces, in their order."""
        ...

    def merge(self, piece: Piece) -> Tensor:
        """The merged numbers: flat, float32 (float64 of a float64 tensor).

        Or bfloat16, of such a tensor that is written as one, where neither a parent nor the merge
        holds NaN or infinity: nobody looks for them again.
        """
        ...


def merged_alone(kernel: Kernel, piece: Piece) -> Tensor:
    """The merge of a tensor that is one piece."""
    number = 0
    while number < kernel.looks:
        kernel.settle(number, [kernel.look(number, piece)])
        number += 1
    return kernel.merge(piece)
