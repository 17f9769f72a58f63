"""DVS, RES and tau of one model with their intervals: `steadiness`.

It works on the subtasks' means, so that a run's scores and comparisons of models share it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lens_ray.stats.dispersion import Noisy, normal_noise, sd_bounds
from lens_ray.stats.dvs_res import dvs_and_res
from lens_ray.stats.entropy import entropy_bounds, rank_among
from lens_ray.stats.heterogeneity import Measured, tau_bounds, tau_of
from lens_ray.stats.intervals import wilson
from lens_ray.stats.pool import Pool
from lens_ray.stats.units import Floats, Ints

Kind = Literal["dvs", "res", "tau"]
KINDS: tuple[Kind, ...] = ("dvs", "res", "tau")
#: A subtask of fewer clusters gives no interval.
FEWEST_CLUSTERS = 5
TOO_FEW = f"no interval: a subtask has fewer than {FEWEST_CLUSTERS} clusters"
#: Quantile at which widths of the t and the normal distribution are compared.
_UPPER = 0.975


_Bounds = Callable[[Sequence["Subtasks"], Pool, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Subtasks:
    """The subtasks of one ability of one model, as its stability is made of them.

    Attributes:
        ability: The ability.
        names: Its subtasks, sorted.
        mean: Mean score of each.
        chance: Mean chance level of each.
        upper: Mean upper bound of each.
        covariance: Cluster-robust covariance of the means, its diagonal above 0.
        clusters: Clusters of each.
    """

    ability: str
    names: tuple[str, ...]
    mean: Floats
    chance: Floats
    upper: Floats
    covariance: Floats
    clusters: Ints

    @property
    def span(self) -> Floats:
        """What a corrected score of 1 is in scores."""
        found: Floats = self.upper - self.chance
        return found

    @property
    def corrected(self) -> Floats:
        """The corrected score of each."""
        found: Floats = (self.mean - self.chance) / self.span
        return found

    @property
    def widening(self) -> Floats:
        """How much wider the t quantile of each one's clusters is than the normal one."""
        from scipy.special import ndtri, stdtrit

        found: Floats = stdtrit(self.clusters - 1.0, _UPPER) / ndtri(_UPPER)
        return found

    @property
    def measured(self) -> Measured:
        """The corrected scores with their variances."""
        return Measured(self.corrected, np.diag(self.covariance) / self.span**2)


