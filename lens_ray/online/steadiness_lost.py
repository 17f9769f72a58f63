"""Stability that is lost while accuracy rises: `stability_alarms`.

Tau is how widely the corrected scores of an ability's subtasks differ beyond the noise of sampling
(`lens_ray.stats.heterogeneity`). Where an ability's score and its tau both rise from one window of
checkpoints to a later one, it gains on some subtasks at the cost of its evenness. Each of the two
is a one-sided test of late minus early, paired by unit:

* the marks of a window are the means of each unit's marks over its checkpoints;
* the variance that comes from the units is that of whole clusters (of the score by formula, of tau
  by the joint bootstrap of both windows);
* to it comes what checkpoints of a window differ among themselves, s^2 / m of each window, with
  the t quantile of their degrees of freedom; windows of one checkpoint cannot show that.

The alarm is given where both tests reject (intersection-union), at ``alpha`` shared by abilities
and looks: four fifths of it evenly by the planned looks, the rest by all later ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lens_ray.online.findings import Alarm, Curve, Point
from lens_ray.online.series import Series
from lens_ray.online.spec import Rules
from lens_ray.stats.contrast import contrast
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks
from lens_ray.stats.spread import spread
from lens_ray.stats.units import Bools

_PLANNED = 0.8


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two windows, as rows of the series."""

    early: range
    late: range


@dataclass(frozen=True, slots=True)
class _Moved:
    """Late minus early, and how sure."""

    effect: float
    se: float
    df: float

    def low(self, level: float) -> float:
        """The one-sided lower bound."""
        from scipy.special import stdtrit

        return self.effect - float(stdtrit(self.df, 1 - level)) * self.se

    def interval(self, confidence: float) -> tuple[float, float]:
        """The two-sided one."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.df, (1 + confidence) / 2)) * self.se
        return self.effect - half, self.effect + half


def stability_alarms(series: Series, rules: Rules, curves: Sequence[Curve]) -> tuple[Alarm, ...]:
    """Where an ability became less even while it became better.

    Args:
        series: The run.
        rules: Windows, level and confidence.
        curves: Of the series (`lens_ray.online.curves.curves_of`).
    """
    whole = {curve.ability: curve.points for curve in curves if curve.subtask is None}
    found = []
    for look, pair in enumerate(_pairs(series, rules), 1):
        level = _level(look, rules) / max(len(series.abilities), 1)
        marks = _window_marks(series, pair)
        if marks is None:
            continue
        step = int(series.steps[pair.late[-1]])
        for ability in series.abilities:
            mine = marks.where(_of_ability(marks, ability))
            alarm = _tested(mine, ability, whole[ability], pair, step, level, rules)
            if alarm is not None:
                found.append(alarm)
    return tuple(found)


def _pairs(series: Series, rules: Rules) -> Iterator[_Pair]:
    """The windows that are compared, in the order in which they are complete."""
    steps = series.steps
    if rules.windows:
        declared = sorted(rules.windows, key=lambda each: each.late[1])
        for one in declared:
            early = np.flatnonzero((steps >= one.early[0]) & (steps <= one.early[1]))
            late = np.flatnonzero((steps >= one.late[0]) & (steps <= one.late[1]))
            if len(early) and len(late) and steps[-1] >= one.late[1]:
                yield _Pair(
                    range(int(early[0]), int(early[-1]) + 1), range(int(late[0]), int(late[-1]) + 1)
                )
        return
    size = rules.window
    for end in range(2 * size, len(steps) + 1, size):
        yield _Pair(range(end - 2 * size, end - size), range(end - size, end))


def _level(look: int, rules: Rules) -> float:
    """What is spent of alpha at a look, from 1."""
    planned = len(rules.windows) or max(rules.planned_checkpoints // rules.window - 1, 1)
    if look <= planned:
        return _PLANNED * rules.alpha / planned
    later = look - planned
    return (1 - _PLANNED) * rules.alpha / (later * (later + 1))


def _window_marks(series: Series, pair: _Pair) -> Marks | None:
    """Late and early as two models, on the units that all their checkpoints answered."""
    score = series.marks.score
    rows = [*pair.early, *pair.late]
    common: Bools = np.logical_and.reduce(~np.isnan(score[rows]), axis=0)
    if not common.any():
        return None
    bare = replace(series.marks, models=(), runs=(), score=score[:0]).where(common)
    means = [score[window.start : window.stop, common].mean(axis=0)
             for window in (pair.late, pair.early)]  # fmt: skip
    return replace(bare, models=("late", "early"), score=np.stack(means))


def _of_ability(marks: Marks, ability: str) -> Bools:
    facet = marks.facets["ability"]
    found: Bools = facet.code == facet.labels.index(ability) if ability in facet.labels else (
        np.zeros(len(marks.stratum), dtype=bool)
    )  # fmt: skip
    return found


def _tested(
    marks: Marks,
    ability: str,
    points: Sequence[Point],
    pair: _Pair,
    step: int,
    level: float,
    rules: Rules,
) -> Alarm | None:
    if not marks.ids:
        return None
    figures = ability_figures(marks).only([ability])
    [found] = contrast(marks, "late", "early", figures, with_mde=False)
    if found.difference is None or found.se is None or found.df is None:
        return None
    score = _with_wander(found.difference, found.se, found.df, points, pair, "value")
    if score.low(level) <= 0:
        return None  # what comes now takes a hundred times as long
    draws = draw_jointly(marks, f"{step}/{ability}")
    both = spread(marks, None, draws, kinds=("tau",), names=(ability,))
    late, early = (both.steady["tau", label, ability].value for label in ("late", "early"))
    if late is None or early is None:
        return None
    drawn = both.replicates("tau")[:, :, 0]
    se = float((drawn[:, 0] - drawn[:, 1]).std(ddof=1))
    tau = _with_wander(late - early, se, math.inf, points, pair, "tau")
    if tau.low(level) <= 0:
        return None
    return Alarm(
        "stability_lost",
        ability,
        step,
        f"step {step}: {ability} rose by {100 * score.effect:.1f} points and became less even: "
        f"its subtasks differ by {late:.3f} (tau), {early:.3f} before",
        effect=tau.effect,
        interval=tau.interval(rules.confidence),
        confidence=rules.confidence,
    )


def _with_wander(
    effect: float, se: float, df: float, points: Sequence[Point], pair: _Pair, name: str
) -> _Moved:
    """Add what the checkpoints of each window differ among themselves."""
    parts = [(se**2, df)]
    for window in (pair.early, pair.late):
        values = [getattr(points[row], name) for row in window]
        known = np.array([value for value in values if value is not None])
        if len(known) > 1:
            parts.append((float(known.var(ddof=1)) / len(known), len(known) - 1.0))
    total = sum(part for part, _ in parts)
    below = sum(part**2 / freedom for part, freedom in parts)
    return _Moved(effect, total**0.5, total**2 / below if below > 0 else 1e9)
