"""When an ability has been asked enough: samples in blocks of random order, a look after each.

The order is a hash of the suite and the cluster, the same for every model, so that models that
were asked until different samples share the shorter part. A look is at whole leading blocks only:
what is asked must not depend on which answers come fast.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lens_ray.stats.strata import Strata
from lens_ray.stats.units import Floats, Units
from lens_ray.suites.sample import Sample
from lens_ray.suites.splits import tied

#: A block is so large a part of what comes before it; smaller ones would mean more looks, larger
#: ones more samples than are needed.
_GROWTH = 0.1
_LEAST = 16
#: Clusters that are added to an ability, half of them all right and half all wrong.
_ADDED = 4.0


def blocks_of(samples: Sequence[Sample], first: int, seed_key: str) -> list[tuple[str, ...]]:
    """The samples of one ability in the order in which they are asked, in blocks.

    Samples that share a cluster, a group or an image stay together; subtasks are mixed by their
    shares, so that every leading part is stratified as the whole.

    Args:
        samples: Of one ability.
        first: The first block has at least so many.
        seed_key: Of the order; the digest of the suite.

    Returns:
        Sample ids by block.
    """
    blocks: list[tuple[str, ...]] = []
    block: list[str] = []
    before, wanted = 0, first
    for members in _mixed(samples, seed_key):
        block += members
        if before + len(block) >= wanted:
            before += len(block)
            wanted = before + max(_LEAST, round(_GROWTH * before))
            blocks.append(tuple(block))
            block = []
    return [*blocks, tuple(block)] if block else blocks


def _mixed(samples: Sequence[Sample], seed_key: str) -> list[list[str]]:
    """Sets of sample ids that belong together, in their order."""
    subtasks: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
    for members in tied(samples):
        name = min(samples[place].cluster_id for place in members)
        key = hashlib.sha256(f"{seed_key}/until/{name}".encode()).hexdigest()
        subtask = min(samples[place].subtask for place in members)
        subtasks[subtask].append((key, [samples[place].sample_id for place in members]))
    placed: list[tuple[float, str, list[str]]] = []
    for sets in subtasks.values():
        total, before = sum(len(ids) for _, ids in sets), 0
        for key, ids in sorted(sets):
            placed.append(((before + len(ids) / 2) / total, key, ids))
            before += len(ids)
    return [ids for _, _, ids in sorted(placed)]


@dataclass(frozen=True, slots=True)
class Precision:
    """An ability of one run, as far as it was asked.

    Attributes:
        low: Lower bound of the cautious interval of its corrected score.
        high: Upper bound.
        half_width: Half of the width of that interval, or of the one that `scores` shows, where
            that is wider.
    """

    low: float
    high: float
    half_width: float


def look_at(
    units: Units, weights: Mapping[str, float], *, level: float, enough: float
) -> Precision | None:
    """How narrow the interval of an ability's corrected score is.

    Whoever stops at the first narrow interval stops too soon where the first answers happen to
    agree; an interval of mean and standard error then holds the truth in 90 to 92 % of the runs
    instead of 95 (20 looks, truth 0.9). The cautious interval adds four clusters to the ability,
    two all right and two all wrong (the rule of Agresti and Coull), to its middle and to its
    width; it holds the truth in 95 to 98 % (``jobs/benchmarks/coverage/less.py``).

    Args:
        units: The marked units of one ability.
        weights: Weight of each of its subtasks.
        level: Of the interval.
        enough: The interval that `scores` shows is made only where the cautious one is no wider.

    Returns:
        None where a subtask that counts has no unit or no score.
    """
    strata = Strata(units)
    places = {subtask: place for place, (_, subtask) in enumerate(units.strata)}
    counted = {name: weight for name, weight in weights.items() if weight > 0}
    if not counted or not counted.keys() <= places.keys():
        return None
    total = sum(counted.values())
    shares = {places[name]: weight / total for name, weight in counted.items()}
    if any(strata.trouble(place) for place in shares):
        return None
    slope, shift = np.zeros(len(units.strata)), 0.0
    for place, share in shares.items():
        slope[place] = share / strata.range[place]
        shift += slope[place] * float(strata.chance[place])
    middle, half = _cautious(units, slope, level)
    middle -= shift
    if half > enough:
        return Precision(middle - half, middle + half, half)
    estimate = sum(share * strata.corrected(place) for place, share in shares.items())
    low, high = strata.interval(shares, estimate, level)
    return Precision(middle - half, middle + half, max(half, (high - low) / 2))


def _cautious(units: Units, slope: Floats, level: float) -> tuple[float, float]:
    """Middle and half-width of the interval of ``slope @ mean score``, `_ADDED` clusters added.

    The added clusters have the mean size of their subtask's and are shared by the subtasks that
    count; clusters that lie in several subtasks are added up first.
    """
    from scipy.special import stdtrit

    width = len(units.strata)
    present, cell = np.unique(units.cluster * width + units.stratum, return_inverse=True)
    cell = cell.reshape(-1)
    stratum, cluster = present % width, present // width
    size, score = np.bincount(cell), np.bincount(cell, weights=units.score)
    clusters = np.bincount(stratum, minlength=width)
    counted = slope > 0
    added = _ADDED / counted.sum()
    mean_size = np.bincount(stratum, weights=size, minlength=width) / np.maximum(clusters, 1)
    whole = mean_size * (clusters + added)
    right = np.bincount(stratum, weights=score, minlength=width) + mean_size * added / 2
    mean = np.divide(right, whole, out=np.zeros(width), where=whole > 0)
    few = (clusters + added) / np.maximum(clusters + added - 1, 1)
    influence = np.divide(slope * few**0.5, whole, out=np.zeros(width), where=whole > 0)
    moved = np.bincount(cluster, weights=influence[stratum] * (score - size * mean[stratum]))
    extremes = (influence * mean_size) ** 2 * added / 2 * (mean**2 + (1 - mean) ** 2)
    variance = float((moved**2).sum() + extremes[counted].sum())
    freedom = max(float(clusters[counted].sum() - counted.sum()), 1.0)
    return float(slope @ mean), float(stdtrit(freedom, (1 + level) / 2)) * variance**0.5