@dataclass(frozen=True, slots=True)
class Steady:
    """One figure of stability.

    Attributes:
        value: The figure; None with a reason.
        low: Lower bound of its interval; None with a reason.
        high: Upper bound.
        reason: Why one of them is None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def joined(one: Steady, two: Steady) -> tuple[float, float]:
    """Bounds of ``one`` - ``two``, from the interval of each as if they were independent.

    Method of variance estimates recovery (Zou and Donner 2008).

    Args:
        one: With value and interval.
        two: Likewise.
    """
    assert one.value is not None
    assert two.value is not None
    assert one.low is not None
    assert one.high is not None
    assert two.low is not None
    assert two.high is not None
    apart = one.value - two.value
    return (
        apart - math.hypot(one.value - one.low, two.high - two.value),
        apart + math.hypot(one.high - one.value, two.value - two.low),
    )


def steadiness(
    parts: Sequence[Subtasks],
    pool: Pool | None,
    confidence: float = 0.95,
    kinds: Sequence[Kind] = KINDS,
) -> dict[Kind, Steady]:
    """DVS, RES and tau of one model: of an ability, or overall where several are given.

    Overall DVS and RES are the plain means over the abilities, and tau the one that they share
    (each with a mean of its own).

    Args:
        parts: One an ability.
        pool: The frozen pool.
        confidence: Two-sided level.
        kinds: Only these figures.
    """
    given = [
        dvs_and_res(dict(zip(p.names, p.corrected.tolist(), strict=True)), p.ability, pool)
        for p in parts
    ]
    few = any(part.clusters.min() < FEWEST_CLUSTERS for part in parts)
    found: dict[Kind, Steady] = {}
    if "tau" in kinds:
        found["tau"] = _tau(parts, few, confidence)
    against: tuple[tuple[Kind, list[float | None], _Bounds], ...] = (
        ("dvs", [each[0] for each in given], _dvs_bounds),
        ("res", [each[1] for each in given], _res_bounds),
    )
    for kind, values, bounds in against:
        if kind not in kinds:
            continue
        known = [value for value in values if value is not None]
        if pool is None or len(known) < len(values):
            why = next(each[2] for each, value in zip(given, values, strict=True) if value is None)
            found[kind] = Steady(None, reason=why)
            continue
        value = _mean(known)
        found[kind] = (
            Steady(value, reason=TOO_FEW)
            if few
            else Steady(value, *_around(value, bounds(parts, pool, confidence)))
        )
    return found


def _dvs_bounds(parts: Sequence[Subtasks], pool: Pool, confidence: float) -> tuple[float, float]:
    found = []
    for number, part in enumerate(parts):
        center, unit = standard_scale(part, pool)
        wide = part.widening / (part.span * unit)
        noise = normal_noise(part.covariance * np.outer(wide, wide), number)
        found.append(Noisy((part.corrected - center) / unit, noise))
    return sd_bounds(found, confidence)


def _res_bounds(parts: Sequence[Subtasks], pool: Pool, confidence: float) -> tuple[float, float]:
    spans = [_possible_entropy(part, pool, confidence) for part in parts]
    return _mean([low for low, _ in spans]), _mean([high for _, high in spans])


def _around(value: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """The bounds, which hold the value to the last bit."""
    return min(bounds[0], value), max(bounds[1], value)


def _tau(parts: Sequence[Subtasks], few: bool, confidence: float) -> Steady:
    for part in parts:
        if len(part.names) < 2:
            return Steady(
                None, reason=f"stability needs 2 subtasks, {part.ability} has {len(part.names)}"
            )
    groups = [part.measured for part in parts]
    value = float(tau_of(groups))
    if few:
        return Steady(value, reason=TOO_FEW)
    low, high = tau_bounds(groups, confidence)
    return Steady(value, low, max(value, min(high, max(_widest(part) for part in parts))))


def _widest(part: Subtasks) -> float:
    """The largest standard deviation that corrected scores can have: half of their range."""
    highest, lowest = (1.0 - part.chance) / part.span, -part.chance / part.span
    return float(highest.max() - lowest.min()) / 2


def standard_scale(part: Subtasks, pool: Pool) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each subtask over a pool that has a spread on all."""
    others = np.array([pool.corrected(part.ability, name) for name in part.names])
    return others.mean(axis=1), others.std(axis=1, ddof=1)


def _possible_entropy(part: Subtasks, pool: Pool, confidence: float) -> tuple[float, float]:
    """The entropies of all ranks that a joint confidence band of the scores allows.

    The band is Wilson's of each mean, of as many trials as have the variance that its clusters
    show, at Sidak's level for all subtasks together.
    """
    from scipy.special import ndtr, ndtri

    each = confidence ** (1 / len(part.names))
    levels = 2 * ndtr(ndtri((1 + each) / 2) * part.widening) - 1
    best, worst = [], []
    for place, name in enumerate(part.names):
        mean = float(part.mean[place])
        trials = int(part.clusters[place])
        if 0.0 < mean < 1.0:
            trials = max(int(mean * (1.0 - mean) / float(part.covariance[place, place])), 1)
        chance, upper = float(part.chance[place]), float(part.upper[place])
        band = np.asarray(wilson(mean, trials, float(levels[place])), dtype=np.float64)
        others = pool.corrected(part.ability, name)
        assert others is not None
        lowest, highest = rank_among((band - chance) / (upper - chance), others).tolist()
        best.append(highest)
        worst.append(lowest)
    return entropy_bounds(np.array(best), np.array(worst))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
