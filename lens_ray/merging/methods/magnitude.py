"""The largest differences of a tensor, without sorting it: `Magnitude`, the trim of TIES.

A first look takes a sample, which brackets the threshold. The second one counts what is above the
bracket and collects what is inside, a few hundredths of the tensor, among which the threshold is
found exactly. Where the bracket misses it, or holds too much, `Digits` finds it in two more looks.
Of bfloat16 both looks took 1.6 ns a number, where the digits alone took 9 ns (one thread); compiled
(`lens_ray.merging.methods.bfloat16`) they take less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, gcd, inf, isinf, nextafter, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lens_ray.merging.methods.digits import Digits
from lens_ray.merging.methods.sums import BLOCK, blocks

#: Smallest sample of a tensor, and the largest distance of two numbers in it.
_SAMPLED = 1 << 16
_STRIDE = 256
#: Standard errors of the sample's rank by which the bracket is wide on either side. Neighbours
#: are alike, so the sample is no random one; misses cost two looks, and are right as well.
_ERRORS = 6.0
#: Share of a piece that may be inside: what is collected of all pieces is held at once.
_INSIDE = 0.125


@dataclass(slots=True)
class _Known:
    """Of one parent: how many are kept, the bracket, and the threshold once it is settled."""

    kept: int
    low: float = -inf
    high: float = inf
    threshold: float | None = None
    digits: Digits | None = None


@dataclass(frozen=True, slots=True)
class _Counts:
    """Of a piece: how many lie above the bracket and at its ends, and what is inside.

    ``inside`` is None where it is too much.
    """

    above: int
    at_high: int
    at_low: int
    inside: NDArray[np.floating] | None


class Magnitude:
    """Keeps the ``density`` of a task vector that is largest in magnitude, at least one number.

    Numbers are compared as float32 (float64 of a float64 tensor). Of equal ones at the threshold
    all are kept, so that no order of the numbers decides; a sort that keeps exactly k would drop
    some of them by their place.

    Attributes:
        looks: Grows where a bracket missed.
    """

    def __init__(self, parents: int, numbers: int, density: float, dtype: torch.dtype) -> None:
        self._dtype = torch.float64 if dtype == torch.float64 else torch.float32
        self._numbers = numbers
        self._stride = min(_STRIDE, max(1, numbers // _SAMPLED))
        while gcd(self._stride, numbers) > 1 and self._stride > 1:  # or it meets few columns only
            self._stride += 1
        self.looks = 0 if density == 1 else 1 if self._stride == 1 else 2
        kept = min(numbers, max(1, int(density * numbers)))
        self._parents = [_Known(kept) for _ in range(parents)]

    def look(self, number: int, parent: int, base: Tensor, values: Tensor, first: int) -> object:
        """A sample; or counts, and what is inside the bracket; or counts of a digit."""
        known = self._parents[parent]
        if number == 0:
            chosen = slice(-first % self._stride, None, self._stride)
            return self._sample(base[chosen], values[chosen])
        if known.digits is not None:
            return known.digits.look(base, values)
        return None if known.threshold is not None else self._count(known, base, values)

    def settle(self, number: int, parent: int, found: Sequence[object]) -> None:
        """Take in what a look found in all pieces."""
        known = self._parents[parent]
        if number == 0:
            samples = [one for one in found if isinstance(one, np.ndarray)]
            self._bracket(known, np.sort(np.concatenate(samples)))
        elif known.digits is not None:
            known.digits.settle([one for one in found if isinstance(one, Tensor)])
            known.threshold = known.digits.threshold
        elif known.threshold is None:
            known.threshold = _within(known, [one for one in found if isinstance(one, _Counts)])
            if known.threshold is None:
                known.digits = Digits(known.kept, self._dtype)
                self.looks = 2 + known.digits.looks

    def dropped(self, parent: int) -> float:
        """The largest magnitude of a float64 difference that is not kept; -1 keeps all."""
        threshold = self._parents[parent].threshold
        if not threshold:
            return -1.0
        if self._dtype == torch.float32:
            return _rounded_below(threshold)
        return nextafter(threshold, 0.0)

    def trimmed(self, parent: int, differences: Tensor, first: int) -> Tensor:
        """A block of differences in float64, 0 where it is below the threshold; in place."""
        dropped = self.dropped(parent)
        if dropped < 0:
            return differences
        torch.ops.aten.hardshrink.out(differences, dropped, out=differences)
        return differences

    def _sample(self, base: Tensor, values: Tensor) -> NDArray[np.floating]:
        held = base.to(self._dtype, copy=True)
        return np.asarray(held.sub_(values.to(self._dtype)).abs_().numpy())

    def _bracket(self, known: _Known, sample: NDArray[np.floating]) -> None:
        """From a sorted sample; the threshold itself where the sample is the whole tensor."""
        size = len(sample)
        if self._stride == 1:
            known.threshold = float(sample[size - known.kept]) if size else 0.0
            return
        share = known.kept / self._numbers
        spread = 2 + ceil(_ERRORS * sqrt(size * share * (1 - share)))
        place = size - round(share * size)
        if place - spread >= 0:
            known.low = float(sample[place - spread])
        if place + spread < size:
            known.high = float(sample[place + spread])

    def _count(self, known: _Known, base: Tensor, values: Tensor) -> _Counts:
        low, high = known.low, known.high
        if base.dtype == values.dtype == torch.bfloat16:
            from lens_ray.merging.methods import bfloat16

            return _Counts(*bfloat16.counted(base, values, low, high, int(_INSIDE * len(values))))
        above = at_high = at_low = held = 0
        most = int(_INSIDE * values.numel())
        inside: list[NDArray[np.floating]] = []
        room = torch.empty(2, BLOCK, dtype=self._dtype)
        over, under = np.empty((2, BLOCK), dtype=np.bool_)
        for block in blocks(values.numel()):
            size = block.stop - block.start
            one, two = room[0, :size], room[1, :size]
            sizes = one.copy_(base[block]).sub_(two.copy_(values[block])).abs_().numpy()
            mask, other = over[:size], under[:size]
            here = int(np.count_nonzero(np.greater(sizes, high, out=mask)))
            above += here
            at_high += int(np.count_nonzero(np.greater_equal(sizes, high, out=mask))) - here
            if low < high:
                at_least = int(np.count_nonzero(np.greater_equal(sizes, low, out=mask)))
                at_low += at_least - int(np.count_nonzero(np.greater(sizes, low, out=mask)))
                np.logical_and(mask, np.less(sizes, high, out=other), out=mask)
                held += int(np.count_nonzero(mask))
                if held <= most:
                    inside.append(sizes[mask])
        together = np.concatenate(inside) if inside else np.empty(0, dtype=np.float32)
        return _Counts(above, at_high, at_low, together if held <= most else None)


def _within(known: _Known, found: Sequence[_Counts]) -> float | None:
    """The threshold, where the bracket holds it and everything inside was collected."""
    rank = known.kept - sum(one.above for one in found)
    if rank <= 0:
        return None
    rank -= sum(one.at_high for one in found)
    if rank <= 0:
        return known.high
    parts = [one.inside for one in found if one.inside is not None]
    if len(parts) < len(found):
        return None
    inside = np.concatenate(parts)
    if rank <= len(inside):
        return float(np.partition(inside, len(inside) - rank)[len(inside) - rank])
    rank -= len(inside)
    return known.low if rank <= sum(one.at_low for one in found) else None


def _rounded_below(threshold: float) -> float:
    """The largest number of float64 that is below a number of float32 as float32 rounds it.

    Halves go to the even one. So float64 numbers are trimmed as their float32 would be, and need
    not be made float32 first.
    """
    bits = np.float32(threshold).view(np.int32)
    below = float((bits - np.int32(1)).view(np.float32))
    half = (below + (2.0**128 if isinf(threshold) else threshold)) / 2
    return half if int(bits) % 2 else nextafter(half, 0.0)
