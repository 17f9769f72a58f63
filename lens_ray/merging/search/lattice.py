"""Mixtures to ask: `lattice` (Scheffé 1958), and the fine grid on which surfaces are searched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lens_ray.stats.units import Floats

#: Steps of the fine grid, by ingredients: below 2,000 mixtures each.
_FINE = {1: 1, 2: 100, 3: 50, 4: 20, 5: 12}


def lattice(ingredients: int, degree: int) -> Floats:
    """The simplex lattice {q, m}: all mixtures whose shares are multiples of 1 / m.

    Args:
        ingredients: q.
        degree: m; q = m = 3 gives ten mixtures: the three themselves, six two-way ones and the
            middle.

    Returns:
        Mixtures x ingredients, the ingredients themselves first.
    """
    points = np.array(list(_counts(ingredients, degree)), dtype=np.float64) / degree
    return points[np.lexsort((*-points.T[::-1], -points.max(axis=1)))]


def fine_grid(ingredients: int) -> Floats:
    """Mixtures x ingredients, to be looked at and not asked."""
    return lattice(ingredients, _FINE[ingredients])


def _counts(parts: int, total: int) -> Iterator[tuple[int, ...]]:
    """All ways to put a number of equal things into so many parts."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _counts(parts - 1, total - first):
            yield (first, *rest)
