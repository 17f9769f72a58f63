"""V4, what the merge does against what its parents do, on the same samples: `behaviour`.

Every ability is held against the final checkpoint (``ability_of_final``: what would be shipped
without the merge) and against every parent (``ability``), so nobody has to say which one was best
at it; where a final checkpoint is known, the built-in policy lets the first decide. Of each:

* ``held``: not worse than *any* parent by the margin or more. The largest p-value over the
  parents is one of that claim (intersection-union test), so choosing the best parent on these
  very samples costs nothing and wins nothing.
* ``improved``: better than every parent, likewise.
* ``regressed``: not held, and worse than at least one parent (the smallest p-value times the
  number of parents). A loss that may be within the margin and may be beyond it is one.
* ``inconclusive``: none of these. It is not ``held``.

p-values are one-sided, of the bounds of `lens_ray.stats.gate.bounds`, and adjusted by Holm over the
abilities. Two errors are held down, as in `lens_ray.stats.gate.evidence`. What is held must be
shown at ``level``, and a GO takes every check. One check that fails makes a NO-GO, so the kinds of
tests share ``fault_level``; between the two lies "cannot say".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from lens_ray.merging.checks import Check
from lens_ray.merging.verify.bounded import bounded, p_values
from lens_ray.merging.verify.churn import churn
from lens_ray.merging.verify.habits import habits
from lens_ray.merging.verify.sight import sight
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.cells import means_of
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.gate.bounds import Bounded, measured
from lens_ray.stats.gate.steady import steadier
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.multiplicity import holm

if TYPE_CHECKING:
    from lens_ray.merging.verify.policy import BehaviourLimits
    from lens_ray.merging.verify.tiers import BehaviourGround

Outcome = Literal["improved", "held", "inconclusive", "regressed"]
#: Replicates of the bootstrap of stability.
_REPLICATES = 1000


@dataclass(frozen=True, slots=True)
class Compared:
    """One ability of the merge against its parents.

    Attributes:
        ability: Its name.
        nearest: The parent with the highest score here.
        score: Of the merge.
        best: Of that parent.
        low: Lower bound of the difference to that parent, at the level, alone.
        high: Upper bound.
        n: Samples.
        clusters: Clusters of these.
        p_held: Of "it loses the margin or more against some parent".
        p_better: Of "it is no better than some parent".
        p_worse: Of "it is as good as every parent".
        reason: Why nothing can be said, or None.
    """

    ability: str
    nearest: str
    score: float | None
    best: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    p_held: float = 1.0
    p_better: float = 1.0
    p_worse: float = 1.0
    reason: str | None = None


def behaviour(ground: BehaviourGround, limits: BehaviourLimits) -> tuple[Check, ...]:
    """Every check of V4 but the critical samples.

    Args:
        ground: Marks and rows of merge, parents and final checkpoint.
        limits: What may be lost.

    Returns:
        ``ability`` (against every parent), ``ability_of_final`` (against the final checkpoint) and
        ``stability`` of each ability; ``composite``, ``churn``, ``consistency``, ``refused``,
        ``unparsed`` and ``blind`` of the whole.
    """
    return (
        *abilities(ground, limits),
        *abilities_of_final(ground, limits),
        composite(ground, limits),
        *stability(ground, limits),
        churn(ground, limits),
        *habits(ground, limits),
        sight(ground, limits),
    )


def abilities(ground: BehaviourGround, limits: BehaviourLimits) -> list[Check]:
    """Improved, held, inconclusive or regressed, for each ability."""
    return _outcomes("ability", compared(ground, ground.parents, limits), limits)


def abilities_of_final(ground: BehaviourGround, limits: BehaviourLimits) -> list[Check]:
    """The same against the final checkpoint alone.

    Parents of a run whose data changed may each be best at something by more than a mean of them
    can keep: of the shipped series, entity has 0.81 at the switch, 0.69 at the end and 0.73 in the
    best merge. Such a merge mends what it can and harms nobody who would have got the final
    checkpoint. So the built-in policy decides by these, and ``ability`` tells what was left on the
    table.
    """
    if ground.final is None:
        return []
    return _outcomes("ability_of_final", compared(ground, (ground.final,), limits), limits)


def _outcomes(name: str, found: Sequence[Compared], limits: BehaviourLimits) -> list[Check]:
    decided = outcomes(found, limits.level, limits.fault_share)
    return [_told(name, one, outcome, limits) for one, outcome in zip(found, decided, strict=True)]


def compared(
    ground: BehaviourGround, against: Sequence[str], limits: BehaviourLimits
) -> list[Compared]:
    """Each ability of the merge against some models, not yet adjusted for the abilities' number."""
    figures = ability_figures(ground.marks)
    names = [name for name in figures.names if name != OVERALL]
    differences = {
        other: measured(ground.marks.only((ground.merge, other)), figures) for other in against
    }
    return [
        _compared(name, {other: found[name] for other, found in differences.items()}, limits)
        for name in names
    ]


