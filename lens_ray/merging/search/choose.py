"""Which trial is worth confirming: `weigh`.

Not simply the highest one, which is partly the luckiest. Each trial's gain over the best single
checkpoint is drawn to what its like have: a mixture's is read from the fitted surfaces, any other's
is shrunk towards the mean of all by the share of noise in it (empirical Bayes). It then counts as
much as it is probable that all claims would hold, were the trial as good as it looks and asked as
many samples again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lens_ray.merging.search.table import Table
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.contrast import Difference


@dataclass(frozen=True, slots=True)
class Weighed:
    """What one trial promises.

    Attributes:
        name: Of the trial.
        measured: Gain of ``overall`` over the best single checkpoint, as it was measured.
        gain: The same, drawn to what its like have.
        likely: Probability that the least sure claim would hold.
        weakest: What that claim is about.
        short: Abilities below the score that the user needs.
    """

    name: str
    measured: float
    gain: float
    likely: float
    weakest: str
    short: tuple[str, ...] = ()

    @property
    def worth(self) -> tuple[bool, float]:
        """By which trials are ranked: the needs first, then the gain that is to be expected."""
        return not self.short, self.gain * self.likely if self.gain > 0 else self.gain


def weigh(
    table: Table,
    candidates: Sequence[str],
    single: str,
    final: str,
    *,
    margin: float,
    fitted: Mapping[str, float] | None = None,
    min_score: Mapping[str, float] | None = None,
) -> list[Weighed]:
    """Weigh some trials, the most promising first.

    Args:
        table: Of the trials and both checkpoints, on the samples of the search.
        candidates: Names of the merges.
        single: Name of the best single checkpoint.
        final: Name of the one that would be shipped without a merge.
        margin: How much of an ability may be lost.
        fitted: ``overall`` of mixtures as the surfaces have it, by name.
        min_score: Corrected scores that are needed, by ability.
    """
    if not candidates:
        return []
    pairs = {
        name: {other: table.differences(name, other) for other in dict.fromkeys((single, final))}
        for name in candidates
    }
    measured = np.array([_known(pairs[name][single][OVERALL]) for name in candidates])
    noise = np.array([_error(pairs[name][single][OVERALL]) for name in candidates]) ** 2
    between = max(float(measured.var()) - float(noise.mean()), 0.0)
    drawn = measured.mean() + (measured - measured.mean()) * between / (between + noise)
    found = []
    for place, name in enumerate(candidates):
        gain = float(drawn[place])
        if fitted and name in fitted:
            gain = fitted[name] - table.values[single][OVERALL]
        likely, weakest = _likely(pairs[name], gain - float(measured[place]), margin, table)
        short = tuple(
            ability
            for ability, least in (min_score or {}).items()
            if table.values[name][ability] < least
        )
        found.append(Weighed(name, float(measured[place]), gain, likely, weakest, short))
    return sorted(found, key=lambda each: each.worth, reverse=True)


def _likely(
    pairs: Mapping[str, Mapping[str, Difference]], drawn: float, margin: float, table: Table
) -> tuple[float, str]:
    """Probability of the claim that is least sure to hold, and its name."""
    from scipy.special import ndtr, ndtri

    bound = float(ndtri(table.confidence))
    worst, weakest = 1.0, OVERALL
    for other, figures in pairs.items():
        for name, each in figures.items():
            ahead = _known(each) + (drawn if name == OVERALL else margin)
            chance = float(ndtr(ahead / _error(each) - bound))
            if chance < worst:
                worst, weakest = chance, f"{name} against {other}"
    return worst, weakest


def _known(each: Difference) -> float:
    return 0.0 if each.difference is None else each.difference


def _error(each: Difference) -> float:
    """Standard error; of one that cannot be known, the whole range."""
    return 1.0 if each.se is None else max(each.se, 1e-9)
