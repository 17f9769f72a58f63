"""The stratified cluster bootstrap of one run: `draw`.

Each stratum's mean is resampled by whole clusters; deviations are widened by sqrt(C / (C - 1)) for
its C clusters. Clusters that lie in several strata are resampled once for all of them. Replicate b
of every stratum belongs to one joint draw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lens_ray.stats.clustered import components
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
    for strata in components(totals.stratum, totals.cluster, len(names)):
        wanted = strata[~flat[strata]]
        if len(wanted):
            seed = _seed(seed_key, [names[place] for place in strata.tolist()])
            deviations[:, wanted] = _component(totals, wanted, mean, seed, replicates)
    deviations *= np.sqrt(count / few)
    return Draws(mean, count, variance, flat, deviations)


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
