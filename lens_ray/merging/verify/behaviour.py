"""V4, what the merge does against what its parents do, on the same samples: `behaviour`.

Every ability is held against every parent, so nobody has to say which one was best at it:

* ``held``: not worse than *any* parent by the margin or more. The largest p-value over the
  parents is one of that claim (intersection-union test), so choosing the best parent on these
  very samples costs nothing and wins nothing.
* ``improved``: better than every parent, likewise.
* ``regressed``: not held, and worse than at least one parent (the smallest p-value times the
  number of parents). A loss that may be within the margin and may be beyond it is one.
* ``inconclusive``: none of these. It is not ``held``.

p-values are one-sided, of the bounds of `lens_ray.stats.gate.bounds`, and adjusted by Holm over the
abilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from lens_ray.merging.checks import Check
from lens_ray.merging.verify.bounded import bounded, p_values
from lens_ray.merging.verify.habits import habits
from lens_ray.merging.verify.sight import sight
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.cells import means_of
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.gate.bounds import Bounded, measured
from lens_ray.stats.gate.steady import steadier
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.multiplicity import holm
from lens_ray.stats.units import SAME

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
        ``ability`` and ``stability`` of each ability; ``composite``, ``churn``, ``consistency``,
        ``refused``, ``unparsed`` and ``blind`` of the whole.
    """
    return (
        *abilities(ground, limits),
        composite(ground, limits),
        *stability(ground, limits),
        churn(ground, limits),
        *habits(ground, limits),
        sight(ground, limits),
    )


def abilities(ground: BehaviourGround, limits: BehaviourLimits) -> list[Check]:
    """Improved, held, inconclusive or regressed, for each ability."""
    found = compared(ground, limits)
    decided = outcomes(found, limits.level)
    return [_told(one, outcome, limits) for one, outcome in zip(found, decided, strict=True)]


def compared(ground: BehaviourGround, limits: BehaviourLimits) -> list[Compared]:
    """Each ability of the merge against all parents, not yet adjusted for their number."""
    figures = ability_figures(ground.marks)
    names = [name for name in figures.names if name != OVERALL]
    against = {
        parent: measured(ground.marks.only((ground.merge, parent)), figures)
        for parent in ground.parents
    }
    return [
        _compared(name, {parent: found[name] for parent, found in against.items()}, limits)
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


def outcomes(found: Sequence[Compared], level: float) -> list[Outcome]:
    """The abilities' outcomes, each kind of claim adjusted by Holm over the abilities."""
    held = holm([one.p_held for one in found])
    better = holm([one.p_better for one in found])
    worse = holm([one.p_worse for one in found])
    decided: list[Outcome] = []
    for place in range(len(found)):
        if better[place] <= level:
            decided.append("improved")
        elif held[place] <= level:
            decided.append("held")
        elif worse[place] <= level:
            decided.append("regressed")
        else:
            decided.append("inconclusive")
    return decided


def _told(one: Compared, outcome: Outcome, limits: BehaviourLimits) -> Check:
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
        return Check("V4", "ability", "cannot_say", what, figures, subject=one.ability)
    what = (
        f"{outcome}: {one.score:.3f}, its best parent {one.nearest} {one.best:.3f}; difference "
        f"{one.score - one.best:+.3f} [{one.low:+.3f}, {one.high:+.3f}], margin {limits.margin:g}, "
        f"{one.n} samples"
    )
    return Check("V4", "ability", verdicts[outcome], what, figures, subject=one.ability)


def composite(ground: BehaviourGround, limits: BehaviourLimits) -> Check:
    """Whether the merge is better than the checkpoint that would be shipped without it."""
    if ground.final is None:
        return Check("V4", "composite", "cannot_say", "it is not known which checkpoint is final")
    found = measured(
        ground.marks.only((ground.merge, ground.final)), ability_figures(ground.marks)
    )[OVERALL]
    if found.bounds is None or found.estimate is None:
        return Check("V4", "composite", "cannot_say", found.reason or "it has no score")
    told = f"composite against {ground.final}"
    return bounded("composite", found, limits.composite_by, limits, told)


def stability(ground: BehaviourGround, limits: BehaviourLimits) -> list[Check]:
    """Whether the spread over subtasks (tau, without the noise of sampling) grew, by ability.

    Against the parent with the highest score in the ability. tau is of few subtasks, so its
    intervals are wide and most that can be said is that nothing got much worse.
    """
    figures = ability_figures(ground.marks)
    names = [name for name in figures.names if name != OVERALL]
    parents = list(ground.parents)
    values = figures.values(means_of(ground.marks.only(parents)))
    found = []
    drawn: dict[str, Callable[[str], Check]] = {}
    for place, name in enumerate(names):
        best = parents[int(np.nanargmax(values[:, place]))] if parents else ground.merge
        if best not in drawn:
            drawn[best] = _steady(ground, best, limits)
        found.append(drawn[best](name))
    return found


def _steady(
    ground: BehaviourGround, parent: str, limits: BehaviourLimits
) -> Callable[[str], Check]:
    marks = ground.marks.only((ground.merge, parent))
    draws = draw_jointly(marks, f"verify/{limits.seed}", _REPLICATES)

    def check(ability: str) -> Check:
        apart, bounds = steadier(marks, None, "tau", ability, limits.level, draws)
        if bounds is None or apart.difference is None:
            what = apart.reason or "it has no figure of stability"
            return Check("V4", "stability", "cannot_say", what, subject=ability)
        found = Bounded(apart.difference, apart.value_a, apart.value_b, 0, 0, bounds)
        told = f"spread over subtasks (tau) against {parent}"
        return bounded(
            "stability", found, limits.stability_by, limits, told, above=False, subject=ability
        )

    return check


def churn(ground: BehaviourGround, limits: BehaviourLimits) -> Check:
    """Whether more is lost that all parents had than is won that none had (sign test).

    A cluster counts once, for the side on which it has more units.
    """
    from scipy.special import bdtr

    marks = ground.marks.only((ground.merge, *ground.parents)).common()
    right = marks.score >= marks.upper - SAME
    lost = right[1:].all(axis=0) & ~right[0]
    won = ~right[1:].any(axis=0) & right[0]
    both = int(right[1:].all(axis=0).sum())
    net = np.bincount(marks.cluster, weights=won.astype(float) - lost, minlength=marks.clusters)
    wins, losses = int((net > 0).sum()), int((net < 0).sum())
    p = float(bdtr(wins, wins + losses, 0.5)) if losses > wins else 1.0
    figures = {
        "all_parents_right": both, "lost": int(lost.sum()), "won": int(won.sum()),
        "clusters_lost": losses, "clusters_won": wins, "p": p,
    }  # fmt: skip
    what = (
        f"{int(lost.sum())} of {both} samples that all parents have right are lost, "
        f"{int(won.sum())} are won that none had (sign test over clusters: p = {p:.3g})"
    )
    return Check("V4", "churn", "fail" if p <= limits.level else "pass", what, figures)
