"""Alarms of single checkpoints: `sudden_drops`, and `health_alarms`, whatever the tests say.

A sudden drop is an ability that falls from one checkpoint to the next by more than a margin. The
newest is held against the one before, paired by unit, with the variance of whole clusters: what is
tested is this checkpoint, not the run, so no wander is in it. That the drop is no larger than
``rules.margin`` must be rejected, so that the small moves of any checkpoint are none.

The others look at answers, weights and levels:

* ``broken_weights``: somebody looked at the weights and found what cannot be trusted.
* ``empty_answers``: more than a tenth of the answers have no text.
* ``one_answer``: nine of ten answers of a format are the same one, and mostly wrong.
* ``near_chance``: an ability that had been learned (the lower bound of its score was above
  ``rules.near_chance``) is below it with its whole interval; or one is below it at five
  checkpoints in a row.

Each of these is told where it begins, and again only after a checkpoint without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lens_ray.online.findings import Alarm, Curve, Point
from lens_ray.online.series import Health, Series
from lens_ray.online.shift import Ground
from lens_ray.online.spec import Rules
from lens_ray.online.windows import Windows, alpha_at
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.marks import Marks

_EMPTY = 0.10
_ALIKE = 0.90
#: One answer for all that is right more often than this is what the questions ask for.
_RIGHT = 0.5
#: Of fewer answers of a format nothing is said.
_FEWEST = 20
#: An ability that was never learned is told after so many checkpoints.
_IN_A_ROW = 5


def sudden_drops(series: Series, rules: Rules, ground: Ground) -> tuple[Alarm, ...]:
    """One alarm for each checkpoint and ability that fell, by step.

    Args:
        series: The run.
        rules: ``margin``, ``alpha`` (over abilities and all looks), ``planned_checkpoints`` and
            ``confidence`` count.
        ground: Of the series.
    """
    found: list[Alarm] = []
    for place in range(1, len(series.steps)):
        level = alpha_at(place, rules.planned_checkpoints - 1, rules.alpha)
        found += _fell_at(series, rules, ground, place, level / max(len(series.abilities), 1))
    return tuple(found)


def _fell_at(
    series: Series, rules: Rules, ground: Ground, place: int, level: float
) -> Sequence[Alarm]:
    before, step = int(series.steps[place - 1]), int(series.steps[place])
    shifts = ground.shifts(Windows((place - 1,), (place,)), declared=False)
    return [
        Alarm(
            kind="sudden_drop",
            ability=name,
            step=step,
            line=f"step {step}: {name} fell by {-moved.effect:.3f} since step {before}",
            effect=moved.effect,
            interval=moved.interval(None, rules.confidence),
            confidence=rules.confidence,
        )
        for name, moved in shifts.moved.items()
        if moved.effect < -rules.margin and moved.below(None, by=rules.margin) <= level
    ]


def health_alarms(series: Series, rules: Rules, curves: Sequence[Curve]) -> tuple[Alarm, ...]:
    """The alarms of a run's checkpoints, by ascending step.

    Args:
        series: The run.
        rules: ``near_chance`` counts.
        curves: Of the series (`lens_ray.online.curves.curves_of`).
    """
    found = [*_answers(series)]
    for curve in curves:
        if curve.subtask is None and curve.ability != OVERALL:
            found += _near_chance(curve, rules)
    return tuple(sorted(found, key=lambda alarm: alarm.step or 0))


def _answers(series: Series) -> Iterator[Alarm]:
    """What the answers and the weights themselves show."""
    standing: set[str] = set()
    for row, health in enumerate(series.health):
        step = int(series.steps[row])
        found: dict[str, Alarm] = {}
        if health.broken is not None:
            line = f"step {step}: the weights cannot be trusted: {health.broken}"
            found["broken"] = Alarm("broken_weights", None, step, line)
        if health.n and health.empty > _EMPTY:
            line = f"step {step}: {health.empty:.0%} of {health.n:,} answers are empty"
            found["empty"] = Alarm("empty_answers", None, step, line, effect=health.empty)
        alike = _one_answer(series.marks, row, health)
        if alike:
            said = ", ".join(f"{share:.0%} of {form}" for form, share in alike.items())
            line = f"step {step}: one answer for all: {said} are the same, and mostly wrong"
            found["alike"] = Alarm("one_answer", None, step, line, effect=max(alike.values()))
        yield from (alarm for name, alarm in found.items() if name not in standing)
        standing = set(found)


def _one_answer(marks: Marks, row: int, health: Health) -> dict[str, float]:
    """Formats with the same answer for nearly all questions, unless it is the right one."""
    facet = marks.facets["format"]
    found = {}
    for form, share in health.commonest.items():
        if share < _ALIKE or form not in facet.labels:
            continue
        scores = marks.score[row, facet.code == facet.labels.index(form)]
        scores = scores[~np.isnan(scores)]
        if len(scores) >= _FEWEST and scores.mean() <= _RIGHT:
            found[form] = share
    return found


def _near_chance(curve: Curve, rules: Rules) -> Iterator[Alarm]:
    learned = False
    below = 0
    told = False
    for point in curve.points:
        if point.value is None or point.interval is None:
            continue
        low, high = point.interval
        below = below + 1 if point.value < rules.near_chance else 0
        told = told and below > 0
        collapsed = learned and high < rules.near_chance
        if not told and (collapsed or below >= _IN_A_ROW):
            told = True
            yield _alarm(curve, point, rules, collapsed, below)
        learned = learned or low > rules.near_chance


def _alarm(curve: Curve, point: Point, rules: Rules, collapsed: bool, below: int) -> Alarm:
    why = "it had been learned" if collapsed else f"it has been so at {below} checkpoints in a row"
    return Alarm(
        "near_chance",
        curve.ability,
        point.step,
        f"step {point.step}: {curve.ability} is near chance: {point.value:.3f}, below "
        f"{rules.near_chance:g}; {why}",
        effect=point.value,
        interval=point.interval,
        confidence=0.95,
    )
