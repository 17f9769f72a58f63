"""Where a curve bends: `knee`, a hint for the eye and no test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lens_ray.stats.units import Floats

#: Fewer points than this have no bend.
_LEAST = 5


def knee(steps: Sequence[int], values: Sequence[float | None]) -> int | None:
    """The step at which a curve that rises begins to rise less: the bend of a hinge.

    Two straight lines that meet at a step are fitted by least squares, for every step but the
    first and the last; the best fit wins. It is early on curves that bend slowly: over 30
    checkpoints that flatten out at the 8th, reference simulations gave 4.7.

    Args:
        steps: Ascending.
        values: At each; None is left out.

    Returns:
        The step, or None where there are fewer than five values, the first line does not rise, or
        the second rises as much as the first.
    """
    known = [place for place, value in enumerate(values) if value is not None]
    if len(known) < _LEAST:
        return None
    at = np.array([steps[place] for place in known], dtype=np.float64)
    height = np.array([values[place] for place in known], dtype=np.float64)
    # Steps of millions would lose digits when they are squared.
    at = (at - at[0]) / (at[-1] - at[0])
    bends = at[1:-1]
    hinge = np.maximum(at[None, :] - bends[:, None], 0.0)
    line = np.stack([np.ones_like(at), at], axis=1)
    beside, _ = np.linalg.qr(line)
    left = height - beside @ (beside.T @ height)
    shape = hinge - (hinge @ beside) @ beside.T
    turn = shape @ left / (shape**2).sum(axis=1)
    explained = turn**2 * (shape**2).sum(axis=1)
    best = int(np.argmax(explained))
    before = _first_slope(at, height, hinge[best])
    if turn[best] >= 0 or before <= 0 or explained[best] <= 1e-18:
        return None
    return steps[known[best + 1]]


def _first_slope(at: Floats, height: Floats, hinge: Floats) -> float:
    columns = np.stack([np.ones_like(at), at, hinge], axis=1)
    return float(np.linalg.lstsq(columns, height, rcond=None)[0][1])
