"""How far checkpoints wander by themselves, and what that does to a difference of windows.

The true score of an ability moves a little from checkpoint to checkpoint, for no reason that lasts.
Over windows such moves add up to differences that are real and mean nothing. They are taken as a
random walk, of variance sigma^2 a checkpoint (of the run's usual distance), the same for all
abilities, and estimated in up to two ways; of both the variance that drawing other items would give
is taken off, and both are taken somewhat above what they are (`Raise`):

* inside the two windows, from how their checkpoints scatter about the window's mean; a walk of
  sigma^2 moves the difference of the windows by sigma^2 times `reach`;
* around, from how far the other abilities moved between the same two windows.

The gap that is tested tells nothing of sigma^2: there the shift itself would be taken for wander.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lens_ray.online.windows import Windows
from lens_ray.stats.units import Floats


@dataclass(frozen=True, slots=True)
class Raise:
    """Standard errors by which an estimate of wander is raised, for one kind of test.

    Attributes:
        inside: sigma^2 from inside the windows.
        around: The variance from around; None does not look there.
    """

    inside: float
    around: float | None


#: Found by simulation (``jobs/benchmarks/bench_online_rates.py``) as what keeps false alarms in
#: random walks at 6 % a run. Declared windows mostly lie farther apart than what is seen inside
#: them reaches, so there the way around mostly decides; over the many pairs of blocks it would have
#: a chance too many. A conflict needs two findings at once and is raised less.
BLOCKS_DECLINE, BLOCKS_CONFLICT = Raise(0.6, None), Raise(0.25, None)
DECLARED_DECLINE, DECLARED_CONFLICT = Raise(2.0, 0.7), Raise(1.0, 0.5)
#: Fewer deviations inside windows, of all abilities together, show no wander.
FEWEST = 12
#: Fewer other abilities show none either.
FEWEST_OTHERS = 3
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Scatter:
    """How one ability's checkpoints deviate inside one window, along independent directions.

    Attributes:
        square: Squared deviations.
        items: Variance of each that comes from the items.
        walk: Variance of each that a random walk of variance 1 would give.
    """

    square: Floats
    items: Floats
    walk: Floats


def directions(times: Floats) -> tuple[Floats, Floats]:
    """Independent deviations of a window's checkpoints from its mean.

    Args:
        times: Of the checkpoints.

    Returns:
        Weights, directions x checkpoints, each of sum 0 and of squares 1; and the variance of each
        for a random walk of variance 1 a unit of time.
    """
    size = len(times)
    centred = np.eye(size) - 1 / size
    walk = centred @ np.minimum.outer(times - times[0], times - times[0]) @ centred
    variance, weights = np.linalg.eigh(walk)
    return weights[:, 1:].T, variance[1:]


def reach(early: Floats, late: Floats) -> float:
    """Variance of late mean minus early mean for a random walk of variance 1 a unit of time.

    Args:
        early: Times of the early window.
        late: Of the late one.
    """
    times = np.concatenate([early, late])
    weights = np.r_[np.full(len(early), -1 / len(early)), np.full(len(late), 1 / len(late))]
    walk = np.minimum.outer(times - times.min(), times - times.min())
    return float(weights @ walk @ weights)


@dataclass(frozen=True, slots=True)
class Wander:
    """Variance that wander adds to a difference of windows.

    Attributes:
        variance: Raised above its estimate.
        df: Its degrees of freedom; infinite does not count them.
    """

    variance: float
    df: float = math.inf

    def freedom(self, items: float, df: float) -> float:
        """Satterthwaite's degrees of freedom of the sum with the items' variance.

        Args:
            items: Variance that comes from the items.
            df: Its degrees of freedom.
        """
        below = items**2 / df + self.variance**2 / self.df
        return (items + self.variance) ** 2 / below


@dataclass(frozen=True, slots=True)
class StepVariance:
    """sigma^2 of all abilities together.

    Attributes:
        value: At least 0.
        error: Its standard error.
        deviations: How many squared deviations it is from.
    """

    value: float
    error: float
    deviations: int

    def wander(self, reached: float, raised: float, *, counted: bool) -> Wander:
        """What it adds to a difference of windows.

        Args:
            reached: `reach` of the windows.
            raised: Standard errors.
            counted: Whether its degrees of freedom count: a quarter of the deviations, since most
                of a walk is seen in one of a window's four.
        """
        variance = reached * (self.value + raised * self.error)
        return Wander(variance, self.deviations / 4 if counted else math.inf)


def step_variance(scatters: Iterable[Scatter]) -> StepVariance | None:
    """sigma^2 by least squares on the squared deviations of all abilities and windows.

    Each square has expectation ``items + sigma^2 walk`` and, were it normal, twice the square of
    that as its variance: the weights, found in a few rounds.

    Returns:
        None of fewer than `FEWEST` deviations.
    """
    known = list(scatters)
    count = sum(len(one.square) for one in known)
    if count < FEWEST:
        return None
    square, items, walk = (
        np.concatenate([getattr(one, name) for one in known])
        for name in ("square", "items", "walk")
    )
    # Where no item changed there is no noise: what is left is rounding.
    items = np.maximum(items, 1e-12)
    found, error = 0.0, 0.0
    for _ in range(_ROUNDS):
        weight = walk / (items + found * walk) ** 2
        whole = float(weight @ walk)
        found, error = max(float(weight @ (square - items)) / whole, 0.0), (2 / whole) ** 0.5
    return StepVariance(found, error, count)


def around(effects: Sequence[float], items: Sequence[float], raised: float) -> Wander | None:
    """What other abilities moved beyond their items, for the test of a conflict.

    Args:
        effects: Shifts of all abilities but the two of the conflict.
        items: Variance of each that comes from the items.
        raised: Standard errors.

    Returns:
        None of fewer than `FEWEST_OTHERS`.
    """
    if len(effects) < FEWEST_OTHERS:
        return None
    return Wander(_beyond(float(np.mean(np.square(effects))), items, len(effects), raised))


def around_without_largest(
    effects: Sequence[float], items: Sequence[float], raised: float
) -> Wander | None:
    """The same for the test of one decline: in a conflict, what moved most is what rose.

    The mean square of the others is divided by what leaving out the largest takes from it, were
    they normal.

    Args:
        effects: Shifts of all abilities but the one that is tested.
        items: Variance of each that comes from the items.
        raised: Standard errors.

    Returns:
        None where fewer than `FEWEST_OTHERS` are left.
    """
    kept = len(effects) - 1
    if kept < FEWEST_OTHERS:
        return None
    squares = np.sort(np.square(effects))[:-1]
    total = float(squares.mean()) / _without_largest(kept + 1)
    return Wander(_beyond(total, items, kept - 1, raised), kept - 1)


def _beyond(total: float, items: Sequence[float], df: int, raised: float) -> float:
    noise = float(np.mean(items))
    return max(total - noise, 0.0) + raised * math.sqrt(2 / df) * max(total, noise)


@lru_cache(maxsize=64)
def _without_largest(count: int) -> float:
    """Mean square of so many standard normal values without the largest square."""
    from scipy.special import chdtr

    at = np.linspace(0.0, 60.0, 60_001)
    largest = float(np.trapezoid(1 - chdtr(1, at) ** count, at))
    return float((count - largest) / (count - 1))


def times_of(windows: Windows, steps: Floats) -> tuple[Floats, Floats]:
    """Times of both windows' checkpoints, in units of the run's usual distance of two."""
    apart = np.diff(steps)
    usual = float(np.median(apart)) if len(apart) else 1.0
    early, late = (steps[list(places)] / max(usual, 1.0) for places in
                   (windows.early, windows.late))  # fmt: skip
    return early, late
