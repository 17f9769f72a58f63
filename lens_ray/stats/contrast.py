"""One model against another, paired by unit: `contrast`.

The difference of a figure is a weighted sum over strata of mean unit differences. Its variance is
cluster-robust in each stratum, with C / (C - 1), and its interval takes the t quantile with
Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lens_ray.stats.detectable import detectable
from lens_ray.stats.figures import Figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.joint import cells_of, components, means_of
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats, Ints

#: Marks nearer than this are the same.
SAME = 1e-9


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
            (`lens_ray.stats.detectable`).
        better: Units on which ``a`` has the higher mark.
        worse: Units on which ``b`` has it.
        method: How interval and p-value were made.
        reason: Why a figure is None.
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
    note: str | None = None


def contrast(
    marks: Marks, a: str, b: str, figures: Figures, *, confidence: float = 0.95
) -> list[Difference]:
    """Compare two models in some figures.

    Args:
        marks: Marks of both; only the units that both answered count.
        a: The model that is ahead where a difference is positive.
        b: The other.
        figures: Over the strata of ``marks``.
        confidence: Two-sided level.

    Returns:
        One a figure.
    """
    pair = marks.only((a, b))
    both = pair.answered.all(axis=0)
    score = np.where(both, pair.score, np.nan)
    pair = replace(pair, score=score)
    means = means_of(pair)
    values = figures.values(means)
    apart = replace(pair, models=(a,), runs=pair.runs[:1], score=score[:1] - score[1:])
    cells = cells_of(apart)
    group = np.zeros(len(marks.strata), dtype=np.int64)
    for number, strata in enumerate(components(cells, len(marks.strata))):
        group[strata] = number
    moved = np.nan_to_num(apart.score[0])
    found = []
    for place, name in enumerate(figures.names):
        slope = figures.slope[place]
        counted = both & (slope[marks.stratum] != 0)
        empty = Difference(
            figure=name,
            a=a,
            b=b,
            n=int(counted.sum()),
            clusters=len(np.unique(marks.cluster[counted])),
            better=int((moved[counted] > SAME).sum()),
            worse=int((moved[counted] < -SAME).sum()),
            method="cluster t",
            **dict.fromkeys(_FIGURES),
        )
        reason = figures.reasons.get(name) or _lacking(marks, slope, means)
        if reason is not None:
            found.append(replace(empty, reason=reason))
            continue
        influence = cells.residual[0] * slope[cells.stratum]
        variance, freedom = cluster_variance(influence, cells.cluster, group[cells.stratum])
        estimate = float(values[0, place] - values[1, place])
        known = replace(
            empty, value_a=float(values[0, place]), value_b=float(values[1, place]),
            difference=estimate,
        )  # fmt: skip
        found.append(_tested(known, estimate, variance, freedom, confidence))
    return found


_FIGURES = ("value_a", "value_b", "difference", "ci_low", "ci_high", "p", "se", "df", "mde")


def cluster_variance(influence: Floats, cluster: Ints, group: Ints) -> tuple[float, float]:
    """Variance of a sum over strata of means, and its Satterthwaite degrees of freedom.

    Args:
        influence: Of each (cluster, stratum) on the sum; 0 where the stratum does not count.
        cluster: Cluster of each.
        group: Number of each one's set of strata that share clusters.
    """
    counted = np.flatnonzero(influence)
    if not len(counted):
        return 0.0, 0.0
    # A cluster whose units are all at the mean has influence 0 and counts all the same.
    groups = np.unique(group[counted])
    total, below = 0.0, 0.0
    for number in groups.tolist():
        mine = group == number
        clusters, row = np.unique(cluster[mine], return_inverse=True)
        size = len(clusters)
        if size < 2:
            continue
        summed = np.bincount(row.reshape(-1), weights=influence[mine])
        part = float((summed**2).sum()) * size / (size - 1)
        total += part
        below += part**2 / (size - 1)
    return total, total**2 / below if below > 0 else 0.0


def _tested(
    known: Difference, estimate: float, variance: float, freedom: float, confidence: float
) -> Difference:
    """The difference with its interval, test and detectable effect."""
    from scipy.special import stdtr, stdtrit

    if variance <= 0.0:
        return replace(known, reason="the marks do not vary: no interval of the difference")
    se = variance**0.5
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * se
    return replace(
        known,
        ci_low=estimate - half,
        ci_high=estimate + half,
        p=float(2 * stdtr(freedom, -abs(estimate) / se)),
        se=se,
        df=freedom,
        mde=detectable(se, freedom, 1 - confidence),
    )


def _lacking(marks: Marks, slope: Floats, means: Floats) -> str | None:
    """Why two models have no difference, or None."""
    for place in np.flatnonzero((slope != 0) & np.isnan(means).any(axis=0)).tolist():
        return f"{'/'.join(marks.strata[place])} has no unit that both models answered"
    return None
