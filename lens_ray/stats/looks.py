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
from lens_ray.stats.cells import means_of
from lens_ray.stats.clustered import FEW_CLUSTERS, TINY, Clustered, clustered
from lens_ray.stats.detectable import detectable
from lens_ray.stats.figures import Figures, bounds_of, facet_figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.image_size import NAME as IMAGE_SIZE
from lens_ray.stats.marks import Marks
from lens_ray.stats.multiplicity import holm
from lens_ray.stats.units import Bools, Floats

#: The facets that are looked at, in this order; where two values hold the same units, the first.
FACETS: tuple[str, ...] = (
    "ability", "format", "metric", "source", "subtask", "domain", IMAGE_SIZE,
)  # fmt: skip
#: A value that holds a larger share of the units is most of the mean itself: the other values of
#: its facet say the same with a larger difference.
LARGEST = 2 / 3
#: A stratum where nearly all is right or wrong has at least the variance that so many units a
#: whole mark off the mean give it. Without it every field of 18 subtasks of 20 clusters with a
#: truth of 0.98 had a false find; with it none of 150.
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
        finding: ``weaker`` or ``stronger`` where ``p_holm`` is below the level, and the model is
            also below (above) its own mean.
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
    if not ground.ids:
        return ()
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
    whole = -1 if facet == "ability" else None
    slope, mean = _mean(fine, figures, values, whole)
    rest = ground.score[1:]
    apart = ground.score[0] - rest.mean(axis=0) if len(rest) else ground.score[0]
    sums = clustered(apart, fine.stratum, fine.cluster, len(fine.strata))
    chance, upper = bounds_of(fine)
    labels, code = ground.facets[facet].labels, ground.facets[facet].code
    found: list[_Seen] = []
    for place, name in enumerate(figures.names):
        units: Bools = code == (labels.index(name) if name in labels else -1)
        if units.all() or not units.any():  # all is no look, and the overall figure none either
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
        variances = _least(sums)
        if not len(rest) and known.difference is not None:
            moved = (upper - chance) * known.difference * (figures.slope[place] != 0)
            variances = np.maximum(variances, _unmoved(sums, moved))
        away = figures.slope[place] - slope
        more = np.maximum(variances - sums.variance, 0.0)
        variance, freedom = sums.combined(away, away**2 * more)
        found.append(_Seen(known, units, variance**0.5, freedom))
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


def _mean(
    fine: Marks, figures: Figures, values: Floats, whole: int | None
) -> tuple[Floats, Floats]:
    """Slope of the figure on all units, and its value for each model.

    Where the figures have it, it is at the place ``whole``; else they count by their units.
    """
    if whole is not None:
        return figures.slope[whole], values[:, whole]
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
    if on < FEW_CLUSTERS:
        return f"{on} clusters on it, fewer than {FEW_CLUSTERS}"
    beside = len(np.unique(fine.cluster[~units]))
    if beside < FEW_CLUSTERS:
        return f"{beside} clusters beside it, fewer than {FEW_CLUSTERS}"
    return None


def _least(sums: Clustered) -> Floats:
    """The variance that `OFF` units give a stratum's mean."""
    clusters = np.maximum(sums.clusters, 1)
    found: Floats = OFF / np.maximum(sums.size, 1.0) / np.maximum(clusters - 1, 1)
    return found


def _unmoved(sums: Clustered, moved: Floats) -> Floats:
    """The variance of each stratum's mean if it were not ``moved`` away from the mean of all.

    As in a score test: marks near 0 or 1 vary less, so that a subtask that is far out by chance
    would seem surer of it than it is. With the variance as it is found, 7 % of the fields with 20
    clusters a subtask had a false find.
    """
    before = np.clip(sums.mean - moved, 0.0, 1.0)
    spread = sums.mean * (1 - sums.mean)
    each = np.divide(
        sums.variance, spread, out=1 / np.maximum(sums.clusters, 1.0), where=spread > TINY
    )
    found: Floats = before * (1 - before) * each
    return found


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
        found.append(
            replace(
                each.look,
                ci_low=difference - half,
                ci_high=difference + half,
                p=p,
                p_holm=p_holm,
                mde=detectable(each.se, each.df, level / len(tested)),
                finding=_finding(each.look, p_holm, level),
            )
        )
    found.sort(key=lambda look: (look.difference or 0.0, look.facet, look.value))
    return (*found, *(each.look for each in seen if not each.se > 0))


def _finding(look: Look, p_holm: float, level: float) -> Finding | None:
    """What was found.

    Where all are near the ceiling a model that is better elsewhere loses its lead. That is no
    weakness: the model must be below its own mean, too.
    """
    if look.difference is None or look.score is None or look.mean is None or p_holm >= level:
        return None
    if look.difference < 0 and look.score < look.mean:
        return "weaker"
    return "stronger" if look.difference > 0 and look.score > look.mean else None
