"""Bfloat16 numbers merged in one pass, compiled by numba.

Torch holds Python's lock between its operations, each of which takes microseconds on a block that
fits a processor's cache: two threads that merge 3 x 10^9 numbers so waited for each other more than
they worked (4.7 s of cores, rounding included; one alone 1.4, this 0.8). Compiled code holds no
lock while a whole piece is read, computed in float64 and rounded. Fresh memory is not free either:
a quarter of the time of a piece.

Every number comes out as torch's operations give it, one by one, which the other types go through.
Numba is imported with this module (0.4 s); what it compiles, a second or two for each count of
parents, it keeps on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numba
import numpy as np
import torch
from numba.core.caching import NullCache

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

#: Numbers computed at once: some 10 KB a parent, which stay in the first cache.
_BLOCK = 1024
#: A sum of terms is nothing but its own rounding where it is smaller than theirs by this factor.
_DECIDED = 2.0**40

_F = TypeVar("_F", bound=Callable[..., Any])


def _compiled(function: _F) -> _F:
    """No product is fused with a sum: the compiler does nothing of the kind unasked."""
    compiled: Any
    try:
        compiled = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither this folder nor the home can be written: compiled each time
        compiled = numba.njit(nogil=True)(function)
    made: _F = compiled
    return made


def _run(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call what is compiled; where it cannot be kept or read again, it is compiled each time."""
    try:
        return function(*arguments)
    except Exception:  # a full disk, or whatever a damaged file of the cache makes of it
        for one in (_widen, _round, _elect, _sum, _moved, _count):
            vars(one)["_cache"] = NullCache()
        return function(*arguments)


def weighted_sum(
    terms: Sequence[tuple[float, Tensor]], room: Tensor | None = None
) -> Tensor | None:
    """Σ wᵢ xᵢ, summed in float64 in this order, rounded to float32 and to bfloat16 (to even).

    Args:
        terms: At least one weight and its numbers; flat, as many of each, bfloat16.
        room: Bytes that the sum is put into; None makes fresh ones.

    Returns:
        Flat, bfloat16; None where a number of it is NaN or infinite.
    """
    values = tuple(_patterns(numbers) for _, numbers in terms)
    out = _room(room, values[0].size)
    weights = np.array([weight for weight, _ in terms])
    finite = _run(_sum, values, weights, _patterns(out))
    return out if finite else None


def moved(
    base: Tensor,
    terms: Sequence[tuple[float, float, Tensor]],
    *,
    scale: float,
    elects: bool,
    normalizes: bool,
    room: Tensor | None = None,
) -> Tensor | None:
    """Base + scale · c(τ₁, ..., τₙ), as `lens_ray.merging.methods.task_vectors` has it.

    Args:
        base: Flat, bfloat16.
        terms: At least one weight, the largest magnitude of a difference that is dropped (negative
            drops none), and the parent's numbers.
        scale: Of the combined differences.
        elects: Whether signs are elected.
        normalizes: Whether what is elected is a mean.
        room: Bytes that the result is put into; None makes fresh ones.

    Returns:
        Flat, bfloat16; None where a number of it, of a parent or of the base is NaN or infinite.
    """
    values = tuple(_patterns(numbers) for _, _, numbers in terms)
    weights = np.array([weight for weight, _, _ in terms])
    dropped = np.array([most for _, most, _ in terms])
    out = _room(room, values[0].size)
    finite = _run(
        _moved, _patterns(base), values, weights, dropped, scale, elects, normalizes, _patterns(out)
    )
    return out if finite else None


def counted(
    base: Tensor, values: Tensor, low: float, high: float, most: int
) -> tuple[int, int, int, NDArray[np.floating] | None]:
    """How large the differences are, in float32, compared with a bracket.

    Args:
        base: Flat, bfloat16.
        values: A parent's numbers.
        low: Lower end of the bracket.
        high: Its upper end.
        most: More numbers between the ends are not collected.

    Returns:
        How many are above the bracket, at its upper and at its lower end; and those between the
        ends, None where they are too many.
    """
    inside = np.empty(most + _BLOCK, np.float32)
    ends = np.float32(low), np.float32(high)
    above, at_high, at_low, held = _run(
        _count, _patterns(base), _patterns(values), *ends, inside, most
    )
    return int(above), int(at_high), int(at_low), inside[:held].copy() if held <= most else None


def _patterns(numbers: Tensor) -> Any:
    return numbers.view(torch.uint16).numpy()


def _room(room: Tensor | None, numbers: int) -> Tensor:
    size = 2 * numbers
    return (torch.empty(size, dtype=torch.uint8) if room is None else room)[:size].view(
        torch.bfloat16
    )


# Each loop below is one that the compiler can vectorise, in 32 bits or in float64.


@_compiled
def _widen(patterns: Any, bits: Any) -> None:
    """Patterns of bfloat16 to those of float32."""
    for i in range(patterns.size):
        bits[i] = np.uint32(patterns[i]) << 16


