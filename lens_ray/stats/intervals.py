"""Intervals of weighted means over strata: stratified cluster bootstrap with care at the edges.

Each stratum's mean is resampled by whole clusters. Three corrections make the intervals hold for
small strata (simulated in ``tests/stats/test_intervals.py``):

* deviations are widened by sqrt(C / (C - 1)) per stratum of C clusters, and by the ratio of the
  t to the normal quantile with Satterthwaite's degrees of freedom;
* a stratum whose clusters all have the same mean (all right, all wrong) has no bootstrap spread:
  it enters by its Wilson bounds over its clusters, the sides added in quadrature (the method of
  variance estimates recovery, MOVER);
* clusters that lie in several strata are resampled once for all of them.

Replicate b of every stratum belongs to one joint draw, so any weighting of the strata, within an
ability or over all, reads its interval from the same replicates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lens_ray.stats.units import Bools, Floats, Ints, Units

REPLICATES = 2000
#: Above this many different cluster totals the draw is normal with the clusters' covariance.
_TYPES = 1000
#: Spread below this is rounding.
_TINY = 1e-12


@dataclass(frozen=True)
class Draws:
    """Bootstrap replicates of the strata's mean scores.

    Attributes:
        mean: Mean score by stratum.
        clusters: Clusters by stratum.
        variance: Cluster-robust variance of the mean by stratum.
        flat: Strata without spread between clusters.
        deviations: Replicate minus mean, widened; replicates x strata.
    """

    mean: Floats
    clusters: Ints
    variance: Floats
    flat: Bools
    deviations: Floats


def draw(units: Units, names: Sequence[str], seed_key: str, replicates: int = REPLICATES) -> Draws:
    """Resample the strata.

    Args:
        units: The marked units; a stratum without any stays at 0.
        names: A name for each stratum; with ``seed_key`` it seeds the stratum's draw, so a
            stratum's replicates do not depend on which others are drawn.
        seed_key: What identifies the run.
        replicates: How many.

    Returns:
        The replicates.
    """
    totals = _totals(units)
    size = np.maximum(np.bincount(units.stratum, minlength=len(names)), 1.0)
    mean = np.bincount(units.stratum, weights=units.score, minlength=len(names)) / size
    residual = totals.score - totals.count * mean[totals.stratum]
    count = np.bincount(totals.stratum, minlength=len(names))
    few = np.maximum(count - 1, 1)
    variance = (
        np.bincount(totals.stratum, weights=residual**2, minlength=len(names))
        * (count / few)
        / size**2
    )
    flat = (count < 2) | (np.sqrt(variance) < _TINY)
    deviations = np.zeros((replicates, len(names)))
    for strata in _components(totals, len(names)):
        wanted = strata[~flat[strata]]
        if len(wanted):
            seed = _seed(seed_key, [names[place] for place in strata.tolist()])
            deviations[:, wanted] = _component(totals, wanted, mean, seed, replicates)
    deviations *= np.sqrt(count / few)
    return Draws(mean, count, variance, flat, deviations)


def interval(draws: Draws, weights: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of ``sum(weights * mean)``.

    Args:
        draws: The replicates.
        weights: Non-negative weight of each stratum's mean; 0 leaves it out.
        confidence: Two-sided level.

    Returns:
        Lower and upper bound; the estimate lies between them, and they within what is possible.
    """
    estimate = float(weights @ draws.mean)
    spread = draws.deviations @ weights
    tail = (1.0 - confidence) / 2.0
    below, above = np.quantile(spread, [tail, 1.0 - tail]) * _t_factor(draws, weights, tail)
    down, up = max(-float(below), 0.0) ** 2, max(float(above), 0.0) ** 2
    for place in np.flatnonzero(draws.flat & (weights > 0)):
        least, most = wilson(draws.mean[place], int(draws.clusters[place]), confidence)
        down += (weights[place] * (draws.mean[place] - least)) ** 2
        up += (weights[place] * (most - draws.mean[place])) ** 2
    # Scores lie in [0, 1].
    bottom = max(estimate - down**0.5, 0.0)
    top = min(estimate + up**0.5, float(weights.sum()))
    return min(bottom, estimate), max(top, estimate)


