"""Stretches in which an ability does not change: `plateaus`, by two one-sided tests (TOST)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lens_ray.online.courses import Course, courses_of
from lens_ray.online.findings import Plateau
from lens_ray.online.series import Series
from lens_ray.online.spec import Rules
from lens_ray.stats.units import Bools, Ints

#: A stretch has at least so many checkpoints, whatever a window has.
_LEAST = 4


def plateaus(series: Series, rules: Rules) -> tuple[Plateau, ...]:
    """The stretches of each ability within which nothing moved by the margin, either way.

    A stretch of at least ``rules.window`` checkpoints holds when the mean of its second half minus
    that of its first is inside (-margin, margin) for sure, by two one-sided tests at
    ``rules.confidence`` each, and neither its beginning, its middle nor its end lies apart from the
    rest of it. The first stretch is the longest one from the first checkpoint from which one
    holds, the next begins after it.

    Args:
        series: The run.
        rules: Its window, margin and confidence count.

    Returns:
        By ability, then by step. An ability near chance has plateaus too.
    """
    return tuple(
        found
        for course in courses_of(series).values()
        if course.reason is None
        for found in _stretches(course, rules)
    )


def _stretches(course: Course, rules: Rules) -> Iterator[Plateau]:
    size, shortest = len(course), max(rules.window, _LEAST)
    if size < shortest:
        return
    first, end = np.meshgrid(np.arange(size), np.arange(1, size + 1), indexing="ij")
    holds = np.zeros((size, size + 1), dtype=bool)
    long = end - first >= shortest
    holds[:, 1:][long] = _holds(course, first[long], end[long], rules)
    place = 0
    while place < size:
        ends = np.flatnonzero(holds[place])
        if len(ends):
            yield _plateau(course, place, int(ends[-1]), rules)
            place = int(ends[-1])
        else:
            place += 1


def _holds(course: Course, first: Ints, end: Ints, rules: Rules) -> Bools:
    moved, error = course.apart((first, _cut(first, end)), (_cut(first, end), end))
    off = course.quantile(rules.confidence) * error
    found = np.abs(moved) + off < rules.margin
    size = end - first
    # Two at least, one where four leave no middle.
    edge = np.maximum(size // 4, np.minimum(2, (size - 1) // 2))
    for a, b in ((first, first + edge), (end - edge, end), (first + edge, end - edge)):
        found &= ~_stands_out(course, (first, end), (a, b), rules)
    return found


def _stands_out(
    course: Course, whole: tuple[Ints, Ints], part: tuple[Ints, Ints], rules: Rules
) -> Bools:
    """Whether a part of a stretch lies apart from the rest of it: seen, or by the margin."""
    # Part minus whole is (1 - share) of part minus rest, in error as in mean.
    (first, end), (a, b) = whole, part
    moved, error = course.apart((first, end), (a, b))
    share = (b - a) / (end - first)
    seen = np.abs(moved) > course.quantile((1 + rules.confidence) / 2) * error
    found: Bools = seen | (np.abs(moved) / (1 - share) >= rules.margin)
    return found


def _cut(first: Ints, end: Ints) -> Ints:
    return (first + end) // 2


def _plateau(course: Course, first: int, end: int, rules: Rules) -> Plateau:
    cut = (first + end) // 2
    moved, error = course.apart((first, cut), (cut, end))
    off = course.quantile(rules.confidence) * error
    return Plateau(
        ability=course.ability,
        window=(int(course.steps[first]), int(course.steps[end - 1])),
        effect=moved,
        interval=(moved - off, moved + off),
        confidence=round(2 * rules.confidence - 1, 12),
        margin=rules.margin,
        ended=_ended(course, first, end, rules),
    )


def _ended(course: Course, first: int, end: int, rules: Rules) -> bool:
    """Whether what follows, up to a window of it, lies elsewhere for sure."""
    if end == len(course):
        return False
    after = min(end + rules.window, len(course))
    moved, error = course.apart((first, end), (end, after))
    return abs(moved) > course.quantile((1 + rules.confidence) / 2) * error
