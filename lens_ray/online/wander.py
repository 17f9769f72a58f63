"""How far checkpoints wander by themselves, and what that does to a difference of windows.

The true score of an ability moves a little from checkpoint to checkpoint, for no reason that lasts.
Over windows such moves add up to differences that are real and mean nothing. They are taken as a
random walk, of variance sigma^2 a checkpoint (of the run's usual distance), the same for all
abilities, and estimated in up to two ways; of both the variance that drawing other items would give
is taken off, and both are taken somewhat above what they are (``INSIDE``, ``AROUND``):

* inside the two windows, from how their checkpoints scatter about the window's mean; a walk of
  sigma^2 moves the difference of the windows by sigma^2 times `reach`;
* around, from how far the other abilities moved between the same two windows.

The gap that is tested tells nothing of sigma^2: there the shift itself would be taken for wander.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lens_ray.online.windows import Windows
from lens_ray.stats.units import Floats

#: Standard errors by which sigma^2 from inside the windows is raised: of blocks, of declared ones.
INSIDE = 0.25
INSIDE_DECLARED = 1.0
#: Standard errors by which the variance from around is raised.
AROUND = 0.5
#: Fewer deviations inside windows, of all abilities together, show no wander.
FEWEST = 12
#: Fewer other abilities show none either.
FEWEST_OTHERS = 3
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Scatter:
    """How one ability's checkpoints deviate inside one window, along independent directions.

    Attributes:
        square: Squared deviations.
        items: Variance of each that comes from the items.
        walk: Variance of each that a random walk of variance 1 would give.
    """

    square: Floats
    items: Floats
    walk: Floats


def directions(times: Floats) -> tuple[Floats, Floats]:
    """Independent deviations of a window's checkpoints from its mean.

    Args:
        times: Of the checkpoints.

    Returns:
        Weights, directions x checkpoints, each of sum 0 and of squares 1; and the variance of each
        for a random walk of variance 1 a unit of time.
    """
    size = len(times)
    centred = np.eye(size) - 1 / size
    walk = centred @ np.minimum.outer(times - times[0], times - times[0]) @ centred
    variance, weights = np.linalg.eigh(walk)
    return weights[:, 1:].T, variance[1:]


def reach(early: Floats, late: Floats) -> float:
    """Variance of late mean minus early mean for a random walk of variance 1 a unit of time.

    Args:
        early: Times of the early window.
        late: Of the late one.
    """
    times = np.concatenate([early, late])
    weights = np.r_[np.full(len(early), -1 / len(early)), np.full(len(late), 1 / len(late))]
    walk = np.minimum.outer(times - times.min(), times - times.min())
    return float(weights @ walk @ weights)


def step_variance(scatters: Iterable[Scatter], above: float) -> float | None:
    """sigma^2 of all abilities together, by least squares on the squared deviations.

    Each square has expectation ``items + sigma^2 walk`` and, were it normal, twice the square of
    that as its variance: the weights, found in a few rounds.

    Args:
        scatters: Of all abilities and windows.
        above: Standard errors by which it is raised.

    Returns:
        At least 0; None of fewer than `FEWEST` deviations.
    """
    known = list(scatters)
    if sum(len(one.square) for one in known) < FEWEST:
        return None
    square, items, walk = (
        np.concatenate([getattr(one, name) for one in known])
        for name in ("square", "items", "walk")
    )
    # Where no item changed there is no noise: what is left is rounding.
    items = np.maximum(items, 1e-12)
    found, error = 0.0, 0.0
    for _ in range(_ROUNDS):
        weight = walk / (items + found * walk) ** 2
        whole = float(weight @ walk)
        found, error = max(float(weight @ (square - items)) / whole, 0.0), (2 / whole) ** 0.5
    return found + above * error


def around(effects: Sequence[float], items: Sequence[float]) -> float | None:
    """Variance that other abilities' shifts have beyond that of the items.

    Args:
        effects: Their shifts.
        items: Variance of each that comes from the items.

    Returns:
        At least 0, and raised by `AROUND`; None of fewer than `FEWEST_OTHERS`.
    """
    if len(effects) < FEWEST_OTHERS:
        return None
    total = float(np.mean(np.square(effects)))
    noise = float(np.mean(items))
    return max(total - noise, 0.0) + AROUND * (2 / len(effects)) ** 0.5 * max(total, noise)


def times_of(windows: Windows, steps: Floats) -> tuple[Floats, Floats]:
    """Times of both windows' checkpoints, in units of the run's usual distance of two."""
    apart = np.diff(steps)
    usual = float(np.median(apart)) if len(apart) else 1.0
    early, late = (steps[list(places)] / max(usual, 1.0) for places in
                   (windows.early, windows.late))  # fmt: skip
    return early, late
