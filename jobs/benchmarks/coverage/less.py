"""Adaptive stops and anchors: `CELLS`, whose truth is the models' chances to be right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from jobs.benchmarks.coverage.cell import Cell
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.anchors import ANCHOR, anchor_estimates
from lens_ray.stats.marks import Facet, Marks
from lens_ray.stats.stopping import blocks_of, look_at
from lens_ray.stats.units import Bools, Floats, Ints, Units
from lens_ray.suites.sample import Sample

#: Correlation of the marks of a cluster.
_SHARED = 0.3
_SUBTASKS = ("s0", "s1", "s2")


@dataclass(frozen=True)
class Asked:
    """Samples of one ability in three subtasks, in whole clusters.

    Attributes:
        stratum: Subtask of each.
        cluster: Cluster of each.
    """

    stratum: Ints
    cluster: Ints

    @classmethod
    def of(cls, n: int, most: int, rng: np.random.Generator) -> Asked:
        """``n`` samples or a few more, in clusters of 1 to ``most``."""
        sizes = rng.integers(1, most + 1, size=n)
        kept = int(np.searchsorted(np.cumsum(sizes), n)) + 1
        cluster = np.repeat(np.arange(kept), sizes[:kept])
        return cls(cluster % len(_SUBTASKS), cluster)

    def latent(self, rng: np.random.Generator, shared: float) -> Floats:
        """A standard normal of each sample, correlated within its cluster."""
        count = int(self.cluster[-1]) + 1
        common = rng.normal(size=count)[self.cluster]
        own = rng.normal(size=len(self.cluster))
        found: Floats = shared**0.5 * common + (1 - shared) ** 0.5 * own
        return found


def _marks(latent: Floats, truth: Sequence[float], stratum: Ints) -> Floats:
    from scipy.special import ndtri

    cut = ndtri(np.array(truth))[stratum]
    found: Floats = (latent < cut).astype(np.float64)
    return found


def stop_once(
    n: int, truth: Sequence[float], chance: float, most: int, halfwidth: float
) -> Callable[[np.random.Generator], tuple[bool, float] | None]:
    """Ask until the interval is narrow enough; whether it holds the truth then."""

    def once(rng: np.random.Generator) -> tuple[bool, float] | None:
        asked, blocks = _laid_out(n, most)
        score = _marks(asked.latent(rng, _SHARED), truth, asked.stratum)
        names: list[int] = []
        look = None
        for block in blocks:
            names += block
            units = _units(asked, score, np.array(names), chance)
            look = look_at(units, _WEIGHTS, level=0.95, enough=halfwidth)
            if look is not None and look.half_width <= halfwidth:
                break
        if look is None:
            return None
        true = (float(np.mean(truth)) - chance) / (1 - chance)
        return look.low <= true <= look.high, look.high - look.low

    return once


@cache
def _laid_out(n: int, most: int) -> tuple[Asked, list[list[int]]]:
    """One suite, the same in every run, and the order in which it is asked."""
    asked = Asked.of(n, most, np.random.default_rng(n))
    samples = [
        _sample(place, int(asked.stratum[place]), int(asked.cluster[place]))
        for place in range(len(asked.stratum))
    ]
    blocks = blocks_of(samples, 60, "simulated")
    return asked, [[int(name) for name in block] for block in blocks]


_WEIGHTS = dict.fromkeys(_SUBTASKS, 1 / 3)


def _sample(place: int, stratum: int, cluster: int) -> Sample:
    return Sample(
        str(place), "counting", "sim", _SUBTASKS[stratum], "open", "sim", (), "", (), (), "exact",
        0.0, 1.0, f"c{cluster}",
    )  # fmt: skip


def _units(asked: Asked, score: Floats, places: Ints, chance: float) -> Units:
    stratum, cluster = asked.stratum[places], asked.cluster[places]
    present, cluster = np.unique(cluster, return_inverse=True)
    return Units(
        strata=tuple(("counting", name) for name in _SUBTASKS),
        stratum=stratum,
        score=score[places],
        chance=np.full(len(places), chance),
        upper=np.ones(len(places)),
        cluster=cluster.reshape(-1),
        clusters=len(present),
        covered=np.bincount(stratum, minlength=len(_SUBTASKS)),
        first=np.arange(len(places)),
    )


def pair_of(
    rng: np.random.Generator,
    n: int,
    most: int,
    truths: tuple[float, float],
    alike: float,
    chance: float,
    share: float = 0.2,
) -> Marks:
    """A model and its reference on a suite of one ability; a share of its clusters are anchors.

    Args:
        rng: The generator.
        n: Units of the suite.
        most: Of a cluster.
        truths: Chance to be right of each model.
        alike: Correlation of what makes a unit hard for the one and for the other.
        chance: Level of every unit.
        share: Of the anchors.
    """
    asked = Asked.of(n, most, rng)
    ease, mine = asked.latent(rng, _SHARED), asked.latent(rng, _SHARED)
    latent = np.stack([alike**0.5 * ease + (1 - alike) ** 0.5 * mine, ease])
    score = np.stack([
        _marks(row, (truth,) * 3, asked.stratum) for row, truth in zip(latent, truths, strict=True)
    ])  # fmt: skip
    chosen: Bools = (rng.permutation(int(asked.cluster[-1]) + 1) % round(1 / share) == 0)[
        asked.cluster
    ]
    size = len(asked.stratum)
    return Marks(
        models=("model", "reference"),
        runs=(),
        suite="simulated",
        suite_digest="",
        ids=tuple(map(str, range(size))),
        strata=tuple(("counting", name) for name in _SUBTASKS),
        stratum=asked.stratum,
        cluster=asked.cluster,
        clusters=int(asked.cluster[-1]) + 1,
        chance=np.full(size, chance),
        upper=np.ones(size),
        score=score,
        weights={"counting": _WEIGHTS},
        facets={"split": Facet((ANCHOR, "sealed"), np.where(chosen, 0, 1))},
    )


def anchor_once(
    n: int,
    most: int,
    truths: tuple[float, float],
    alike: float,
    *,
    chance: float = 0.0,
    suite: bool = False,
) -> Callable[[np.random.Generator], tuple[bool, float] | None]:
    """Estimate from a fifth; whether the interval holds the truth, or the suite's own figure."""

    def once(rng: np.random.Generator) -> tuple[bool, float] | None:
        marks = pair_of(rng, n, most, truths, alike, chance)
        found = anchor_estimates(marks, "model", "reference")[-1]
        assert found.figure == OVERALL
        low, high = (found.suite_low, found.suite_high) if suite else (found.ci_low, found.ci_high)
        if low is None or high is None:
            return None
        true = truths[0]
        if suite:
            size = np.bincount(marks.stratum)
            true = float((np.bincount(marks.stratum, weights=marks.score[0]) / size).mean())
        true = (true - chance) / (1 - chance)
        return low <= true <= high, high - low

    return once