def _compared(ability: str, against: Mapping[str, Bounded], limits: BehaviourLimits) -> Compared:
    known = {name: one for name, one in against.items() if one.bounds is not None}
    nearest = max(known or against, key=lambda name: against[name].baseline or -np.inf)
    first = against[nearest]
    empty = Compared(
        ability, nearest, first.candidate, first.baseline, None, None, first.n, first.clusters
    )
    if len(known) < len(against):
        lacking = next(name for name in against if name not in known)
        return replace(empty, reason=against[lacking].reason or f"{lacking} has no score")
    if first.clusters < limits.min_clusters:
        few = f"{first.clusters} clusters are too few to say; {limits.min_clusters} are needed"
        return replace(empty, reason=few)
    assert first.bounds is not None
    low, high = first.bounds(limits.level)
    margins = [p_values(one, -limits.margin)[0] for one in known.values()]
    zeros = [p_values(one, 0.0) for one in known.values()]
    return replace(
        empty,
        low=low,
        high=high,
        p_held=max(margins),
        p_better=max(better for better, _ in zeros),
        p_worse=min(1.0, len(zeros) * min(worse for _, worse in zeros)),
    )


def outcomes(
    found: Sequence[Compared], level: float, fault_level: float | None = None
) -> list[Outcome]:
    """The abilities' outcomes, each kind of claim adjusted by Holm over the abilities.

    Args:
        found: The abilities.
        level: Of ``improved`` and ``held``.
        fault_level: Of ``regressed``; None is the same.
    """
    fault_level = level if fault_level is None else fault_level
    held = holm([one.p_held for one in found])
    better = holm([one.p_better for one in found])
    worse = holm([one.p_worse for one in found])
    decided: list[Outcome] = []
    for place in range(len(found)):
        if better[place] <= level:
            decided.append("improved")
        elif held[place] <= level:
            decided.append("held")
        elif worse[place] <= fault_level:
            decided.append("regressed")
        else:
            decided.append("inconclusive")
    return decided


def _told(name: str, one: Compared, outcome: Outcome, limits: BehaviourLimits) -> Check:
    verdicts: dict[Outcome, Literal["pass", "fail", "cannot_say"]] = {
        "improved": "pass", "held": "pass", "inconclusive": "cannot_say", "regressed": "fail",
    }  # fmt: skip
    figures: dict[str, float | int | str | None] = {
        "outcome": outcome, "merge": one.score, "best_parent": one.nearest, "best": one.best,
        "low": one.low, "high": one.high, "margin": limits.margin, "n": one.n,
        "clusters": one.clusters, "p_held": one.p_held, "p_better": one.p_better,
        "p_worse": one.p_worse,
    }  # fmt: skip
    if one.reason is not None or one.score is None or one.best is None:
        what = one.reason or "it has no score"
        return Check("V4", name, "cannot_say", what, figures, subject=one.ability)
    what = (
        f"{outcome}: {one.score:.3f}, {one.nearest} {one.best:.3f}; difference "
        f"{one.score - one.best:+.3f} [{one.low:+.3f}, {one.high:+.3f}], margin {limits.margin:g}, "
        f"{one.n} samples"
    )
    return Check("V4", name, verdicts[outcome], what, figures, subject=one.ability)


def composite(ground: BehaviourGround, limits: BehaviourLimits) -> Check:
    """Whether the merge is at least as good as the checkpoint that would be shipped without it.

    Shown to be below it by more than ``composite_by`` allows fails; not shown to be above is
    "cannot say", whatever the estimate. Where nobody knows which checkpoint is final, the parent
    with the highest composite stands for it; it was chosen on these samples, so a failure takes as
    many times the evidence as there are parents.
    """
    figures = ability_figures(ground.marks)
    against = (ground.final,) if ground.final is not None else ground.parents
    each = [measured(ground.marks.only((ground.merge, one)), figures)[OVERALL] for one in against]
    best = max(range(len(each)), key=lambda place: each[place].baseline or -np.inf)
    told = f"composite against {against[best]}"
    return bounded("composite", each[best], limits.composite_by, limits, told, family=len(against))


def stability(ground: BehaviourGround, limits: BehaviourLimits) -> list[Check]:
    """Whether the spread over subtasks (tau, without the noise of sampling) grew, by ability.

    Against the final checkpoint; where it is not known, the parent with the highest score in the
    ability. tau is of few subtasks, so its intervals are wide and most that can be said is that
    nothing got much worse.
    """
    figures = ability_figures(ground.marks)
    names = [name for name in figures.names if name != OVERALL]
    parents = [ground.final] if ground.final is not None else list(ground.parents)
    values = figures.values(means_of(ground.marks.only(parents)))
    found = []
    drawn: dict[str, Callable[[str, int], Check]] = {}
    for place, name in enumerate(names):
        best = parents[int(np.nanargmax(values[:, place]))]
        if best not in drawn:
            drawn[best] = _steady(ground, best, limits)
        found.append(drawn[best](name, len(names)))
    return found


def _steady(
    ground: BehaviourGround, parent: str, limits: BehaviourLimits
) -> Callable[[str, int], Check]:
    marks = ground.marks.only((ground.merge, parent))
    draws = draw_jointly(marks, f"verify/{limits.seed}", _REPLICATES)

    def check(ability: str, family: int) -> Check:
        apart, bounds = steadier(marks, None, "tau", ability, limits.level, draws)
        if bounds is None or apart.difference is None:
            what = apart.reason or "it has no figure of stability"
            return Check("V4", "stability", "cannot_say", what, subject=ability)
        found = Bounded(apart.difference, apart.value_a, apart.value_b, 0, 0, bounds)
        told = f"spread over subtasks (tau) against {parent}"
        return bounded(
            "stability", found, limits.stability_by, limits, told, above=False, subject=ability,
            family=family,
        )  # fmt: skip

    return check
