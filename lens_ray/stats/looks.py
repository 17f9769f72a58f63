"""Looks at one model: values of facets on which it is weaker than on all: `looks_of`.

A look is one value of one facet (all open questions, all samples of a domain, ...). Its figure is
the corrected score on it minus the corrected score on all. Against other models, their mean has
the same taken off, so that what is hard for everybody is no weakness of this model. All looks
together are one family of tests (Holm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lens_ray.errors import UserError
from lens_ray.stats.detectable import detectable
from lens_ray.stats.figures import Figures, facet_figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.image_size import NAME as IMAGE_SIZE
from lens_ray.stats.joint import Cells, cells_of, components, means_of
from lens_ray.stats.marks import Marks
from lens_ray.stats.multiplicity import holm
from lens_ray.stats.scores import OVERALL
from lens_ray.stats.units import Bools, Floats, Ints

#: The facets that are looked at, in this order; where two values hold the same units, the first.
FACETS: tuple[str, ...] = (
    "ability", "format", "metric", "source", "subtask", "domain", IMAGE_SIZE,
)  # fmt: skip
#: Fewer clusters, on the value or beside it, are not looked at.
LEAST_CLUSTERS = 20
#: A value that holds a larger share of the units is most of the mean itself: the other values of
#: its facet say the same with a larger difference.
LARGEST = 2 / 3
#: So many units of a stratum vary at least. With 0, a subtask that is all wrong by bad luck was
#: found weaker too often (20 clusters, true accuracy 0.1).
OFF = 2.0

Finding = Literal["weaker", "stronger"]


@dataclass(frozen=True, slots=True)
class Look(Framed):
    """One value of a facet.

    Attributes:
        facet: The facet.
        value: Its value.
        same_as: Other ``facet=value`` that hold exactly these units.
        n: Units on it.
        clusters: Clusters of these.
        score: The model's corrected score on it; subtasks count by their units.
        mean: The same on all units.
        others: Mean corrected score of the other models on it; None against ``own``.
        others_mean: The same on all units.
        difference: (``score`` - ``mean``), less (``others`` - ``others_mean``) against others.
        ci_low: Lower bound of its interval, alone.
        ci_high: Upper bound.
        p: Two-sided p-value of no difference, alone.
        p_holm: The same, adjusted for all looks.
        mde: Smallest true difference that is found 8 times in 10, whatever the other looks say.
        finding: ``weaker`` or ``stronger`` where ``p_holm`` is below the level.
        reason: Why it was not tested; it then counts as no look.
    """

    facet: str
    value: str
    same_as: tuple[str, ...]
    n: int
    clusters: int
    score: float | None = None
    mean: float | None = None
    others: float | None = None
    others_mean: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    mde: float | None = None
    finding: Finding | None = None
    reason: str | None = None


def looks_of(
    marks: Marks,
    model: str,
    others: Sequence[str] = (),
    *,
    facets: Sequence[str] = FACETS,
    confidence: float = 0.95,
) -> tuple[Look, ...]:
    """Test every value of some facets.

    Args:
        marks: Of the model and of the others; only units that all of them answered count.
        model: Whose weaknesses.
        others: Whose mean takes off what is hard for everybody; none holds the model against its
            own mean alone.
        facets: What is looked at; those that the marks lack are passed over.
        confidence: Two-sided level.

    Returns:
        The looks, weakest first, those that were not tested last. A value that holds all units
        is no look.

    Raises:
        UserError: A model is unknown.
    """
    if model in others:
        raise UserError(f"the model {model!r} is among the others; name each once")
    ground = marks.only((model, *others)).common()
    found: dict[bytes, _Seen] = {}
    for facet in facets:
        for seen in _facet(ground, facet) if facet in ground.facets else ():
            key = np.packbits(seen.units).tobytes()
            if key in found:
                first = found[key].look
                same = (*first.same_as, f"{facet}={seen.look.value}")
                found[key] = replace(found[key], look=replace(first, same_as=same))
            else:
                found[key] = seen
    return _adjusted(list(found.values()), confidence)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A look before its test.

    Attributes:
        look: What is known without one.
        units: Its units.
        se: Standard error of the difference; 0 where there is no test.
        df: Degrees of freedom.
    """

    look: Look
    units: Bools
    se: float = 0.0
    df: float = 0.0


def _facet(ground: Marks, facet: str) -> list[_Seen]:
    """The looks of one facet; values that hold all units are none."""
    fine, figures = facet_figures(ground, facet)
    values = figures.values(means_of(fine))
    slope, mean = _mean(fine, figures, values)
    rest = ground.score[1:]
    apart = ground.score[0] - rest.mean(axis=0) if len(rest) else ground.score[0]
    cells = cells_of(replace(fine, models=fine.models[:1], runs=(), score=apart[None]))
    group = np.zeros(len(fine.strata), dtype=np.int64)
    for number, strata in enumerate(components(cells, len(fine.strata))):
        group[strata] = number
    units_in = np.bincount(fine.stratum, minlength=len(fine.strata))
    variances, freedom = _variances(cells, figures.slope - slope, group, units_in)
    labels, code = ground.facets[facet].labels, ground.facets[facet].code
    found: list[_Seen] = []
    for place, name in enumerate(figures.names):
        if name not in labels:  # the overall figure
            continue
        units: Bools = code == labels.index(name)
        if units.all():
            continue
        on = len(np.unique(fine.cluster[units]))
        look = Look(facet, name, (), int(units.sum()), on)
        reason = figures.reasons.get(name) or _unfit(fine, units, on)
        if reason is None and np.isnan(mean).any():
            reason = "there is no mean of all: " + next(iter(figures.reasons.values()), "no units")
        if reason is not None:
            found.append(_Seen(replace(look, reason=reason), units))
            continue
        known = _valued(look, values[:, place], mean)
        found.append(_Seen(known, units, float(variances[place] ** 0.5), float(freedom[place])))
    return found


