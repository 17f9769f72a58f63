"""How widely an ability's subtasks differ beyond sampling noise: tau of a random-effects model.

A subtask's score is y = mu + u + e with u of variance tau^2 and e of the subtask's own sampling
variance v. tau^2 is where Cochran's generalised Q = sum w (y - mean_w)^2, w = 1 / (v + tau^2),
has its expectation (Paule and Mandel 1982, the "iterated" method of statsmodels); its interval
is where Q has the quantiles of the chi-square distribution (the Q-profile of Viechtbauer 2007).
Several groups, each with a mean of its own, share one tau: their Q and degrees of freedom add up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lens_ray.stats.units import Floats

_STEPS = 200
_EXACT = 1e-14


class Measured(NamedTuple):
    """Values with their sampling variances.

    Attributes:
        values: One a subtask, or replicates x subtasks.
        variance: One a subtask, all above 0.
    """

    values: Floats
    variance: Floats


def tau_of(groups: Sequence[Measured]) -> Floats:
    """Paule and Mandel's tau, 0 where the values differ no more than their noise.

    Args:
        groups: Of at least 2 values each.

    Returns:
        One a replicate; of shape () where the groups have none.
    """
    freedom = sum(len(group.variance) - 1 for group in groups)
    found: Floats = np.sqrt(_solve(groups, float(freedom)))
    return found


def tau_bounds(groups: Sequence[Measured], confidence: float = 0.95) -> tuple[float, float]:
    """The Q-profile interval of tau.

    Where Q without any tau is below even its lower quantile, the profile ends at 0, which would
    be certainty from noise; the upper bound is then the spread that noise alone may show.

    Args:
        groups: Without replicates, of at least 2 values each.
        confidence: Two-sided level.

    Returns:
        Lower and upper bound; they hold `tau_of`.
    """
    from scipy.special import chdtri

    freedom = sum(len(group.variance) - 1 for group in groups)
    tail = (1.0 - confidence) / 2.0
    # The larger quantile of Q belongs to the lower bound.
    low, high = (
        math.sqrt(float(_solve(groups, float(chdtri(freedom, share)))))
        for share in (tail, 1.0 - tail)
    )
    if high == 0.0:
        # Less spread than noise makes, as at the ceiling: as much as noise alone may show.
        noise = np.concatenate([group.variance for group in groups]).mean()
        high = math.sqrt(float(noise * chdtri(freedom, tail)) / freedom)
    estimate = float(tau_of(groups))
    return min(low, estimate), max(high, estimate)


def cochran_q(groups: Sequence[Measured], square: Floats) -> tuple[Floats, Floats]:
    """Generalised Q at a tau^2, and its derivative, by replicate.

    Args:
        groups: Their values.
        square: tau^2, of the shape of the replicates.
    """
    total, slope = np.zeros_like(square), np.zeros_like(square)
    for values, variance in groups:
        weight = 1.0 / (variance + square[..., None])
        mean = (weight * values).sum(axis=-1, keepdims=True) / weight.sum(axis=-1, keepdims=True)
        part = weight * (values - mean) ** 2
        total += part.sum(axis=-1)
        # The mean is the minimum of Q, so its own movement adds nothing to the derivative.
        slope -= (part * weight).sum(axis=-1)
    return total, slope


def _solve(groups: Sequence[Measured], wanted: float) -> Floats:
    """tau^2 at which Q is ``wanted``; 0 where it is below that already without any tau."""
    square: Floats = np.zeros(groups[0].values.shape[:-1])
    for _ in range(_STEPS):
        # Q falls and is convex in tau^2, so Newton's steps from 0 rise to the root.
        value, slope = cochran_q(groups, square)
        # Where Q is below already, nothing is divided by a slope that may be next to nothing.
        above = (value > wanted) & (slope < 0)
        step = np.where(above, (wanted - value) / np.where(above, slope, -1.0), 0.0)
        square = square + step
        if bool(np.all(step <= _EXACT * square)):
            break
    return square
