"""What was found in a simulated run, held against what is true of it."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from lens_ray.online.conflicts import conflicts
from lens_ray.online.convergence import base_width, level_of, walk
from lens_ray.online.courses import courses_of
from lens_ray.online.declines import declines
from lens_ray.online.detect import look_at
from lens_ray.online.series import Series
from lens_ray.online.shift import Ground
from lens_ray.online.spec import Rules
from lens_ray.stats.units import Floats, Ints
from lens_ray.testing.simulated_runs import Design, Truth

#: Checkpoints that a late rise takes.
_RISE = 6
#: An early plateau is to be found within so many checkpoints.
WITHIN = 6
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Said:
    """Convergence of one ability, over all looks at a run.

    Attributes:
        false: At a look it was said to have converged, and the true mean of the later checkpoints
            until then exceeded the margin, above the true score at the step and above that of the
            checkpoints ending there; or a late rise was still to come.
        false_of_step: The same by the score at the step alone.
        declared: It was said at some look.
        withdrawn: It was said, and later taken back.
        lost: Points between the look at which it was first said and the end of the run.
        delay: Checkpoints from a true plateau to the first look that said so; None where there is
            no such plateau or nothing was said.
        off: Step at the last look minus the true one, in checkpoints; None as ``delay``.
        plateau: Whether there is a true plateau.
    """

    false: bool
    false_of_step: bool
    declared: bool
    withdrawn: bool
    lost: float
    delay: int | None
    off: int | None
    plateau: bool


@dataclass(frozen=True, slots=True)
class Alarmed:
    """Declines and conflicts of a run, over all looks.

    Attributes:
        false_decline: An ability was said to fall of which that is not true.
        false_conflict: A pair was said to be in conflict of which that is not true.
        declines: Share of the true declines that were found; None where there is none.
        conflicts: The same of conflicts.
    """

    false_decline: bool
    false_conflict: bool
    declines: float | None
    conflicts: float | None


def said_of(series: Series, truth: Truth, design: Design, rules: Rules) -> list[Said]:
    """Convergence of each ability; for runs whose checkpoints were all asked in full."""
    courses = courses_of(series)
    found = []
    for place, ability in enumerate(design.abilities):
        said = walk(courses[ability], rules, level_of(rules)).said
        found.append(
            _said(said, truth.skill[:, place], series.steps, (truth, ability), rules.margin)
        )
    return found


def alarmed_by(series: Series, truth: Truth, rules: Rules) -> Alarmed:
    """Declines and conflicts of all looks; in random walks whatever is said is false."""
    looks = look_at(series, rules, Ground(series))
    fell = {found.ability for found in declines(series, rules, looks)}
    pairs = {(found.rises, found.falls) for found in conflicts(series, rules, looks)}
    true_pairs = {(rises, falls) for rises in truth.rises for falls in truth.falls}
    return Alarmed(
        false_decline=bool(fell - set(truth.falls)),
        false_conflict=bool(pairs - true_pairs),
        declines=_share(fell, set(truth.falls)),
        conflicts=_share(pairs, true_pairs),
    )


def _said(said: Ints, skill: Floats, steps: Ints, of: tuple[Truth, str], margin: float) -> Said:
    truth, ability = of
    looks = np.flatnonzero(said >= 0)
    false = false_of_step = False
    for look in looks.tolist():
        step = int(said[look])
        later = float(skill[step + 1 : look + 1].mean())
        width = int(base_width(steps, np.array(step), np.array(look)))
        above_step = later - float(skill[step]) > margin + _ROUNDING
        window = float(skill[step + 1 - width : step + 1].mean())
        false_of_step |= above_step
        false |= above_step and later - window > margin + _ROUNDING
        if truth.kind == "late_rise":
            false |= look < truth.rises_at[ability] + _RISE
    plateau = truth.plateau.get(ability)
    delay = off = None
    if plateau is not None and len(looks):
        delay = int(looks[0]) - plateau
        off = int(said[-1]) - plateau if said[-1] >= 0 else None
    return Said(
        false=false,
        false_of_step=false_of_step,
        declared=bool(len(looks)),
        withdrawn=bool(((said[:-1] >= 0) & (said[1:] < 0)).any()),
        lost=float(skill[-1] - skill[looks[0]]) if len(looks) else 0.0,
        delay=delay,
        off=off,
        plateau=plateau is not None,
    )


def _share(found: Set[object], true: Set[object]) -> float | None:
    return len(found & true) / len(true) if true else None
