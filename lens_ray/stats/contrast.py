"""One model against another, paired by unit: `contrast`.

The difference of a figure is a weighted sum over strata of mean unit differences, with the
cluster-robust variance of `lens_ray.stats.clustered` and the t quantile with Satterthwaite's
degrees of freedom. Where few units differ such an interval is too short (none differ: no length at
all), so each stratum gets pseudo-units as Bonett and Price (2012) give one proportion: c on which
``a`` is ahead and c on which ``b`` is. Here c = (1 / k) / (1 + m): k is the number of strata that
weigh in (sum l)^2 / sum l^2, with l = weight / sqrt(units), so that all strata share one pair; m is
how many units the model that is ahead less often has for itself, so that the pair goes as soon as
both kinds have been seen. Interval and p-value are of one statistic and agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lens_ray.stats.cells import means_of
from lens_ray.stats.clustered import TINY, Clustered, clustered, few_clusters
from lens_ray.stats.detectable import detectable
from lens_ray.stats.figures import Figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.marks import Marks
from lens_ray.stats.mcnemar import mcnemar_exact
from lens_ray.stats.units import SAME, Floats, Ints


@dataclass(frozen=True, slots=True)
class Difference(Framed):
    """How far model ``a`` is ahead of model ``b`` in one figure, on the units that both answered.

    Attributes:
        figure: The ability, ``overall``, or the value of a facet.
        a: One model.
        b: The other.
        n: Units that both answered.
        clusters: Clusters of these.
        value_a: The figure of ``a``.
        value_b: The figure of ``b``.
        difference: ``value_a`` - ``value_b``; None with a reason.
        ci_low: Lower bound of its interval.
        ci_high: Upper bound.
        p: Two-sided p-value of no difference, alone.
        se: Standard error of the difference.
        df: Degrees of freedom of the t distribution.
        mde: The smallest true difference that would be found with power 0.8 at this level
            (`lens_ray.stats.detectable`), where it was asked for.
        better: Units on which ``a`` has the higher mark.
        worse: Units on which ``b`` has it.
        method: How interval and p-value were made.
        reason: Why a figure is None.
        p_exact: The exact McNemar p-value, which assumes nothing and is more careful than ``p``;
            None but for one stratum of rights and wrongs that are each a cluster.
        note: What a reader of the interval should know; None where it is as good as any.
    """

    figure: str
    a: str
    b: str
    n: int
    clusters: int
    value_a: float | None
    value_b: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    se: float | None
    df: float | None
    mde: float | None
    better: int
    worse: int
    method: str
    reason: str | None = None
    p_exact: float | None = None
    note: str | None = None


def contrast(
    marks: Marks,
    a: str,
    b: str,
    figures: Figures,
    *,
    confidence: float = 0.95,
    with_mde: bool = True,
) -> list[Difference]:
    """Compare two models in some figures.

    Args:
        marks: Marks of both; only the units that both answered count.
        a: The model that is ahead where a difference is positive.
        b: The other.
        figures: Over the strata of ``marks``.
        confidence: Two-sided level.
        with_mde: Whether to look for ``mde`` too, which takes three quarters of the time.

    Returns:
        One a figure.
    """
    pair = marks.only((a, b))
    both = pair.answered.all(axis=0)
    score = np.where(both, pair.score, np.nan)
    means = means_of(replace(pair, score=score))
    values = figures.values(means)
    moved = score[0] - score[1]
    sums = clustered(moved, marks.stratum, marks.cluster, len(marks.strata))
    pairs = _pairs(moved, marks.stratum, sums)
    units, better, worse = (
        np.bincount(marks.stratum[those], minlength=len(marks.strata))
        for those in (both, moved > SAME, moved < -SAME)
    )
    found = []
    for place, name in enumerate(figures.names):
        slope = figures.slope[place]
        counted = slope != 0
        clusters = sums.counted(slope)
        empty = Difference(
            figure=name, a=a, b=b, n=int(units[counted].sum()), clusters=clusters,
            better=int(better[counted].sum()), worse=int(worse[counted].sum()),
            method="cluster t", **dict.fromkeys(_FIGURES),
        )  # fmt: skip
        reason = figures.reasons.get(name) or _lacking(marks, slope, means)
        if reason is not None:
            found.append(replace(empty, reason=reason))
            continue
        known = replace(
            empty, value_a=float(values[0, place]), value_b=float(values[1, place]),
            difference=float(values[0, place] - values[1, place]),
            p_exact=_exact(sums, slope, moved, marks.stratum), note=few_clusters(clusters),
        )  # fmt: skip
        found.append(_tested(known, sums, pairs, slope, confidence, with_mde))
    return found


_FIGURES = ("value_a", "value_b", "difference", "ci_low", "ci_high", "p", "se", "df", "mde")


@dataclass(frozen=True)
class _Pairs:
    """How units differ, by stratum.

    Attributes:
        trials: Independent units that would tell as much.
        square: What one unit that differs adds to the squares: 1 for rights and wrongs.
        fewer: How many of the trials the model has that is ahead less often.
    """

    trials: Floats
    square: Floats
    fewer: Floats


def _pairs(moved: Floats, stratum: Ints, sums: Clustered) -> _Pairs:
    width = len(sums.size)
    known = ~np.isnan(moved)
    moved, stratum = moved[known], stratum[known]
    moved = np.where(np.abs(moved) > SAME, moved, 0.0)
    ahead, behind, fourth = (
        np.bincount(stratum, weights=part, minlength=width)
        for part in (np.maximum(moved, 0) ** 2, np.minimum(moved, 0) ** 2, moved**4)
    )
    total = ahead + behind
    # Of differences of all sizes it is that of the large ones, which the squares hang on.
    square = np.divide(fourth, total, out=np.ones(width), where=total > 0)
    size = np.maximum(sums.size, 1.0)
    within = total / size - sums.mean**2
    varied = (sums.variance > TINY) & (within > TINY)
    trials = np.divide(within, sums.variance, out=np.maximum(sums.alike, 1.0), where=varied)
    fewer = np.minimum(ahead, behind) / square / size * trials
    return _Pairs(trials, square, fewer)


def _tested(
    known: Difference,
    sums: Clustered,
    pairs: _Pairs,
    slope: Floats,
    confidence: float,
    with_mde: bool,
) -> Difference:
    """The difference with its interval, test and detectable effect."""
    from scipy.special import stdtr, stdtrit

    if known.clusters < 2:
        return replace(known, reason="one cluster only: nothing shows how far it may be off")
    share = np.abs(slope) / np.sqrt(pairs.trials)
    strata = share.sum() ** 2 / (share**2).sum()
    added = 2 / strata / (1 + pairs.fewer)
    kept = pairs.trials / (pairs.trials + added)
    middle = float(slope @ (kept * sums.mean))
    spread = added * (pairs.square + kept * sums.mean**2) / (pairs.trials + added) ** 2
    variance, freedom = sums.combined(slope * kept, slope**2 * spread)
    se = variance**0.5
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * se
    # Marks lie in [0, 1].
    most = float(np.abs(slope).sum())
    assert known.difference is not None
    return replace(
        known,
        ci_low=min(max(middle - half, -most), known.difference),
        ci_high=max(min(middle + half, most), known.difference),
        p=float(2 * stdtr(freedom, -abs(middle) / se)),
        se=se,
        df=freedom,
        mde=detectable(se, freedom, 1 - confidence) if with_mde else None,
    )


def _exact(sums: Clustered, slope: Floats, moved: Floats, stratum: Ints) -> float | None:
    """The exact McNemar p-value where it holds."""
    places = np.flatnonzero(slope)
    if len(places) != 1 or sums.clusters[places[0]] != sums.size[places[0]]:
        return None
    moved = moved[(stratum == places[0]) & ~np.isnan(moved)]
    if not (np.abs(moved - np.round(moved)) < SAME).all():
        return None
    return mcnemar_exact(int((moved > SAME).sum()), int((moved < -SAME).sum()))


def _lacking(marks: Marks, slope: Floats, means: Floats) -> str | None:
    """Why two models have no difference, or None."""
    for place in np.flatnonzero((slope != 0) & np.isnan(means).any(axis=0)).tolist():
        return f"{'/'.join(marks.strata[place])} has no unit that both models answered"
    return None
