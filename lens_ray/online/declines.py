"""Abilities that fell: `declines`, one-sided paired window tests over all looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lens_ray.online.findings import Decline, Window
from lens_ray.online.series import Series
from lens_ray.online.shift import Shifts
from lens_ray.online.spec import Rules
from lens_ray.online.windows import Look
from lens_ray.stats.multiplicity import holm
from lens_ray.stats.units import Floats, Ints


@dataclass(frozen=True)
class Looked:
    """A look, with what was compared at it.

    Attributes:
        look: When, and at what level.
        shifts: One a pair of windows.
    """

    look: Look
    shifts: tuple[Shifts, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One test of a look.

    Attributes:
        place: Of the newest checkpoint at the look.
        names: Whose: one ability, or the one that rises and the one that falls.
        shifts: Of the windows that were compared.
        p: One-sided, alone.
        p_adjusted: For all that is tested in the run; below ``alpha`` it is found.
    """

    place: int
    names: tuple[str, ...]
    shifts: Shifts
    p: float
    p_adjusted: float


def tested(
    looked: Looked, tests: Sequence[tuple[tuple[str, ...], Shifts, float]], alpha: float
) -> list[Verdict]:
    """Adjust the tests of one look: Holm's within it, then the look's part of alpha.

    Args:
        looked: The look.
        tests: Names, windows and one-sided p-value of each.
        alpha: Of the run.
    """
    scale = alpha / looked.look.level
    adjusted = holm([p for _, _, p in tests])
    return [
        Verdict(looked.look.place, names, shifts, p, min(scale * each, 1.0))
        for (names, shifts, p), each in zip(tests, adjusted, strict=True)
    ]


def declines(series: Series, rules: Rules, looks: Sequence[Looked]) -> tuple[Decline, ...]:
    """The declines of a run, by the step at which each was first known.

    A decline goes on as long as each look still shows one of the ability at an unadjusted p of
    ``alpha``; its windows and figures are those of the newest look that found it.

    Args:
        series: The run.
        rules: Its alpha and confidence count.
        looks: At its checkpoints, in their order.
    """
    by_look = [tested(looked, list(_falls(looked)), rules.alpha) for looked in looks]
    course = common_course(series)
    found = [
        _decline(series, course, first, newest, rules)
        for first, newest in episodes(by_look, rules.alpha)
    ]
    return tuple(sorted(found, key=lambda each: (each.declared_at, each.ability)))


def _falls(looked: Looked) -> Iterator[tuple[tuple[str, ...], Shifts, float]]:
    for shifts in looked.shifts:
        for name in shifts.moved:
            yield (name,), shifts, shifts.fell(name)[0]


def episodes(
    by_look: Sequence[Sequence[Verdict]], alpha: float
) -> Iterator[tuple[Verdict, Verdict]]:
    """What was found, as it goes on over looks: where it was first found, and where last.

    Args:
        by_look: The tests of each look.
        alpha: Of the run.
    """
    open_: dict[tuple[str, ...], tuple[Verdict, Verdict]] = {}
    for tests in by_look:
        best: dict[tuple[str, ...], Verdict] = {}
        for each in tests:
            if each.names not in best or each.p < best[each.names].p:
                best[each.names] = each
        for names, each in best.items():
            if each.p_adjusted <= alpha:
                open_[names] = (open_[names][0] if names in open_ else each, each)
            elif each.p > alpha and names in open_:
                yield open_.pop(names)
    yield from open_.values()


def _decline(
    series: Series, course: dict[str, Floats], first: Verdict, newest: Verdict, rules: Rules
) -> Decline:
    [name] = newest.names
    shifts = newest.shifts
    _, wander = shifts.fell(name)
    moved = shifts.moved[name]
    return Decline(
        ability=name,
        early=window_of(series.steps, shifts.windows.early),
        late=window_of(series.steps, shifts.windows.late),
        declared_at=int(series.steps[first.place]),
        effect=moved.effect,
        interval=moved.interval(wander, rules.confidence),
        confidence=rules.confidence,
        p_adjusted=newest.p_adjusted,
        best=int(series.steps[int(np.nanargmax(course[name][: newest.place + 1]))]),
        wander=wander is not None,
    )


def window_of(steps: Ints, places: tuple[int, ...]) -> Window:
    """First and last step of a window."""
    return int(steps[places[0]]), int(steps[places[-1]])


def common_course(series: Series) -> dict[str, Floats]:
    """Corrected scores by checkpoint, so that they can be held against each other.

    On the units that every checkpoint answered; of an ability without any, each checkpoint's own.
    """
    from lens_ray.online.courses import courses_of
    from lens_ray.stats.cells import means_of
    from lens_ray.stats.figures import ability_figures

    marks = replace(series.marks, facets={})
    figures = ability_figures(marks).only(series.abilities)
    own = figures.values(means_of(marks))
    return {
        name: own[:, place] if np.isnan(course.score).all() else course.score
        for place, (name, course) in enumerate(courses_of(series).items())
    }
