"""One ability over the checkpoints of a run, on the units that all of them answered: `Course`.

Any difference of means over checkpoints is a weighted sum of the scores, and its variance over
units a quadratic form in the same weights. So the marks are gone through once: each cluster's
influence on each score is laid down, the influences are multiplied to one matrix of covariances
between checkpoints, and sums over blocks of it (from running sums) give the variance of any two
windows' difference at once. For 500 checkpoints of 2,000 units that is one product of matrices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from lens_ray.online.series import Series
from lens_ray.stats.cells import cells_of, means_of
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Bools, Floats, Ints


@dataclass(frozen=True)
class Course:
    """The corrected score of one ability over checkpoints.

    Attributes:
        ability: Which.
        places: Of the checkpoints among all of the run's, ascending.
        steps: Of these checkpoints.
        score: Corrected score at each.
        units: Units that all of them answered.
        clusters: Clusters of these.
        reason: Why there is no score; `score` is then NaN.
        summed: Running sum of the scores, with a 0 before the first.
        covered: Running sums, over rows and columns, of the covariances between checkpoints.
        least: Variance that is added to every difference of windows.
    """

    ability: str
    places: Ints
    steps: Ints
    score: Floats
    units: int
    clusters: int
    reason: str | None
    summed: Floats
    covered: Floats
    least: float

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def apart(self, early: tuple[int, int], late: tuple[int, int]) -> tuple[float, float]: ...
    @overload
    def apart(self, early: tuple[Ints, Ints], late: tuple[Ints, Ints]) -> tuple[Floats, Floats]: ...
    def apart(
        self, early: tuple[Ints | int, Ints | int], late: tuple[Ints | int, Ints | int]
    ) -> tuple[Floats | float, Floats | float]:
        """Mean over a late window minus that over an early one, and its standard error.

        The error is that of drawing other units, paired and clustered. Each difference has the
        variance of one unit that got better and one that got worse on top, so that windows
        between which no unit changed are not equal for certain.

        Args:
            early: First place and the one after the last (of this course's checkpoints).
            late: The same of the late window; the two may share checkpoints.
        """
        (a, b), (c, d) = early, late
        m, n = np.subtract(b, a), np.subtract(d, c)
        middle = (self.summed[d] - self.summed[c]) / n - (self.summed[b] - self.summed[a]) / m
        variance = (
            self._block(c, d, c, d) / n**2
            - 2 * self._block(a, b, c, d) / (m * n)
            + self._block(a, b, a, b) / m**2
        )
        error = np.sqrt(np.maximum(variance, 0.0) + self.least)
        return (float(middle), float(error)) if np.ndim(middle) == 0 else (middle, error)

    def level(self, first: Ints | int, end: Ints | int) -> tuple[Floats, Floats]:
        """Mean over a window, and its standard error.

        Args:
            first: Its first place.
            end: The place after its last.
        """
        n = np.subtract(end, first)
        variance = self._block(first, end, first, end) / n**2
        mean = (self.summed[end] - self.summed[first]) / n
        return mean, np.sqrt(np.maximum(variance, 0.0) + self.least)

    def quantile(self, confidence: float) -> float:
        """How many standard errors a one-sided bound lies off: of t with clusters - 1 degrees."""
        from scipy.special import stdtrit

        return float(stdtrit(max(self.clusters - 1, 1), confidence))

    def _block(self, a: Ints | int, b: Ints | int, c: Ints | int, d: Ints | int) -> Floats:
        total = self.covered
        found: Floats = total[b, d] - total[a, d] - total[b, c] + total[a, c]
        return found


def courses_of(series: Series) -> dict[str, Course]:
    """The course of each ability over all checkpoints, on the units common to all of them.

    A checkpoint that answered less than half of what others of its depth did is left out: with it
    there would be few common units, or none.
    """
    return _on(series, np.flatnonzero(_answered(series)))


def full_courses(series: Series) -> dict[str, Course]:
    """The course of each ability over the checkpoints that were asked in full.

    Empty where all were, so that there is nothing that `courses_of` has not.
    """
    answered = _answered(series)
    full = answered & np.array([depth == "full" for depth in series.depth], dtype=bool)
    return {} if full.sum() in (0, answered.sum()) else _on(series, np.flatnonzero(full))


def _answered(series: Series) -> Bools:
    """Which checkpoints answered enough."""
    count = series.marks.answered.sum(axis=1)
    depths = np.array(series.depth, dtype=object)
    usual = np.array([count[depths == depth].max(initial=0) for depth in series.depth])
    found: Bools = 2 * count >= np.maximum(usual, 1)
    return found


def _on(series: Series, places: Ints) -> dict[str, Course]:
    marks = series.marks
    if len(places) < len(series.steps):
        marks = marks.only([marks.models[place] for place in places.tolist()])
    found = {course.ability: course for course in _courses(marks, places, series.steps[places])}
    for ability in series.abilities:
        if ability not in found:
            why = f"no unit of {ability} was answered at every checkpoint"
            found[ability] = _nothing(ability, places, series.steps[places], why)
    return {ability: found[ability] for ability in series.abilities}


def _courses(marks: Marks, places: Ints, steps: Ints) -> Iterator[Course]:
    """One an ability that has units which every checkpoint answered."""
    everywhere: Bools = np.logical_and.reduce(marks.answered, axis=0)
    if not len(places) or not everywhere.any():
        return
    # Facets are not needed and their labels would be copied.
    marks = replace(marks, facets={})
    common = marks if everywhere.all() else marks.where(everywhere)
    figures = ability_figures(common)
    cells = cells_of(common)
    scores = figures.values(means_of(common))
    for place, ability in enumerate(figures.names[:-1]):
        slope = figures.slope[place]
        counted = np.flatnonzero(slope[cells.stratum] != 0)
        if ability in figures.reasons:
            yield _nothing(ability, places, steps, figures.reasons[ability])
            continue
        cluster = cells.cluster[counted]
        begins = np.flatnonzero(np.r_[True, cluster[1:] != cluster[:-1]])
        moved = cells.residual[:, counted] * slope[cells.stratum[counted]]
        influence = np.add.reduceat(moved, begins, axis=1)
        clusters = len(begins)
        covariance = influence @ influence.T * (clusters / max(clusters - 1, 1))
        units = int((slope[common.stratum] != 0).sum())
        one = float(np.abs(slope).sum()) / units
        why = "one cluster only: nothing shows how far it may be off" if clusters < 2 else None
        yield Course(
            ability=ability, places=places, steps=steps, score=scores[:, place], units=units,
            clusters=clusters, reason=why, summed=np.r_[0.0, np.cumsum(scores[:, place])],
            covered=_running(covariance), least=2 * one**2,
        )  # fmt: skip


def _nothing(ability: str, places: Ints, steps: Ints, reason: str) -> Course:
    none = np.full(len(steps), np.nan)
    return Course(
        ability, places, steps, none, 0, 0, reason, np.r_[0.0, none],
        np.full((len(steps) + 1, len(steps) + 1), np.nan), 0.0,
    )  # fmt: skip


def _running(covariance: Floats) -> Floats:
    found = np.zeros((len(covariance) + 1, len(covariance) + 1))
    found[1:, 1:] = covariance.cumsum(axis=0).cumsum(axis=1)
    return found
