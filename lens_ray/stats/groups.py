"""Groups of models against each other, such as open against closed weights: `gaps_of`.

Two questions are asked of every pair of groups and every figure:

* ``mean``: the mean of the members' marks on each unit, group against group, as a paired comparison
  of two models (`lens_ray.stats.contrast`);
* ``best``: the highest value in one group against the highest in the other. Who is the best is
  found from the same marks, so the interval is made from simultaneous intervals of every pair
  across the groups: max over a of min over b of the bounds of a - b.

Both are about these models on such questions, not about models that nobody evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from lens_ray.errors import UserError
from lens_ray.stats.abilities import OVERALL, in_overall
from lens_ray.stats.contrast import Difference, contrast
from lens_ray.stats.detectable import detectable
from lens_ray.stats.figures import Figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.joint import JointDraws
from lens_ray.stats.marks import Marks
from lens_ray.stats.multiplicity import holm
from lens_ray.stats.ranks import Pairs, critical
from lens_ray.stats.units import Bools, Floats


@dataclass(frozen=True, slots=True)
class Gap(Framed):
    """How far group ``a`` is ahead of group ``b`` in one figure.

    Attributes:
        kind: ``mean`` or ``best``.
        figure: The ability, or ``overall``.
        a: One group.
        b: The other.
        models_a: Its models; of kind ``best`` the one with the highest value.
        models_b: Those of the other.
        value_a: Mean or highest value in ``a``; None with a reason, and with it all that follows.
        value_b: The same of ``b``.
        difference: ``value_a`` - ``value_b``.
        ci_low: Lower bound of its interval.
        ci_high: Upper bound.
        p: Two-sided p-value of no difference, alone.
        p_holm: Holm's, of this kind among the abilities of the overall score (and all pairs of
            groups); abilities beyond them are a family of their own, and so is ``overall``.
        mde: The smallest true difference that would be found in 8 of 10 evaluations, all tests
            of the family considered.
        reason: Why a figure is None.
    """

    kind: str
    figure: str
    a: str
    b: str
    models_a: tuple[str, ...]
    models_b: tuple[str, ...]
    value_a: float | None
    value_b: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    p_holm: float | None
    mde: float | None
    reason: str | None = None


def gaps_of(
    marks: Marks,
    draws: JointDraws,
    figures: Figures,
    groups: Mapping[str, Sequence[str]],
    *,
    confidence: float = 0.95,
) -> list[Gap]:
    """Compare groups of models.

    Args:
        marks: Of the members of all groups.
        draws: Of these marks.
        figures: Over their strata.
        groups: Models by group.
        confidence: Two-sided level.

    Returns:
        Pair by pair, kind by kind, one a figure; none where there are fewer than two groups.

    Raises:
        UserError: A group is empty, or a model is in two.
    """
    members = [model for models in groups.values() for model in models]
    if len(set(members)) < len(members) or not all(groups.values()):
        raise UserError("every group needs a model, and a model is in one group")
    sides = list(combinations(groups, 2))
    pairs = Pairs(draws, figures)
    found: list[Gap] = []
    for family in _families(figures).values():
        # The first step of Holm's method is what a difference has to take to be found.
        level = (1 - confidence) / (len(family.names) * max(len(sides), 1))
        gaps: list[Gap] = []
        for a, b in sides:
            two = (a, groups[a]), (b, groups[b])
            gaps += _means(marks, family, two, confidence, level)
            for figure in family.names:
                gaps.append(_best(draws, pairs, family, figure, two, confidence, level))
        found += _adjusted(gaps)
    return found


def _families(figures: Figures) -> dict[str, Figures]:
    """Figures that are tested together: the abilities of the overall score, others, overall."""
    counted = in_overall(figures.names)
    found: dict[str, list[str]] = {}
    for name in figures.names:
        family = OVERALL if name == OVERALL else "counted" if name in counted else "beyond"
        found.setdefault(family, []).append(name)
    return {family: figures.only(names) for family, names in found.items()}


_Group = tuple[str, Sequence[str]]


def _means(
    marks: Marks, figures: Figures, groups: tuple[_Group, _Group], confidence: float, level: float
) -> list[Gap]:
    (a, of_a), (b, of_b) = groups
    pooled = np.stack([marks.only(models).score.mean(axis=0) for models in (of_a, of_b)])
    both = replace(marks, models=(a, b), runs=(), score=pooled)
    alone, strict = (
        contrast(both, a, b, figures, confidence=each) for each in (confidence, 1 - level)
    )
    return [
        replace(_gap("mean", found, tuple(of_a), tuple(of_b)), mde=far.mde)
        for found, far in zip(alone, strict, strict=True)
    ]


def _gap(kind: str, found: Difference, models_a: tuple[str, ...], models_b: tuple[str, ...]) -> Gap:
    return Gap(
        kind, found.figure, found.a, found.b, models_a, models_b, found.value_a, found.value_b,
        found.difference, found.ci_low, found.ci_high, found.p, None, found.mde, found.reason,
    )  # fmt: skip


def _best(
    draws: JointDraws,
    pairs: Pairs,
    figures: Figures,
    figure: str,
    groups: tuple[_Group, _Group],
    confidence: float,
    level: float,
) -> Gap:
    """The best of one group against the best of another."""
    from scipy.special import ndtr

    known = pairs.known(figure)
    sides = [known & np.isin(draws.models, models) for _, models in groups]
    empty = Gap("best", figure, groups[0][0], groups[1][0], (), (), *(None,) * 8)
    lacking = [name for (name, _), side in zip(groups, sides, strict=True) if not side.any()]
    if reason := figures.reasons.get(figure):
        return replace(empty, reason=reason)
    if lacking:
        return replace(empty, reason=f"no model of {lacking[0]} has a value")
    chosen = sides[0] | sides[1]
    apart = pairs.apart(figure, chosen)
    first, second = (side[chosen] for side in sides)
    labels = np.array(draws.models, dtype=object)[chosen]
    tops = _top(apart.value, first), _top(apart.value, second)
    largest = apart.largest(first, second)
    normal = critical(largest, confidence)
    grid = np.ix_(first, second)
    half = np.stack([apart.half_widths(normal, row) for row in range(len(labels))])
    moved = apart.difference[grid]
    strict = float(2 * ndtr(-critical(largest, 1 - level)))
    return replace(
        empty,
        models_a=(str(labels[tops[0]]),),
        models_b=(str(labels[tops[1]]),),
        value_a=float(apart.value[tops[0]]),
        value_b=float(apart.value[tops[1]]),
        difference=float(apart.value[tops[0]] - apart.value[tops[1]]),
        ci_low=float((moved - half[grid]).min(axis=1).max()),
        ci_high=float((moved + half[grid]).min(axis=1).max()),
        p=_p(moved / apart.se[grid], apart.freedom[grid], largest),
        mde=detectable(float(apart.se[tops]), float(apart.freedom[tops]), strict),
    )


def _top(values: Floats, side: Bools) -> int:
    return int(np.argmax(np.where(side, values, -np.inf)))


def _p(ratio: Floats, freedom: Floats, largest: Floats) -> float:
    """Share of the replicates as extreme as the bound that excludes no difference first."""
    from scipy.special import ndtr, ndtri, stdtr

    tail = stdtr(freedom, -np.abs(ratio))
    normal = -np.sign(ratio) * ndtri(tail)
    ahead, behind = float(normal.min(axis=1).max()), float((-normal).max(axis=1).min())
    needed = max(ahead, behind, 0.0)
    drawn = (1 + int((largest >= needed).sum())) / (1 + len(largest))
    return max(drawn, float(2 * ndtr(-needed)))


def _adjusted(gaps: Sequence[Gap]) -> list[Gap]:
    """The gaps of one family with Holm's p-values, each kind for itself."""
    found = list(gaps)
    for kind in ("mean", "best"):
        places = [n for n, gap in enumerate(gaps) if gap.kind == kind and gap.p is not None]
        for place, p in zip(places, holm([_known(gaps[n].p) for n in places]), strict=True):
            found[place] = replace(gaps[place], p_holm=p)
    return found


def _known(value: float | None) -> float:
    assert value is not None
    return value
