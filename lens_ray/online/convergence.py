"""Whether an ability gains no more: `convergence`, a decision by paired equivalence.

An ability has converged at a step when, of all checkpoints after it, the mean is less than a margin
above the checkpoints that end at the step, at stated confidence, and nothing in the later ones
still rises. The definition and its measured error rates are in ``DEFINITIONS.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lens_ray.online.courses import Course, courses_of, full_courses
from lens_ray.online.findings import Convergence
from lens_ray.online.series import Series
from lens_ray.online.spec import Rules
from lens_ray.stats.units import Bools, Floats, Ints

#: Later checkpoints that a decision needs.
LATER = 4
#: Checkpoints before the step that its own mean is of, at least.
BASE = 2
#: With so many later checkpoints the base is wider and the level higher.
_MANY = 6
#: The newest checkpoints, which must not stand out.
_NEWEST = 3
#: ``alpha`` is divided by this: calibrated by ``jobs/benchmarks/bench_online_rates.py`` for runs of
#: six abilities and 30 looks, over which the errors of neighbouring looks and steps go together.
_SHARE = 2.5
#: One-sided levels at which a rise within the later checkpoints forbids a declaration, and at
#: which it ends one.
_GUARD, _GUARD_KEPT = 0.90, 0.975


@dataclass(frozen=True)
class Walk:
    """What is said at each checkpoint of a course, from those until then.

    Attributes:
        said: Place of the first step that has converged, or -1.
        gain: Steps x looks: mean of all later checkpoints minus that of those ending at the step.
        error: Standard error of ``gain``.
    """

    said: Ints
    gain: Floats
    error: Floats


def convergence(series: Series, rules: Rules) -> tuple[Convergence, ...]:
    """One decision an ability, as of the last checkpoint; each earlier one is walked on the way.

    Where some checkpoints were asked in full and others on the anchor split only, the full ones on
    all units and all of them on the anchors are each a chance to see it, at half of ``alpha``.

    Args:
        series: The run.
        rules: Its margin, confidence, alpha and ``near_chance`` count.
    """
    whole, full = courses_of(series), full_courses(series)
    return tuple(
        _decided([full[name], course] if name in full else [course], rules)
        for name, course in whole.items()
    )


def level_of(rules: Rules, courses: int = 1) -> float:
    """The one-sided level of the bound while fewer than six checkpoints follow.

    Args:
        rules: Its ``alpha`` counts.
        courses: Chances that an ability has: its checkpoints in full, and all on the anchors.
    """
    return 1 - rules.alpha / (_SHARE * courses)


def level_after(level: float, later: int) -> float:
    """The level where so many checkpoints follow the step: half the error from six on.

    There are more steps and looks of that kind, and on a random walk most errors are theirs.
    """
    return level if later < _MANY else 1 - (1 - level) / 2


def _decided(courses: list[Course], rules: Rules) -> Convergence:
    """The decision of one ability, from the deepest course that has one."""
    level = level_of(rules, len(courses))
    known = [course for course in courses if course.reason is None]
    if not len(courses[-1]):
        return Convergence(courses[-1].ability, "too_few", reason="no checkpoint was asked")
    if not known:
        return Convergence(courses[-1].ability, "undecided", reason=courses[-1].reason)
    walks = [walk(course, rules, level) for course in known]
    best = next((k for k, each in enumerate(walks) if each.said[-1:].max(initial=-1) >= 0), None)
    told = _told(known, walks)
    withdrawn = tuple(step for (_, was), (step, now) in pairwise(told) if was and not now)
    if best is None:
        return _open(known[-1], rules, level, withdrawn)
    course, found = known[best], walks[best]
    step, last = int(found.said[-1]), len(course) - 1
    # While more follows, the first step that holds may move; it has its later checkpoints first.
    since = max(_since(told), int(course.steps[step + LATER]))
    level = level_after(level, last - step)
    quantile = course.quantile(level)
    gain, error = float(found.gain[step, last]), float(found.error[step, last])
    return Convergence(
        course.ability, "converged", step=int(course.steps[step]), declared_at=since,
        effect=gain, interval=(-1.0, min(gain + quantile * error, 1.0)), confidence=level,
        margin=rules.margin, later=last - step, withdrawn=withdrawn,
    )  # fmt: skip


def _told(courses: list[Course], walks: list[Walk]) -> list[tuple[int, bool]]:
    """Each checkpoint's step, and whether any course said so as of then."""
    steps = {int(p): int(s) for c in courses for p, s in zip(c.places, c.steps, strict=True)}
    said = dict.fromkeys(sorted(steps), False)
    for course, each in zip(courses, walks, strict=True):
        at = dict(zip(course.places.tolist(), (each.said >= 0).tolist(), strict=True))
        now = False
        for place in said:
            now = at.get(place, now)
            said[place] |= now
    return [(steps[place], now) for place, now in said.items()]


def _since(told: list[tuple[int, bool]]) -> int:
    """The step at which what is still said was first said."""
    since = told[-1][0]
    for step, now in reversed(told):
        if not now:
            break
        since = step
    return since


