"""The k-th largest magnitude, digit by digit: `Digits`.

A digit is 16 bits of the number's pattern (patterns of positive floating-point numbers are in the
order of the numbers). A look at all pieces counts one digit in 65,536 bins among the numbers whose
digits before it are the threshold's; two looks of a float32 give the threshold exactly, in O(n),
whatever the numbers are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lens_ray.merging.methods.sums import blocks

_BINS = 1 << 16
#: Numbers that are counted at once: many times the bins, so that setting these up weighs little.
_LOOKED_AT = 1 << 19


class Digits:
    """The threshold of one parent.

    Attributes:
        looks: How many it takes.
        threshold: None until they are done.
    """

    def __init__(self, kept: int, dtype: torch.dtype) -> None:
        """Find the magnitude of this rank, in float32 or float64."""
        self.looks = 4 if dtype == torch.float64 else 2
        self.threshold: float | None = None
        self._dtype = dtype
        self._integers = torch.int64 if dtype == torch.float64 else torch.int32
        self._done = self._found = 0
        self._rank = kept

    def look(self, base: Tensor, values: Tensor) -> Tensor:
        """Which values the next digit takes in some differences, and how often: two rows.

        Only those that it takes, a few thousand: all pieces' counts are kept until the last look.
        """
        shift = 16 * (self.looks - 1 - self._done)
        counts = torch.zeros(_BINS, dtype=torch.int64)
        for block in blocks(values.numel(), _LOOKED_AT):
            sizes = base[block].to(self._dtype).sub(values[block].to(self._dtype)).abs_()
            digits = sizes.view(self._integers) >> shift
            if self._done:
                digits = digits[digits >> 16 == self._found] & (_BINS - 1)
            counts += torch.bincount(digits, minlength=_BINS)
        taken = counts.nonzero().flatten()
        return torch.stack((taken, counts[taken])).to(torch.int32)

    def settle(self, counts: Sequence[Tensor]) -> None:
        """Take the next digit from the counts of all pieces."""
        totals = torch.zeros(_BINS, dtype=torch.int64)
        for taken, times in counts:
            totals.index_add_(0, taken, times.to(torch.int64))
        at_least = totals.flip(0).cumsum(0).flip(0)
        digit = int((at_least >= self._rank).nonzero().max())
        self._rank -= int(at_least[digit] - totals[digit])
        self._found = (self._found << 16) | digit
        self._done += 1
        if self._done == self.looks:
            pattern = torch.tensor(self._found, dtype=self._integers)
            self.threshold = float(pattern.view(self._dtype))
