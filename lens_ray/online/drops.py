"""An ability that falls from one checkpoint to the next by more than a margin: `sudden_drops`.

The newest checkpoint is held against the one before, paired by unit, with the variance of whole
clusters: what is tested is this checkpoint, not the run, so no wander is in it. That the drop is no
larger than ``rules.margin`` must be rejected, so that the small moves of any checkpoint are none.
"""

from __future__ import annotations

from collections.abc import Sequence

from lens_ray.online.findings import Alarm
from lens_ray.online.series import Series
from lens_ray.online.shift import Ground
from lens_ray.online.spec import Rules
from lens_ray.online.windows import Windows, spent


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
        level = spent(place, rules.planned_checkpoints - 1, rules.alpha)
        found += _at(series, rules, ground, place, level / max(len(series.abilities), 1))
    return tuple(found)


def _at(series: Series, rules: Rules, ground: Ground, place: int, level: float) -> Sequence[Alarm]:
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
