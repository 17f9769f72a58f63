"""Bounds of what is measured on the candidate alone, and of a difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lens_ray.stats.contrast import Difference
from lens_ray.stats.figures import Figures
from lens_ray.stats.gate.evidence import Bounds
from lens_ray.stats.intervals import REPLICATES, draw, interval
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Units

#: Bounds are asked for with errors below this; at 1/2 both are the estimate.
_MOST = 0.499


def difference_bounds(found: Difference, level: float) -> Bounds:
    """Bounds of a difference at any level, from its interval at one.

    Args:
        found: With an interval that errs by ``level`` on each side.
        level: That level.
    """
    low, high = found.ci_low, found.ci_high
    assert low is not None
    assert high is not None
    middle, half = (low + high) / 2, (high - low) / 2
    scale = half / _quantile(found.df, level)
    return lambda tail: (
        middle - scale * _quantile(found.df, tail), middle + scale * _quantile(found.df, tail)
    )  # fmt: skip


def score_bounds(
    marks: Marks, figures: Figures, seed_key: str, replicates: int = REPLICATES
) -> Bounds:
    """Bounds of one model's figure, by the bootstrap of its scores' intervals.

    Args:
        marks: Of one model.
        figures: One figure.
        seed_key: Seeds the bootstrap.
        replicates: How many.
    """
    known = np.flatnonzero(marks.answered[0])
    units = Units(
        strata=marks.strata,
        stratum=marks.stratum[known],
        score=marks.score[0, known],
        chance=marks.chance[known],
        upper=marks.upper[known],
        cluster=marks.cluster[known],
        clusters=marks.clusters,
        covered=np.bincount(marks.stratum[known], minlength=len(marks.strata)),
        first=known,
    )
    draws = draw(units, ["/".join(pair) for pair in marks.strata], seed_key, replicates)
    slope, shift = figures.slope[0], float(figures.shift[0])

    def bounds(tail: float) -> tuple[float, float]:
        low, high = interval(draws, slope, 1 - 2 * min(tail, _MOST))
        return low - shift, high - shift

    return bounds


def share_bounds(rows: pa.Table, statuses: Sequence[str], seed_key: str) -> Bounds:
    """Bounds of the share of rows with one of some statuses, clustered.

    Args:
        rows: With ``status`` and ``cluster_id``; at least one.
        statuses: Which count.
        seed_key: Seeds the bootstrap.
    """
    status = np.array(rows["status"].to_pylist(), dtype=object)
    names, cluster = np.unique(rows["cluster_id"].to_pylist(), return_inverse=True)
    size = len(status)
    units = Units(
        strata=(("", ""),),
        stratum=np.zeros(size, dtype=np.int64),
        score=np.isin(status, list(statuses)).astype(np.float64),
        chance=np.zeros(size),
        upper=np.ones(size),
        cluster=cluster.reshape(-1).astype(np.int64),
        clusters=len(names),
        covered=np.array([size]),
        first=np.arange(size),
    )
    draws = draw(units, ["share"], seed_key)
    return lambda tail: interval(draws, np.ones(1), 1 - 2 * min(tail, _MOST))


def _quantile(df: float | None, tail: float) -> float:
    """How many standard errors a bound is away that errs with a probability."""
    from scipy.special import ndtri, stdtrit

    tail = min(tail, _MOST)
    return float(stdtrit(df, 1 - tail)) if df else float(ndtri(1 - tail))
