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

The alarm is given where both tests reject (intersection-union). Windows, looks and their shares of
``alpha`` are those of `lens_ray.online.windows`, and abilities share a look's evenly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lens_ray.online.findings import Alarm, Curve, Point
from lens_ray.online.series import Series
from lens_ray.online.spec import Rules
from lens_ray.online.windows import Windows, looks_of
from lens_ray.stats.contrast import contrast
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks
from lens_ray.stats.spread import spread
from lens_ray.stats.units import Bools


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
    for look in looks_of(series.steps, rules):
        # Of blocks the one before, which comes first.
        pairs = look.pairs if look.declared else look.pairs[:1]
        level = look.level / len(look.pairs) / max(len(series.abilities), 1)
        for pair in pairs:
            marks = _window_marks(series, pair)
            if marks is None:
                continue
            step = int(series.steps[look.place])
            for ability in series.abilities:
                mine = marks.where(_of_ability(marks, ability))
                alarm = _tested(mine, ability, whole[ability], pair, step, level, rules)
                if alarm is not None:
                    found.append(alarm)
    return tuple(found)


def _window_marks(series: Series, pair: Windows) -> Marks | None:
    """Late and early as two models, on the units that all their checkpoints answered."""
    score = series.marks.score
    rows = [*pair.early, *pair.late]
    common: Bools = np.logical_and.reduce(~np.isnan(score[rows]), axis=0)
    if not common.any():
        return None
    bare = replace(series.marks, models=(), runs=(), score=score[:0]).where(common)
    means = [score[list(window)][:, common].mean(axis=0)
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
    pair: Windows,
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
    effect: float, se: float, df: float, points: Sequence[Point], pair: Windows, name: str
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