@_compiled
def _round(total: Any, bits: Any, wide: Any, odd: Any, rounded: Any) -> None:
    """To float32 and to bfloat16, halves to even.

    The highest bit of ``odd`` is set where an exponent is all ones, as of infinity and NaN.
    """
    many = rounded.size
    for i in range(many):
        wide[i] = np.float32(total[i])
    for i in range(many):
        bits[i] += np.uint32(0x7FFF) + ((bits[i] >> 16) & np.uint32(1))
    for i in range(many):
        odd[i] |= (bits[i] & np.uint32(0x7FFFFFFF)) + np.uint32(0x00800000)
    for i in range(many):
        rounded[i] = bits[i] >> 16


@_compiled
def _sum(values: Any, weights: Any, out: Any) -> Any:
    """The first term is set and not added to zero, which would lose a negative zero."""
    total = np.empty(_BLOCK, np.float64)
    bits = np.empty(_BLOCK, np.uint32)
    wide = bits.view(np.float32)
    odd = np.zeros(_BLOCK, np.uint32)
    for start in range(0, out.size, _BLOCK):
        many = min(_BLOCK, out.size - start)
        for term in range(len(values)):
            weight = weights[term]
            _widen(values[term][start : start + many], bits)
            if term == 0:
                for i in range(many):
                    total[i] = weight * np.float64(wide[i])
            else:
                for i in range(many):
                    total[i] += weight * np.float64(wide[i])
        _round(total, bits, wide, odd, out[start : start + many])
    return odd.max() < 0x80000000


@_compiled
def _moved(
    base: Any, values: Any, weights: Any, dropped: Any, scale: Any, elects: Any, normalizes: Any,
    out: Any,
) -> Any:  # fmt: skip
    origin = np.empty(_BLOCK, np.float64)
    total = np.empty(_BLOCK, np.float64)
    room = np.empty((2, _BLOCK), np.float64)
    terms = np.empty((len(values), _BLOCK), np.float64)
    bits = np.empty(_BLOCK, np.uint32)
    wide = bits.view(np.float32)
    odd = np.zeros(_BLOCK, np.uint32)
    for start in range(0, out.size, _BLOCK):
        many = min(_BLOCK, out.size - start)
        _widen(base[start : start + many], bits)
        for i in range(many):
            origin[i] = np.float64(wide[i])
        for term in range(len(values)):
            weight, most, kept = weights[term], dropped[term], terms[term]
            _widen(values[term][start : start + many], bits)
            for i in range(many):
                apart = origin[i] - np.float64(wide[i])
                kept[i] = weight * (0.0 if abs(apart) <= most else apart)  # NaN stays
        for i in range(many):
            total[i] = terms[0, i]
        for term in range(1, len(values)):
            for i in range(many):
                total[i] += terms[term, i]
        if elects:
            _elect(terms[:, :many], weights, normalizes, total, room)
        for i in range(many):
            total[i] = origin[i] - (total[i] * scale + 0.0)  # base - 0 is the base, -0 too
        _round(total, bits, wide, odd, out[start : start + many])
    return odd.max() < 0x80000000


@_compiled
def _elect(terms: Any, weights: Any, normalizes: Any, total: Any, room: Any) -> None:
    """See ``TaskVectors._elected``: the same, number by number; into ``total``."""
    count, many = terms.shape
    size, share = room[0], room[1]
    for i in range(many):
        size[i] = abs(terms[0, i])
        share[i] = 0.0
    for term in range(1, count):
        for i in range(many):
            size[i] += abs(terms[term, i])
    for i in range(many):
        size[i] += abs(total[i])
        decided = abs(total[i]) * _DECIDED > size[i]
        sign = 1.0 if total[i] > 0.0 else -1.0
        total[i] = sign if decided else 0.0
    if normalizes:
        for term in range(count):
            weight = weights[term]
            for i in range(many):
                share[i] += weight if terms[term, i] * total[i] > 0.0 else 0.0
        least = np.abs(weights).sum() / _DECIDED
        for i in range(many):
            size[i] = size[i] * 0.5 / (share[i] if abs(share[i]) > least else 1.0)
    else:
        for i in range(many):
            size[i] *= 0.5
    for i in range(many):
        total[i] *= size[i]


@_compiled
def _count(base: Any, values: Any, low: Any, high: Any, inside: Any, most: Any) -> Any:
    origin = np.empty(_BLOCK, np.uint32)
    bits = np.empty(_BLOCK, np.uint32)
    sizes = np.empty(_BLOCK, np.float32)
    start_of, wide = origin.view(np.float32), bits.view(np.float32)
    above = at_high = at_low = held = 0
    for start in range(0, values.size, _BLOCK):
        many = min(_BLOCK, values.size - start)
        _widen(base[start : start + many], origin)
        _widen(values[start : start + many], bits)
        for i in range(many):
            sizes[i] = abs(start_of[i] - wide[i])
        over = same_high = same_low = 0
        for i in range(many):
            over += sizes[i] > high
            same_high += sizes[i] == high
            same_low += sizes[i] == low
        above += over
        at_high += same_high
        if low < high:
            at_low += same_low
            if held <= most:
                for i in range(many):
                    inside[held] = sizes[i]
                    held += (sizes[i] > low) & (sizes[i] < high)
    return above, at_high, at_low, held