def walk(course: Course, rules: Rules, level: float) -> Walk:
    """What is said at each checkpoint of a course.

    Args:
        course: Of one ability; without a ``reason``.
        rules: Its margin, confidence and ``near_chance`` count.
        level: Of the one-sided bound of the gain, while few checkpoints follow (`level_after`).
    """
    size = len(course)
    if size < BASE + LATER:
        none = np.full((size, size), np.nan)
        return Walk(np.full(size, -1), none, none)
    step, look = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    possible = (step >= BASE - 1) & (look - step >= LATER)
    # What is impossible is computed for windows that exist, and left out.
    step, look = np.clip(step, BASE - 1, size - 1 - LATER), np.maximum(look, BASE - 1 + LATER)
    step = np.minimum(step, look - LATER)
    first, end = step + 1 - base_width(course.steps, step, look), look + 1
    gain, error = course.apart((first, step + 1), (step + 1, end))
    sure = [course.quantile(level_after(level, later)) for later in (LATER, _MANY)]
    below = gain + np.where(look - step < _MANY, *sure) * error < rules.margin
    rising = [_rising(course, first, end, guard) for guard in (_GUARD, _GUARD_KEPT)]
    learned = clear_of_chance(course, rules)[None]
    declared, kept = (possible & below & ~rise & learned for rise in rising)
    return Walk(_states(declared, kept), gain, error)


def base_width(steps: Ints, step: Ints, look: Ints) -> Ints:
    """How many checkpoints, ending at a step, make its mean: more of them where more follow.

    Two, three where six follow, five where twelve do. Where checkpoints lie unevenly, none further
    back than half of what follows, in steps of training: it would lie before the bend.

    Args:
        steps: Of all checkpoints.
        step: Place of the step.
        look: Place of the newest checkpoint.
    """
    later = look - step
    wanted = np.where(later < _MANY, BASE, np.where(later < 12, 3, 5))
    back = steps[step] - (steps[look] - steps[step]) / 2
    found: Ints = np.minimum(wanted, step + 1 - np.searchsorted(steps, back))
    return found


def clear_of_chance(course: Course, rules: Rules) -> Bools:
    """At each checkpoint, whether the newest ones are above ``near_chance`` for sure."""
    end = np.arange(1, len(course) + 1)
    level, error = course.level(np.maximum(end - _NEWEST, 0), end)
    return level - course.quantile(rules.confidence) * error > rules.near_chance


def _rising(course: Course, first: Ints, end: Ints, guard: float) -> Bools:
    """Whether the newest checkpoints, or the second half, lie above what was before."""
    found = np.zeros(first.shape, dtype=bool)
    for cut in (end - _NEWEST, (first + end) // 2):
        rise, error = course.apart((first, cut), (cut, end))
        found |= rise > course.quantile(guard) * error
    return found


def _states(declared: Bools, kept: Bools) -> Ints:
    """The first step that holds at each look; one that was said is kept more easily."""
    said = np.full(declared.shape[1], -1)
    before = False
    for look in range(len(said)):
        column = (kept if before else declared)[:, look]
        before = bool(column.any())
        if before:
            said[look] = int(np.argmax(column))
    return said


def _open(course: Course, rules: Rules, level: float, withdrawn: tuple[int, ...]) -> Convergence:
    """What is said of an ability that has not converged."""
    size = len(course)
    if size < BASE + LATER:
        reason = f"{size} checkpoints; {BASE + LATER} are needed"
        return Convergence(
            course.ability, "too_few", margin=rules.margin, later=max(size - 1, 0), reason=reason
        )
    known = Convergence(
        course.ability, "undecided", confidence=level, margin=rules.margin, withdrawn=withdrawn
    )
    if not clear_of_chance(course, rules)[-1]:
        level_now = float(course.level(max(size - _NEWEST, 0), size)[0])
        reason = (
            f"the newest checkpoints are at {level_now:.3f}, not clear of {rules.near_chance:g}: "
            "it may still rise"
        )
        return replace(known, phase="not_learned", reason=reason)
    return _lately(known, course, rules)


def _lately(known: Convergence, course: Course, rules: Rules) -> Convergence:
    """Whether it falls, stalls or rises: of the newest checkpoints."""
    size, window = len(course), max(rules.window, _NEWEST)
    halves = [_halves(course, rules, max(size - count * window, 0)) for count in (1, 2)]
    fallen, (stalled, risen) = _moved(course, rules, size - _NEWEST - 1, size - _NEWEST), halves
    if fallen.gain < -fallen.off:
        reason = f"the newest checkpoints lie below step {course.steps[-1 - _NEWEST]}"
        return replace(fallen.shown(known), reason=reason)
    if stalled.gain + stalled.off < rules.margin:
        since = course.steps[max(size - window, 0)]
        reason = f"stalled since {since}, but not for long enough to say that it has converged"
        return replace(stalled.shown(known), reason=reason)
    if risen.gain > risen.off:
        lower = (risen.gain - risen.off, 1.0)
        return replace(risen.shown(known), phase="rising", interval=lower)
    since = course.steps[max(size - 2 * window, 0)]
    reason = f"since {since} a gain of {rules.margin:g} can neither be seen nor excluded"
    return replace(risen.shown(known), reason=reason)


@dataclass(frozen=True, slots=True)
class _Moved:
    """The newest checkpoints from some place on, minus those before.

    Attributes:
        gain: Of their means.
        off: How far a one-sided bound lies off.
        confidence: Of the bound.
        later: How many they are.
    """

    gain: float
    off: float
    confidence: float
    later: int

    def shown(self, known: Convergence) -> Convergence:
        """A decision with this as its effect."""
        upper = min(self.gain + self.off, 1.0)
        return replace(
            known, effect=self.gain, interval=(-1.0, upper), confidence=self.confidence,
            later=self.later,
        )  # fmt: skip


def _halves(course: Course, rules: Rules, first: int) -> _Moved:
    return _moved(course, rules, first, (first + len(course)) // 2)


def _moved(course: Course, rules: Rules, first: int, cut: int) -> _Moved:
    gain, error = course.apart((first, cut), (cut, len(course)))
    off = course.quantile(rules.confidence) * error
    return _Moved(gain, off, rules.confidence, len(course) - cut)