STOPS = (
    Cell("adaptive stop", "3,000, truth 0.9, half-width 0.05", 0.93, 1.0,
         stop_once(3000, (0.9,) * 3, 0.0, 1, 0.05)),
    Cell("adaptive stop", "3,000 in clusters of 1-8, chance 0.25, truth 0.3-0.95, 0.08", 0.93, 1.0,
         stop_once(3000, (0.3, 0.6, 0.95), 0.25, 8, 0.08)),
    Cell("adaptive stop", "1,200, truth at chance 0.25, half-width 0.1", 0.93, 1.0,
         stop_once(1200, (0.25,) * 3, 0.25, 1, 0.1)),
)  # fmt: skip
ANCHORS = (
    Cell("anchors", "600 by 120 anchors, alike 0.9, truth 0.7", 0.90, 1.0,
         anchor_once(600, 1, (0.7, 0.65), 0.9)),
    Cell("anchors", "3,000 in clusters of 1-8, alike 0.7, at chance 0.25", 0.90, 1.0,
         anchor_once(3000, 8, (0.27, 0.5), 0.7, chance=0.25)),
    Cell("anchors", "600, alike 0.9, truth 0.98", 0.90, 1.0,
         anchor_once(600, 1, (0.98, 0.97), 0.9)),
    Cell("anchors", "the suite's own figure, 900 in clusters of 1-4, alike 0.8", 0.90, 1.0,
         anchor_once(900, 4, (0.6, 0.7), 0.8, suite=True)),
)  # fmt: skip
CELLS: tuple[Cell, ...] = (*STOPS, *ANCHORS)
