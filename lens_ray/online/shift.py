"""How far each ability moved from one window of checkpoints to another: `Ground.shifts`.

A window's mark on a unit is the mean of its checkpoints' marks there; late minus early is paired by
unit, over the units that all checkpoints of both windows answered, with the variance of whole
clusters (`lens_ray.stats.contrast`). To that comes what checkpoints wander by themselves
(`lens_ray.online.wander`), where it can be told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lens_ray.online.findings import Interval
from lens_ray.online.series import Series
from lens_ray.online.wander import (
    BLOCKS_CONFLICT,
    BLOCKS_DECLINE,
    DECLARED_CONFLICT,
    DECLARED_DECLINE,
    Raise,
    Scatter,
    StepVariance,
    Wander,
    around,
    around_without_largest,
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
    """

    ability: str
    effect: float
    items: float
    df: float
    centre: float

    def below(self, wander: Wander | None, *, by: float = 0.0) -> float:
        """One-sided p-value of "it did not fall by more than so much"."""
        from scipy.special import stdtr

        se, df = self._doubt(wander)
        return float(stdtr(df, (self.centre + by) / se))

    def above(self, wander: Wander | None) -> float:
        """One-sided p-value of "it did not rise"."""
        from scipy.special import stdtr

        se, df = self._doubt(wander)
        return float(stdtr(df, -self.centre / se))

    def interval(self, wander: Wander | None, confidence: float) -> Interval:
        """Two-sided; it holds the effect."""
        from scipy.special import stdtrit

        se, df = self._doubt(wander)
        half = float(stdtrit(df, (1 + confidence) / 2)) * se
        return min(self.centre - half, self.effect), max(self.centre + half, self.effect)

    def _doubt(self, wander: Wander | None) -> tuple[float, float]:
        if wander is None:
            return math.sqrt(self.items), self.df
        return math.sqrt(self.items + wander.variance), wander.freedom(self.items, self.df)


@dataclass(frozen=True)
class Shifts:
    """All abilities from one window to another.

    Attributes:
        windows: Which.
        declared: Whether a watch file names them.
        moved: One an ability that could be compared.
        lacking: Why the others could not, by ability.
        step: sigma^2 inside the windows; None where it cannot be told.
        reached: What a walk of variance 1 moves their difference by.
    """

    windows: Windows
    declared: bool
    moved: Mapping[str, Moved]
    lacking: Mapping[str, str]
    step: StepVariance | None
    reached: float

    @property
    def shown(self) -> Wander | None:
        """What is seen inside the windows, as it is: for intervals that are no test."""
        if self.step is None:
            return None
        return self.step.wander(self.reached, 0.0, counted=True)

    def fell(self, name: str) -> tuple[float, Wander | None]:
        """One-sided p-value of "it did not fall", and the wander in it.

        Args:
            name: An ability of ``moved``.
        """
        raised = DECLARED_DECLINE if self.declared else BLOCKS_DECLINE
        others = [one for other, one in self.moved.items() if other != name]
        ways = self._ways(raised, others, around_without_largest, counted=True)
        return min(((self.moved[name].below(way), way) for way in ways), key=lambda found: found[0])

    def in_conflict(self, rises: str, falls: str) -> tuple[float, Wander | None]:
        """The larger p-value of "it did not rise" and "it did not fall", and the wander in it.

        Args:
            rises: An ability of ``moved``.
            falls: Another.
        """
        raised = DECLARED_CONFLICT if self.declared else BLOCKS_CONFLICT
        up, down = self.moved[rises], self.moved[falls]
        others = [one for one in self.moved.values() if one not in (up, down)]
        ways = self._ways(raised, others, around, counted=False)
        tests = ((max(up.above(way), down.below(way)), way) for way in ways)
        return min(tests, key=lambda found: found[0])

    def _ways(
        self, raised: Raise, others: Sequence[Moved], outside: _Outside, *, counted: bool
    ) -> Sequence[Wander | None]:
        """What is known of wander, each way; None where nothing is."""
        found: list[Wander] = []
        if self.step is not None:
            found.append(self.step.wander(self.reached, raised.inside, counted=counted))
        if raised.around is not None:
            way = outside(
                [one.effect for one in others], [one.items for one in others], raised.around
            )
            found += [way] if way is not None else []
        return found or [None]


_Outside = Callable[[Sequence[float], Sequence[float], float], Wander | None]


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
        moved, lacking = {}, {}
        for found in self._differences(windows):
            if found.difference is None or not found.se or found.df is None or found.p is None:
                lacking[found.figure] = found.reason or "no unit varies"
                continue
            moved[found.figure] = Moved(
                found.figure, found.difference, found.se**2, found.df, _centre(found)
            )
        early, late = times_of(windows, self._steps)
        step = self._step_variance(windows, early, late)
        return Shifts(windows, declared, moved, lacking, step, reach(early, late))

    def _differences(self, windows: Windows) -> Sequence[Difference]:
        means = np.stack([self._mean(windows.late), self._mean(windows.early)])
        both: Bools = ~np.isnan(means[0]) & ~np.isnan(means[1])
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

    def _step_variance(self, windows: Windows, early: Floats, late: Floats) -> StepVariance | None:
        return step_variance(
            one
            for places, times in ((windows.early, early), (windows.late, late))
            for one in self._scatter(places, times).values()
        )

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