def _valued(look: Look, values: Floats, mean: Floats) -> Look:
    """A look with the values of the model, the first, and of the others."""
    above = values - mean
    own = replace(look, score=float(values[0]), mean=float(mean[0]))
    if len(values) == 1:
        return replace(own, difference=float(above[0]))
    return replace(
        own,
        others=float(values[1:].mean()),
        others_mean=float(mean[1:].mean()),
        difference=float(above[0] - above[1:].mean()),
    )


def _mean(fine: Marks, figures: Figures, values: Floats) -> tuple[Floats, Floats]:
    """Slope of the figure on all units, and its value for each model."""
    if figures.names and figures.names[-1] == OVERALL:
        return figures.slope[-1], values[:, -1]
    size = np.bincount(fine.stratum, minlength=len(fine.strata))
    inside = (figures.slope != 0).astype(float) @ size
    if not inside.sum():
        return figures.slope.sum(axis=0), np.full(len(values), np.nan)
    share = inside / inside.sum()
    mean: Floats = np.where(share > 0, values, 0.0) @ share
    return share @ figures.slope, mean


def _unfit(fine: Marks, units: Bools, on: int) -> str | None:
    """Why a value is not looked at, or None."""
    if units.mean() > LARGEST:
        return f"it holds {units.mean():.0%} of all units: see the others of its facet"
    if on < LEAST_CLUSTERS:
        return f"{on} clusters on it, fewer than {LEAST_CLUSTERS}"
    beside = len(np.unique(fine.cluster[~units]))
    if beside < LEAST_CLUSTERS:
        return f"{beside} clusters beside it, fewer than {LEAST_CLUSTERS}"
    return None


def _variances(cells: Cells, slopes: Floats, group: Ints, units: Ints) -> tuple[Floats, Floats]:
    """Variance of each figure, and its degrees of freedom.

    Cluster-robust as in `lens_ray.stats.contrast`, for all figures at once; but a stratum whose
    units hardly differ (all right, all wrong) counts with at least the variance that `OFF` units
    a whole mark off the mean give it.

    Args:
        cells: Influence of every cluster on every stratum's mean, sorted by cluster.
        slopes: Figures x strata.
        group: By stratum, the number of its set of strata that share clusters.
        units: Units of each stratum.
    """
    residual = cells.residual[0]
    starts = np.flatnonzero(np.r_[True, cells.cluster[1:] != cells.cluster[:-1]])
    summed = np.add.reduceat((residual * slopes[:, cells.stratum]), starts, axis=1)
    mine = group[cells.stratum[starts]]
    count = np.bincount(mine, minlength=int(group.max()) + 1)
    few = np.maximum(count - 1, 1)
    parts = np.stack([np.bincount(mine, row, len(count)) for row in summed**2]) * count / few
    clusters = np.maximum(np.bincount(cells.stratum, minlength=len(group)), 1)
    less = np.maximum(clusters - 1, 1)
    squares = np.bincount(cells.stratum, weights=residual**2, minlength=len(group))
    lacking = np.maximum(OFF / (units * clusters) - squares, 0.0) * slopes**2 * clusters / less
    total = parts.sum(axis=1) + lacking.sum(axis=1)
    below = (parts**2 / few).sum(axis=1) + (lacking**2 / less).sum(axis=1)
    freedom = np.divide(total**2, below, out=np.ones(len(total)), where=below > 0)
    return total, freedom


def _adjusted(seen: Sequence[_Seen], confidence: float) -> tuple[Look, ...]:
    """The looks with their tests, adjusted for all of them, in order."""
    from scipy.special import stdtr, stdtrit

    tested = [each for each in seen if each.se > 0]
    level = 1 - confidence
    pvalues = [
        2 * float(stdtr(each.df, -abs(each.look.difference or 0.0) / each.se)) for each in tested
    ]
    found: list[Look] = []
    for each, p, p_holm in zip(tested, pvalues, holm(pvalues), strict=True):
        difference = each.look.difference or 0.0
        half = float(stdtrit(each.df, 1 - level / 2)) * each.se
        finding: Finding | None = None
        if p_holm < level:
            finding = "weaker" if difference < 0 else "stronger"
        found.append(
            replace(
                each.look,
                ci_low=difference - half,
                ci_high=difference + half,
                p=p,
                p_holm=p_holm,
                mde=detectable(each.se, each.df, level / len(tested)),
                finding=finding,
            )
        )
    found.sort(key=lambda look: (look.difference or 0.0, look.facet, look.value))
    return (*found, *(each.look for each in seen if not each.se > 0))
