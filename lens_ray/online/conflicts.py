"""One ability rose while another fell: `conflicts`, intersection-union tests of ordered pairs.

Both must be shown, so the p-value of an ordered pair is the larger of the two one-sided ones; Holm
goes over all ordered pairs and windows of a look, and alpha over the looks. No cause is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations

from lens_ray.online.declines import Looked, Verdict, episodes, tested, window_of
from lens_ray.online.findings import Conflict, Window
from lens_ray.online.series import Series
from lens_ray.online.shift import Shifts
from lens_ray.online.spec import Rules


def conflicts(series: Series, rules: Rules, looks: Sequence[Looked]) -> tuple[Conflict, ...]:
    """The conflicts of a run, by the step at which each was first known.

    They go on as declines do (`lens_ray.online.declines.declines`).

    Args:
        series: The run; its ``changes`` are laid beside.
        rules: Its alpha and confidence count.
        looks: At its checkpoints, in their order.
    """
    by_look = [tested(looked, list(_pairs(looked)), rules.alpha) for looked in looks]
    found = [
        _conflict(series, first, newest, rules) for first, newest in episodes(by_look, rules.alpha)
    ]
    return tuple(sorted(found, key=lambda each: (each.declared_at, each.rises, each.falls)))


def _pairs(looked: Looked) -> Iterator[tuple[tuple[str, ...], Shifts, float]]:
    for shifts in looked.shifts:
        for rises, falls in permutations(shifts.moved, 2):
            yield (rises, falls), shifts, shifts.in_conflict(rises, falls)[0]


def _conflict(series: Series, first: Verdict, newest: Verdict, rules: Rules) -> Conflict:
    rises, falls = newest.names
    shifts = newest.shifts
    _, wander = shifts.in_conflict(rises, falls)
    up, down = shifts.moved[rises], shifts.moved[falls]
    early = window_of(series.steps, shifts.windows.early)
    late = window_of(series.steps, shifts.windows.late)
    return Conflict(
        rises=rises,
        falls=falls,
        early=early,
        late=late,
        declared_at=int(series.steps[first.place]),
        rise=up.effect,
        rise_interval=up.interval(wander, rules.confidence),
        effect=down.effect,
        interval=down.interval(wander, rules.confidence),
        confidence=rules.confidence,
        p_adjusted=newest.p_adjusted,
        beside=_beside(series.changes, early, late),
        wander=wander is not None,
    )


def _beside(changes: Mapping[int, str], early: Window, late: Window) -> dict[int, str]:
    """Changes that the late window can show and the early one cannot: a checkpoint comes first."""
    return {step: what for step, what in sorted(changes.items()) if early[0] <= step < late[1]}
