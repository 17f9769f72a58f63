"""The figures of every subtask of one run: `Strata`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lens_ray.stats.clustered import TINY, Clustered, sums_of
from lens_ray.stats.intervals import interval
from lens_ray.stats.units import Floats, Units


@dataclass(frozen=True, slots=True)
class SubtaskScore:
    """One subtask of one run.

    Attributes:
        ability: The ability.
        subtask: The subtask.
        n: Samples that count.
        units: Marked units: samples, or complete groups of samples marked together.
        clusters: Clusters of units.
        accuracy: Mean score of the units; None where there is no unit, like all that follows.
        chance: Mean chance level of the units (BL).
        upper: Mean upper bound of the units (UB).
        corrected: (accuracy - chance) / (upper - chance); None also where the
            bounds coincide.
        ci: Interval of ``corrected``; None with it.
        p_chance: Two-sided p-value of the hypothesis that the accuracy is chance (score test on
            the clusters' effective number of trials).
    """

    ability: str
    subtask: str
    n: int
    units: int
    clusters: int
    accuracy: float | None
    chance: float | None
    upper: float | None
    corrected: float | None
    ci: tuple[float, float] | None
    p_chance: float | None


class Strata:
    """Means, bounds and spread of the subtasks, in the order of ``units.strata``."""

    def __init__(self, units: Units) -> None:
        self.units = units
        self.marked = np.bincount(units.stratum, minlength=len(units.strata))
        self.accuracy = self._mean(units.score)
        self.chance = self._mean(units.chance)
        self.upper = self._mean(units.upper)
        self.range = self.upper - self.chance

    @cached_property
    def sums(self) -> Clustered:
        """The scores added up by cluster, at first need."""
        return sums_of(self.units)

    def covered(self, place: int) -> int:
        """Rows of a stratum that count."""
        return int(self.units.covered[place])

    def trouble(self, place: int) -> str | None:
        """Why a stratum has no corrected score, or None."""
        name = "/".join(self.units.strata[place])
        if not self.marked[place]:
            return f"{name} has no answered sample"
        if not self.range[place] > 0:
            return f"{name} has chance {self.chance[place]:g} and upper {self.upper[place]:g}"
        return None

    def corrected(self, place: int) -> float:
        """The corrected score of a stratum without trouble."""
        return float((self.accuracy[place] - self.chance[place]) / self.range[place])

    def interval(
        self, weights: Mapping[int, float], estimate: float, confidence: float = 0.95
    ) -> tuple[float, float]:
        """The interval of a weighted sum of corrected scores.

        Args:
            weights: Weight by stratum, none of them in trouble.
            estimate: That sum; the interval holds it to the last bit.
            confidence: Two-sided level.

        Returns:
            Lower and upper bound.
        """
        slope = np.zeros(len(self.marked))
        shift = 0.0
        for place, weight in weights.items():
            slope[place] = weight / self.range[place]
            shift += weight * float(self.chance[place] / self.range[place])
        low, high = interval(self.sums, slope, confidence)
        return min(low - shift, estimate), max(high - shift, estimate)

    def subtask(self, place: int, confidence: float) -> SubtaskScore:
        """The figures of one stratum."""
        ability, name = self.units.strata[place]
        n, units = self.covered(place), int(self.marked[place])
        clusters = int(self.sums.clusters[place])
        if not units:
            return SubtaskScore(ability, name, n, 0, 0, *(None,) * 6)
        mean, low, high = (float(each[place]) for each in (self.accuracy, self.chance, self.upper))
        if self.trouble(place):
            return SubtaskScore(ability, name, n, units, clusters, mean, low, high, *(None,) * 3)
        corrected = self.corrected(place)
        ci = self.interval({place: 1.0}, corrected, confidence)
        return SubtaskScore(
            ability, name, n, units, clusters, mean, low, high, corrected, ci, self.p_chance(place)
        )

    def p_chance(self, place: int) -> float:
        """Two-sided p-value of accuracy = chance, by the score test.

        The number of trials is the one at which independent units would have the variance that
        the clusters show; the clusters themselves where they show none.
        """
        from scipy.special import stdtr

        mean, chance = float(self.accuracy[place]), float(self.chance[place])
        clusters = int(self.sums.clusters[place])
        if mean == chance:
            return 1.0
        if not 0.0 < chance < 1.0:
            return 0.0
        variance = float(self.sums.variance[place])
        trials = mean * (1.0 - mean) / variance if variance > TINY else float(clusters)
        distance = abs(mean - chance) / (chance * (1.0 - chance) / trials) ** 0.5
        return float(2.0 * stdtr(max(clusters - 1, 1), -distance))

    def _mean(self, values: Floats) -> Floats:
        sums = np.bincount(self.units.stratum, weights=values, minlength=len(self.marked))
        means: Floats = np.divide(
            sums, self.marked, out=np.full(len(sums), np.nan), where=self.marked > 0
        )
        return means
