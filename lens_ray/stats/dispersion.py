"""How widely true values spread, when each is known with noise: `sd_bounds`.

The standard deviation of noisy values is larger than that of the true ones, so a percentile
bootstrap of it misses low: its replicates carry the noise twice. The interval here inverts a test.
Along the observed direction the true values are spread t apart; a bound is the t at which the
observed spread is as extreme as the level says, with normal noise of the values' covariance. Where
all noise is equal and independent, that inverts the non-central chi-square distribution. The upper
bound is widened where noise taken off would make it too bold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lens_ray.stats.units import Floats, Ints

REPLICATES = 2000

#: Spread below this is rounding.
TINY = 1e-12
_STEPS = 24
_FAR = 2.0**20


class Noisy(NamedTuple):
    """Values and their noise.

    Attributes:
        values: One a subtask.
        noise: Replicates x subtasks, around 0.
    """

    values: Floats
    noise: Floats


def mean_covariance(
    score: Floats, stratum: Ints, cluster: Ints, strata: Ints
) -> tuple[Floats, Floats, Ints]:
    """Means of some strata, their cluster-robust covariance, and how many clusters each has.

    A stratum whose clusters are all alike has the variance of Agresti and Coull, as many trials
    as there are clusters: nobody knows it without noise.

    Args:
        score: Of each unit, in [0, 1]; NaN is no unit.
        stratum: Of each unit.
        cluster: Of each unit.
        strata: Which strata, each with at least one unit.
    """
    column = np.full(int(max(stratum.max(), strata.max())) + 1, -1)
    column[strata] = np.arange(len(strata))
    known = np.flatnonzero((column[stratum] >= 0) & ~np.isnan(score))
    place, marks = column[stratum[known]], score[known]
    size = np.bincount(place, minlength=len(strata))
    mean = np.bincount(place, weights=marks, minlength=len(strata)) / size
    names, row = np.unique(cluster[known], return_inverse=True)
    cell = row.reshape(-1) * len(strata) + place
    shape = (len(names), len(strata))
    moves = (marks - mean[place]) / size[place]
    apart = np.zeros(shape)
    np.add.at(apart, (row.reshape(-1), place), moves)
    there = np.bincount(cell, minlength=names.size * len(strata)).reshape(shape) > 0
    clusters: Ints = there.sum(axis=0)
    moved = apart * np.sqrt(clusters / np.maximum(clusters - 1, 1))
    covariance: Floats = moved.T @ moved
    flat = np.flatnonzero(np.sqrt(np.diag(covariance)) < TINY)
    covariance[flat, :] = covariance[:, flat] = 0.0
    covariance[flat, flat] = shrunk_variance(mean[flat], clusters[flat])
    return mean, covariance, clusters


def normal_noise(covariance: Floats, seed: int, replicates: int = REPLICATES) -> Floats:
    """Replicates of normal noise; the same for the same arguments."""
    values, vectors = np.linalg.eigh(covariance)
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((replicates, len(covariance)))
    noise: Floats = normal @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    return noise


def shrunk_variance(share: Floats, clusters: Ints) -> Floats:
    """Agresti and Coull's variance of a share."""
    trials = clusters + 4.0
    shifted = (share * clusters + 2.0) / trials
    found: Floats = shifted * (1.0 - shifted) / trials
    return found


def sd_bounds(groups: Sequence[Noisy], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the mean over groups of the standard deviation (ddof 1) of the true values.

    Args:
        groups: Of at least 2 values each; their replicates belong together.
        confidence: Two-sided level.

    Returns:
        Lower and upper bound; they hold the observed figure.
    """
    parts = [_Part.of(group) for group in groups]
    observed = math.fsum(part.observed for part in parts) / len(parts)
    tail = (1.0 - confidence) / 2.0
    unit = observed if observed > TINY else 1.0
    shares = _shares(parts)

    def share_above(scale: float) -> float:
        """How often the observed spread is reached where the true one is ``scale`` units."""
        drawn = _mean([p.drawn(scale * unit * s) for p, s in zip(parts, shares, strict=True)])
        return float((drawn >= observed * (1 - 1e-9)).mean())

    without = share_above(0.0)
    low = 0.0 if without > tail else _root(share_above, tail) * unit
    # No less than the quantile of replicates around the observed spread: a pool that was measured
    # on the same samples moves with them, so the noise beside it is less than the values' own.
    high = float(np.quantile(_mean([part.around for part in parts]), 1.0 - tail))
    if without < 1.0 - tail:
        high = max(high, _root(share_above, 1.0 - tail) * unit)
    return min(low, observed), max(high, observed)


def _mean(drawn: Sequence[Floats]) -> Floats:
    found: Floats = np.mean(drawn, axis=0)
    return found


def _root(share_above: Callable[[float], float], wanted: float) -> float:
    """Where a rising share passes a value."""
    low, high = 0.0, 1.0
    while share_above(high) < wanted and high < _FAR:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if share_above(middle) < wanted else (low, middle)
    return (low + high) / 2


def _shares(parts: Sequence[_Part]) -> list[float]:
    """How the mean spread divides over the groups, with a mean of 1."""
    for each in ([part.known for part in parts], [part.observed for part in parts]):
        mean = math.fsum(each) / len(each)
        if mean > TINY:
            return [value / mean for value in each]
    return [1.0] * len(parts)


class _Part(NamedTuple):
    """One group along its observed direction.

    Attributes:
        observed: The standard deviation of its values.
        along: Noise along the direction, by replicate.
        square: Sum of squares of the centred noise, by replicate.
        freedom: Values less 1.
    """

    observed: float
    along: Floats
    square: Floats
    freedom: int

    @classmethod
    def of(cls, group: Noisy) -> _Part:
        values, noise = group
        centred = values - values.mean()
        apart = noise - noise.mean(axis=1, keepdims=True)
        length = float(np.linalg.norm(centred))
        if length <= TINY:
            # All alike: any direction serves; that of the most noise is the most careful.
            centred = np.linalg.eigh(apart.T @ apart)[1][:, -1]
            direction, length = centred, 0.0
        else:
            direction = centred / length
        freedom = len(values) - 1
        return cls(length / math.sqrt(freedom), apart @ direction, (apart**2).sum(axis=1), freedom)

    @property
    def known(self) -> float:
        """Its standard deviation less what noise adds."""
        return math.sqrt(max(self.observed**2 - self.square.mean() / self.freedom, 0.0))

    @property
    def around(self) -> Floats:
        """Replicates of the observed standard deviation, the noise that they add taken off."""
        added = self.square.mean() / self.freedom
        found: Floats = np.sqrt(np.maximum(self.drawn(self.observed) ** 2 - added, 0.0))
        return found

    def drawn(self, spread: float) -> Floats:
        """Standard deviations that would be seen of a true one."""
        far = spread * math.sqrt(self.freedom)
        found: Floats = np.sqrt(
            np.maximum(far**2 + 2 * far * self.along + self.square, 0.0) / self.freedom
        )
        return found
