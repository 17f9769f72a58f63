"""The largest differences of a tensor, without sorting it: `Magnitude`, the trim of TIES.

The k-th largest magnitude is found digit by digit, a digit being 16 bits of the number's pattern
(patterns of positive floating-point numbers are in the order of the numbers). A look at all pieces
counts one digit in 65,536 bins among the numbers whose digits before it are the threshold's; two
looks of a float32 give the threshold exactly, in O(n), where a full sort would need the whole
tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lens_ray.merging.methods.sums import blocks

_BINS = 1 << 16
#: Numbers that are counted at once: many times the bins, so that setting these up weighs little.
_LOOKED_AT = 1 << 19


@dataclass(slots=True)
class _Digits:
    """What is known of one parent's threshold: its first digits, and its rank among the rest."""

    found: int
    rank: int


class Magnitude:
    """Keeps the ``density`` of a task vector that is largest in magnitude, at least one number.

    Numbers are compared as float32 (float64 of a float64 tensor). Of equal ones at the threshold
    all are kept, so that no order of the numbers decides; a sort that keeps exactly k would drop
    some of them by their place.
    """

    def __init__(self, parents: int, numbers: int, density: float, dtype: torch.dtype) -> None:
        self._wide = dtype == torch.float64
        self.looks = 0 if density == 1 else 4 if self._wide else 2
        kept = min(numbers, max(1, int(density * numbers)))
        self._digits = [_Digits(0, kept) for _ in range(parents)]

    def look(self, number: int, parent: int, base: Tensor, values: Tensor) -> Tensor:
        """Which values the next digit takes in some differences, and how often: two rows.

        Only those that it takes, a few thousand: all pieces' counts are kept until the last look.
        """
        shift = 16 * (self.looks - 1 - number)
        counts = torch.zeros(_BINS, dtype=torch.int64)
        for block in blocks(values.numel(), _LOOKED_AT):
            patterns = self._patterns(self._differences(base[block], values[block]))
            digits = patterns >> shift
            if number:
                digits = digits[digits >> 16 == self._digits[parent].found] & (_BINS - 1)
            counts += torch.bincount(digits, minlength=_BINS)
        taken = counts.nonzero().flatten()
        return torch.stack((taken, counts[taken])).to(torch.int32)

    def settle(self, parent: int, counts: Sequence[Tensor]) -> None:
        """Take the next digit from the counts of all pieces."""
        known = self._digits[parent]
        totals = torch.zeros(_BINS, dtype=torch.int64)
        for taken, times in counts:
            totals.index_add_(0, taken, times.to(torch.int64))
        at_least = totals.flip(0).cumsum(0).flip(0)
        digit = int((at_least >= known.rank).nonzero().max())
        known.rank -= int(at_least[digit] - totals[digit])
        known.found = (known.found << 16) | digit

    def trimmed(self, parent: int, differences: Tensor, first: int) -> Tensor:
        """A block of differences, 0 where it is below the threshold; in place."""
        if self.looks:
            kept = self._patterns(differences) >= self._digits[parent].found
            differences.mul_(kept)
        return differences

    def _differences(self, base: Tensor, values: Tensor) -> Tensor:
        """In float32 where that rounds as float64 and then float32 does, which is slower."""
        narrow = max(base.itemsize, values.itemsize) == 2
        return base.to(torch.float32 if narrow else torch.float64) - values

    def _patterns(self, differences: Tensor) -> Tensor:
        magnitudes = differences.abs()
        if self._wide:
            return magnitudes.view(torch.int64)
        return magnitudes.to(torch.float32).view(torch.int32)
