"""How far each ability moved from one window of checkpoints to another: `Ground.shifts`.

A window's mark on a unit is the mean of its checkpoints' marks there; late minus early is paired by
unit, over the units that all checkpoints of both windows answered, with the variance of whole
clusters (`lens_ray.stats.contrast`). To that comes what checkpoints wander by themselves
(`lens_ray.online.wander`), where it can be told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from lens_ray.online.findings import Interval
from lens_ray.online.series import Series
from lens_ray.online.wander import (
    INSIDE,
    INSIDE_DECLARED,
    Scatter,
    around,
    directions,
    reach,
    step_variance,
    times_of,
)
from lens_ray.online.windows import Windows
from lens_ray.stats.clustered import clustered
from lens_ray.stats.contrast import Difference, contrast
from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Bools, Floats


@dataclass(frozen=True, slots=True)
class Moved:
    """One ability from one window to another.

    Attributes:
        ability: Which.
        effect: Late minus early.
        items: Variance of ``effect`` that comes from the items.
        df: Its degrees of freedom.
        centre: ``effect`` where few items changed: drawn towards 0.
        inside: Variance of wander, from inside the windows; None where it cannot be told.
    """

    ability: str
    effect: float
    items: float
    df: float
    centre: float
    inside: float | None

    def se(self, wander: float | None) -> float:
        """Standard error with some variance of wander."""
        return math.sqrt(self.items + (wander or 0.0))

    def below(self, wander: float | None, *, by: float = 0.0) -> float:
        """One-sided p-value of "it did not fall by more than so much"."""
        from scipy.special import stdtr

        return float(stdtr(self.df, (self.centre + by) / self.se(wander)))

    def above(self, wander: float | None) -> float:
        """One-sided p-value of "it did not rise"."""
        from scipy.special import stdtr

        return float(stdtr(self.df, -self.centre / self.se(wander)))

    def interval(self, wander: float | None, confidence: float) -> Interval:
        """Two-sided; it holds the effect."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.df, (1 + confidence) / 2)) * self.se(wander)
        return min(self.centre - half, self.effect), max(self.centre + half, self.effect)


@dataclass(frozen=True)
class Shifts:
    """All abilities from one window to another.

    Attributes:
        windows: Which.
        declared: Whether a watch file names them.
        moved: One an ability that could be compared.
        lacking: Why the others could not, by ability.
    """

    windows: Windows
    declared: bool
    moved: Mapping[str, Moved]
    lacking: Mapping[str, str]

    def wander(self, *tested: str) -> float | None:
        """Variance of wander for a test of some abilities: the smaller of what two ways give.

        The way around leaves the tested abilities out, and, where only one is tested, the one of
        the others that moved most: in a conflict that is the one that rose. It is for declared
        windows, which mostly lie farther apart than what is seen inside them reaches.

        Args:
            tested: One ability, or the two of a conflict.
        """
        inside = self.moved[tested[0]].inside
        if not self.declared:
            return inside
        others = [one for name, one in self.moved.items() if name not in tested]
        share = 1.0
        if len(tested) == 1 and len(others) > 1:
            share = _without_largest(len(others))
            others = sorted(others, key=lambda one: abs(one.effect))[:-1]
        # The scale of what is left, not its items' noise, is what leaving out shrinks.
        effects = [one.effect / math.sqrt(share) for one in others]
        outside = around(effects, [one.items for one in others])
        known = [each for each in (inside, outside) if each is not None]
        return min(known) if known else None


class Ground:
    """The marks of a series, gone through once for each window.

    Args:
        series: The run.
    """

    def __init__(self, series: Series) -> None:
        # Facets are not needed and their labels would be copied.
        self._marks: Marks = replace(series.marks, facets={}, runs=(), notes=())
        self._steps: Floats = series.steps.astype(np.float64)
        self._figures: Figures = ability_figures(self._marks).only(series.abilities)
        self._scatters: dict[tuple[int, ...], dict[str, Scatter]] = {}
        self._means: dict[tuple[int, ...], Floats] = {}

    def shifts(self, windows: Windows, *, declared: bool) -> Shifts:
        """How far every ability moved from one window to the other.

        Args:
            windows: Which; the marks of other checkpoints are not looked at.
            declared: Whether a watch file names them.
        """
        inside = self._inside(windows, INSIDE_DECLARED if declared else INSIDE)
        moved, lacking = {}, {}
        for found in self._differences(windows):
            if found.difference is None or not found.se or found.df is None or found.p is None:
                lacking[found.figure] = found.reason or "no unit varies"
                continue
            moved[found.figure] = Moved(
                found.figure, found.difference, found.se**2, found.df, _centre(found), inside
            )
        return Shifts(windows, declared, moved, lacking)

    def _differences(self, windows: Windows) -> Sequence[Difference]:
        means = np.stack([self._mean(windows.late), self._mean(windows.early)])
        both: Bools = ~np.isnan(means).any(axis=0)
        figures = self._figures
        marks = replace(self._marks, models=("late", "early"), score=means)
        if not both.any():
            why = "no unit was answered at every checkpoint of both windows"
            figures = replace(figures, reasons={**dict.fromkeys(figures.names, why)})
        return contrast(marks, "late", "early", figures, with_mde=False)

    def _mean(self, places: tuple[int, ...]) -> Floats:
        """Mean mark of each unit; NaN where a checkpoint of the window lacks it."""
        if places not in self._means:
            self._means[places] = self._marks.score[list(places)].mean(axis=0)
        return self._means[places]

    def _inside(self, windows: Windows, above: float) -> float | None:
        early, late = times_of(windows, self._steps)
        scatters = [
            one
            for places, times in ((windows.early, early), (windows.late, late))
            for one in self._scatter(places, times).values()
        ]
        found = step_variance(scatters, above)
        return None if found is None else found * reach(early, late)

    def _scatter(self, places: tuple[int, ...], times: Floats) -> dict[str, Scatter]:
        """How each ability's checkpoints deviate inside a window."""
        if places not in self._scatters:
            self._scatters[places] = self._scattered(places, times) if len(places) > 1 else {}
        return self._scatters[places]

    def _scattered(self, places: tuple[int, ...], times: Floats) -> dict[str, Scatter]:
        weights, walk = directions(times)
        marks, figures = self._marks, self._figures
        sums = [
            clustered(each, marks.stratum, marks.cluster, len(marks.strata))
            for each in weights @ marks.score[list(places)]
        ]
        found = {}
        for place, name in enumerate(figures.names):
            slope = figures.slope[place]
            counted = slope != 0
            if name in figures.reasons or any((one.size[counted] < 2).any() for one in sums):
                continue
            square = np.array([float(slope @ one.mean) ** 2 for one in sums])
            items = np.array([one.combined(slope)[0] for one in sums])
            found[name] = Scatter(square, items, walk)
        return found


def _centre(found: Difference) -> float:
    """What the test is of (see `lens_ray.stats.contrast`), from its p-value."""
    from scipy.special import stdtrit

    assert found.se is not None
    assert found.df is not None
    assert found.p is not None
    assert found.difference is not None
    if found.p < 1e-12:  # so far off nothing is drawn anywhere
        return found.difference
    away = -float(stdtrit(found.df, found.p / 2)) * found.se
    return math.copysign(away, found.difference)


@lru_cache(maxsize=64)
def _without_largest(count: int) -> float:
    """Mean square of so many standard normal values without the largest square."""
    from scipy.special import chdtr

    at = np.linspace(0.0, 60.0, 60_001)
    largest = float(np.trapezoid(1 - chdtr(1, at) ** count, at))
    return (count - largest) / (count - 1)