def wilson(share: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share of ``count`` trials; it holds the share."""
    from scipy.special import ndtri

    z2 = float(ndtri((1.0 + confidence) / 2.0)) ** 2
    middle = share + z2 / (2 * count)
    half = (z2 * (share * (1 - share) / count + z2 / (4 * count**2))) ** 0.5
    scale = 1 + z2 / count
    return (
        max(0.0, min((middle - half) / scale, share)),
        min(1.0, max((middle + half) / scale, share)),
    )


def _t_factor(draws: Draws, weights: Floats, tail: float) -> float:
    """How much wider the t quantile is than the normal one."""
    from scipy.special import ndtri, stdtrit

    parts = np.where(draws.flat, 0.0, weights**2 * draws.variance)
    total = float(parts.sum())
    if total <= 0.0:
        return 1.0
    freedom = total**2 / float((parts**2 / np.maximum(draws.clusters - 1, 1)).sum())
    return float(stdtrit(freedom, 1.0 - tail) / ndtri(1.0 - tail))


@dataclass(frozen=True)
class _Totals:
    """Units added up by (stratum, cluster), sorted by cluster."""

    stratum: Ints
    cluster: Ints
    count: Floats
    score: Floats


def _totals(units: Units) -> _Totals:
    width = len(units.strata)
    present, inverse = np.unique(units.cluster * width + units.stratum, return_inverse=True)
    inverse = inverse.reshape(-1)
    return _Totals(
        stratum=present % width,
        cluster=present // width,
        count=np.bincount(inverse, minlength=len(present)).astype(np.float64),
        score=np.bincount(inverse, weights=units.score, minlength=len(present)).astype(np.float64),
    )


def _components(totals: _Totals, strata: int) -> list[Ints]:
    """The strata in sets that share no cluster."""
    parent = list(range(strata))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    shared = np.flatnonzero(totals.cluster[1:] == totals.cluster[:-1])
    pairs = np.unique(
        np.stack([totals.stratum[shared], totals.stratum[shared + 1]], axis=1), axis=0
    )
    for left, right in pairs.tolist():
        parent[root(left)] = root(right)
    sets: dict[int, list[int]] = {}
    for place in range(strata):
        sets.setdefault(root(place), []).append(place)
    return [np.array(members) for members in sets.values()]


def _component(totals: _Totals, strata: Ints, mean: Floats, seed: int, replicates: int) -> Floats:
    """Replicate minus mean of strata whose clusters are drawn together."""
    column = np.full(int(totals.stratum.max()) + 1, -1)
    column[strata] = np.arange(len(strata))
    here = np.flatnonzero(column[totals.stratum] >= 0)
    clusters, row = np.unique(totals.cluster[here], return_inverse=True)
    count = np.zeros((len(clusters), len(strata)))
    residual = np.zeros_like(count)
    place = (row.reshape(-1), column[totals.stratum[here]])
    count[place] = totals.count[here]
    residual[place] = totals.score[here] - totals.count[here] * mean[totals.stratum[here]]
    rng = np.random.default_rng(seed)
    # Clusters with equal totals are interchangeable: drawing their number is the same bootstrap.
    kinds, many = np.unique(np.hstack([count, residual]), axis=0, return_counts=True)
    if len(kinds) > _TYPES:
        return _normal(rng, residual, count.sum(axis=0), replicates)
    times = rng.multinomial(len(clusters), many / len(clusters), size=replicates)
    drawn = times @ kinds[:, : len(strata)]
    moved = times @ kinds[:, len(strata) :]
    # A stratum none of whose clusters was drawn says nothing: no deviation.
    result: Floats = np.divide(moved, drawn, out=np.zeros_like(moved), where=drawn > 0)
    return result


def _normal(rng: np.random.Generator, residual: Floats, size: Floats, replicates: int) -> Floats:
    """Normal deviations with the covariance that the bootstrap of the totals has."""
    covariance = residual.T @ residual / np.outer(size, size)
    values, vectors = np.linalg.eigh(covariance)
    normal = rng.standard_normal((replicates, len(size)))
    result: npt.NDArray[np.float64] = normal @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    return result


def _seed(seed_key: str, names: Sequence[str]) -> int:
    text = "\x1f".join([seed_key, *sorted(names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
