"""Stretches in which an ability does not change: `plateaus`, by two one-sided tests (TOST)."""

from __future__ import annotations

from collections.abc import Iterator

from lens_ray.online.courses import Course, courses_of
from lens_ray.online.findings import Plateau
from lens_ray.online.series import Series
from lens_ray.online.spec import Rules

#: A stretch has at least so many checkpoints, whatever a window has.
_LEAST = 4


def plateaus(series: Series, rules: Rules) -> tuple[Plateau, ...]:
    """The stretches of each ability within which nothing moved by the margin, either way.

    A stretch begins at the first checkpoint from which ``rules.window`` of them (at least four)
    hold; it is made longer while the whole of it and its newest half-window still hold, and the
    next one begins after it. A stretch holds when the interval of its second half's mean minus its
    first half's lies inside (-margin, margin).

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
    shortest, first = max(rules.window, _LEAST), 0
    while first + shortest <= len(course):
        end = first + shortest
        if not _holds(course, first, end, (first + end) // 2, rules):
            first += 1
            continue
        while end < len(course) and _goes_on(course, first, end + 1, shortest // 2, rules):
            end += 1
        yield _plateau(course, first, end, rules)
        first = end


def _goes_on(course: Course, first: int, end: int, newest: int, rules: Rules) -> bool:
    """Whether a stretch still holds with one more checkpoint."""
    if not _holds(course, first, end, (first + end) // 2, rules):
        return False
    moved, error = course.apart((first, end - newest), (end - newest, end))
    return abs(moved) <= course.quantile((1 + rules.confidence) / 2) * error


def _holds(course: Course, first: int, end: int, cut: int, rules: Rules) -> bool:
    moved, error = course.apart((first, cut), (cut, end))
    off = course.quantile((1 + rules.confidence) / 2) * error
    return -rules.margin < moved - off and moved + off < rules.margin


def _plateau(course: Course, first: int, end: int, rules: Rules) -> Plateau:
    cut = (first + end) // 2
    moved, error = course.apart((first, cut), (cut, end))
    off = course.quantile((1 + rules.confidence) / 2) * error
    return Plateau(
        ability=course.ability,
        window=(int(course.steps[first]), int(course.steps[end - 1])),
        effect=moved,
        interval=(moved - off, moved + off),
        confidence=rules.confidence,
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
