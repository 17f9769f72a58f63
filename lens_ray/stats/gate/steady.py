"""Is the candidate less steady than the baseline: `steadier`."""

from __future__ import annotations

from lens_ray.stats.gate.evidence import Bounds
from lens_ray.stats.joint import JointDraws
from lens_ray.stats.marks import Marks
from lens_ray.stats.pool import Pool
from lens_ray.stats.spread import SpreadDifference, spread
from lens_ray.stats.steadiness import Kind, joined


def steadier(
    marks: Marks, pool: Pool | None, kind: Kind, name: str, level: float, draws: JointDraws
) -> tuple[SpreadDifference, Bounds | None]:
    """The difference of a figure of stability, with its bounds.

    Those of tau are of the paired replicates (`lens_ray.stats.spread.Spread.difference`). DVS has
    the noise of the samples in it, and its paired replicates said GO wrongly in 7 to 29 % of
    simulated fields at 5 %; the intervals of both models joined as if these were independent
    (method of variance estimates recovery) in at most 2 %. At another level than the given one each
    side is stretched as a normal quantile would be.

    Args:
        marks: The candidate's, then the baseline's.
        pool: For DVS and RES.
        kind: Which figure.
        name: The ability, or ``overall``.
        level: At which the bounds are made.
        draws: Of the same marks.
    """
    from scipy.special import ndtri

    wide = 1 - 2 * level
    found = spread(marks, pool, draws, confidence=wide, kinds=[kind], names=[name])
    first, second = marks.models
    apart = found.difference(kind, first, second, name, wide)
    if apart.difference is None or apart.low is None or apart.high is None:
        return apart, None
    middle, low, high = apart.difference, apart.low, apart.high
    if kind != "tau":
        low, high = joined(found.steady[kind, first, name], found.steady[kind, second, name])
    unit = float(-ndtri(level))

    def bounds(tail: float) -> tuple[float, float]:
        times = float(-ndtri(tail)) / unit
        return middle - times * (middle - low), middle + times * (high - middle)

    return apart, bounds
