"""Which differences DARE keeps, drawn by place: `Draw`.

The draw of a number depends on the recipe's seed, the tensor's and the parent's name and the
number's place in the tensor, and on nothing else: a counter-based generator is started at the
place. So no size of pieces, order or count of workers changes a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

#: 32-bit draws that one count of Philox4x64 gives.
_DRAWS = 8


class Draw:
    """Keeps each number with probability ``density``, divided by it (Yu et al. 2024, 2311.03099).

    Philox4x64-10 (Salmon et al. 2011) as raw bits, which numpy promises not to change.
    """

    looks = 0

    def __init__(self, seed: int, tensor: str, parents: Sequence[str], density: float) -> None:
        self._density = density
        self._below = round(density * 2**32)
        self._keys = [_key(seed, tensor, parent) for parent in parents]

    def look(self, number: int, parent: int, base: Tensor, values: Tensor, first: int) -> object:
        """Never asked."""
        raise AssertionError("a draw looks at nothing")

    def settle(self, number: int, parent: int, found: Sequence[object]) -> None:
        """Never asked."""

    def trimmed(self, parent: int, differences: Tensor, first: int) -> Tensor:
        """A block of differences from a place on, 0 where it is not drawn; in place."""
        skipped = first % _DRAWS
        counts = -(-(skipped + differences.numel()) // _DRAWS)
        source = np.random.Philox(key=self._keys[parent], counter=first // _DRAWS)
        bits = source.random_raw(counts * _DRAWS // 2).astype("<u8", copy=False).view("<u4")
        draws = bits[skipped : skipped + differences.numel()]
        kept = torch.from_numpy(draws < self._below)
        return differences.mul_(kept).div_(self._density)


def _key(seed: int, tensor: str, parent: str) -> int:
    text = "\0".join((str(seed), tensor, parent))
    return int.from_bytes(sha256(text.encode()).digest()[:16], "little")
