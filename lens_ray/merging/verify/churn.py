"""Whether a merge keeps what its parents know: `churn`, a sign test with a null that can hold.

"More is lost that all parents had than is won that none had" is no fault: a mean of two parents
lies between them, and nothing says that the two counts balance. That sign test at 5 % called 5 to
42 % of simulated means of two parents in conflict faulty, and three of twelve sound merges of the
shipped series. What a merge between its parents does keep is this: of what parent A has right, it
has right at least as much as the other parent that keeps least of it, for it leans to A more than
that one does. So, among the samples that A has right,

    lost: B right and the merge wrong        won: the merge right and B wrong

balance where the merge is no nearer to A than B is (a sibling of B, exchangeable with it given A),
and lean to the wins wherever it is nearer. An exact one-sided sign test over clusters asks that for
every other parent B, the largest p-value counts for A (an intersection-union test: the merge keeps
less than *each* of them), and Holm's adjustment goes over A. The mirrored rule, among the samples
that A has wrong, is not calibrated: a mean is held back by A there, and must lose against B.

It has no margin, so that it can say that something is lost and never that it matters. The built-in
policy lets it stop a GO (cannot say: somebody must look) and lets what has a margin say NO-GO.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lens_ray.merging.checks import Check
from lens_ray.merging.verify.critical import upper_bound
from lens_ray.stats.multiplicity import holm
from lens_ray.stats.units import SAME, Ints

if TYPE_CHECKING:
    from lens_ray.merging.verify.policy import BehaviourLimits
    from lens_ray.merging.verify.tiers import BehaviourGround

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Kept:
    """What the merge keeps of one parent, against the other parent that keeps least of it.

    Attributes:
        of: Place of the parent among the parents.
        beside: Place of the other one; the same where there is one parent only.
        lost: Clusters on which the merge has less right than the other one.
        won: Clusters on which it has more.
        p: Of "it keeps as much", one-sided.
    """

    of: int
    beside: int
    lost: int
    won: int
    p: float


def churn(ground: BehaviourGround, limits: BehaviourLimits) -> Check:
    """Whether the merge keeps less of a parent's right answers than every other parent does."""
    marks = ground.marks.only((ground.merge, *ground.parents)).common()
    right = marks.score >= marks.upper - SAME
    kept = kept_of(right[0], right[1:], marks.cluster)
    adjusted = holm([one.p for one in kept])
    worst = min(range(len(kept)), key=lambda place: (adjusted[place], kept[place].p))
    one, p = kept[worst], adjusted[worst]
    of, beside = ground.parents[one.of], ground.parents[one.beside]
    counted = _plain_count(right[0], right[1:], marks.cluster)
    figures: dict[str, float | int | str | None] = {
        **counted, "of": of, "beside": beside, "clusters_lost": one.lost, "clusters_won": one.won,
        "p": p,
    }  # fmt: skip
    than = f"than {beside} has" if beside != of else f"than {of} has"
    what = (
        f"of what {of} has right, {one.lost} clusters are less right {than} and {one.won} more "
        f"(sign test: p = {p:.3g}); {counted['lost']} of {counted['all_parents_right']} samples "
        f"that all parents have right are lost, up to {counted['upper']:.2%} of their clusters"
    )
    failed = p <= limits.fault_share
    return Check("V4", "churn", "fail" if failed else "pass", what, figures)


def kept_of(merge: Bools, parents: Bools, cluster: Ints) -> list[Kept]:
    """For each parent, the comparison with the other parent that keeps least of it.

    Args:
        merge: Shape (units,): what the merge has right.
        parents: Shape (parents, units).
        cluster: Shape (units,). A cluster counts once, for the side on which it has more units.
    """
    found = []
    for of, known in enumerate(parents):
        others = [place for place in range(len(parents)) if place != of] or [of]
        # Alone, a parent is held against itself, on all samples.
        among = known if others != [of] else np.ones_like(known)
        each = [_compared(of, b, merge, parents[b], among, cluster) for b in others]
        found.append(max(each, key=lambda one: one.p))
    return found


def _compared(
    of: int, beside: int, merge: Bools, other: Bools, among: Bools, cluster: Ints
) -> Kept:
    from scipy.special import bdtr

    change = np.where(among, merge.astype(float) - other, 0.0)
    net = np.bincount(cluster, weights=change)
    won, lost = int((net > 0).sum()), int((net < 0).sum())
    p = float(bdtr(won, won + lost, 0.5)) if won + lost else 1.0
    return Kept(of, beside, lost, won, p)


def _plain_count(
    merge: Bools, parents: Bools, cluster: Ints
) -> dict[str, float | int | str | None]:
    """What all parents have right and the merge has not, for people: no test hangs on it."""
    shared: Bools = np.all(parents, axis=0)
    lost: Bools = shared & ~merge
    trials, failures = _clusters(shared, cluster), _clusters(lost, cluster)
    won = ~parents.any(axis=0) & merge
    return {
        "all_parents_right": int(shared.sum()), "lost": int(lost.sum()), "won": int(won.sum()),
        "upper": upper_bound(failures, trials),
    }  # fmt: skip


def _clusters(chosen: Bools, cluster: Ints) -> int:
    return len(np.unique(cluster[chosen]))
