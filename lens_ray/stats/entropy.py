"""Entropy of a model's ranks over subtasks, and what it can be where ranks are uncertain."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np

from lens_ray.stats.units import Floats, Ints

#: Scores nearer than this are a tie, and a spread below it is none: rounding, not merit.
TIE = 1e-9


def rank_among(own: Floats, others: Sequence[float]) -> Ints:
    """1 + how many of the others are strictly higher, for each of some scores."""
    ladder = np.sort(np.asarray(others, dtype=np.float64))
    above: Ints = len(ladder) - np.searchsorted(ladder, own + TIE, side="right")
    return above.astype(np.int64) + 1


def rank_entropy(ranks: Ints) -> Floats:
    """Shannon entropy, natural logarithm, of the distribution of ranks.

    Args:
        ranks: Any shape x subtasks.

    Returns:
        Of that shape.
    """
    width = ranks.shape[-1]
    alike = np.stack([(ranks == ranks[..., [place]]).sum(axis=-1) for place in range(width)])
    found: Floats = np.log(width / alike).sum(axis=0) / width
    return found


def entropy_bounds(best: Ints, worst: Ints) -> tuple[float, float]:
    """The least and the greatest entropy of ranks that lie between bounds.

    Args:
        best: The lowest possible rank of each subtask.
        worst: The highest.

    Returns:
        Both, exact.
    """
    spans = tuple(sorted(zip(best.tolist(), worst.tolist(), strict=True)))
    return entropy_of(_fullest(spans)), entropy_of(_evenest(spans).tolist())


def entropy_of(counts: Collection[int]) -> float:
    """Shannon entropy, natural logarithm, of how many subtasks have each rank."""
    total = sum(counts)
    # From 0.0, so that a single rank gives 0 and not -0.
    return 0.0 - math.fsum(n / total * math.log(n / total) for n in counts if n)


@lru_cache(maxsize=4096)
def _fullest(spans: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Group sizes of least entropy.

    sum n log n is convex, so moving a subtask to a larger group lowers the entropy: the largest
    group takes every subtask that can have its rank, and so on with the rest. Which rank comes
    first is tried out.
    """
    if not spans:
        return ()
    taken: dict[tuple[tuple[int, int], ...], int] = {}
    for rank in {high for _, high in spans}:
        rest = tuple(span for span in spans if not span[0] <= rank <= span[1])
        taken[rest] = len(spans) - len(rest)
    # A rest that holds another one is no better than it.
    least = [rest for rest in taken if not any(set(other) < set(rest) for other in taken)]
    tried = [(taken[rest], *_fullest(rest)) for rest in least]
    return min(tried, key=entropy_of)


def _evenest(spans: Sequence[tuple[int, int]]) -> Ints:
    """Group sizes of greatest entropy: an assignment with costs that rise as a rank fills up."""
    from scipy.optimize import linear_sum_assignment

    size = len(spans)
    ranks = sorted({rank for low, high in spans for rank in range(low, min(high, low + size) + 1)})
    seats = np.arange(1, size + 1)
    full = seats * np.log(seats)
    cost = np.diff(full, prepend=0.0)
    table = np.full((size, len(ranks), size), 1e6)
    for row, (low, high) in enumerate(spans):
        for place, rank in enumerate(ranks):
            if low <= rank <= high:
                table[row, place] = cost
    _, chosen = linear_sum_assignment(table.reshape(size, -1))
    counts: Ints = np.bincount(chosen // size)
    return counts
