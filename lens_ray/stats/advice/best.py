"""Which model is best, and how sure that is: `judge`.

The score of a model is a weighted sum of its abilities' corrected scores. Two questions are
answered apart:

* how probable it is that a model is the best one: the share of joint bootstrap replicates in which
  it meets every needed score and has the highest score of those that do;
* which models cannot be excluded from being the best one: a confidence set, which holds the true
  best with the level (multiple comparison with the best, Hsu 1984, by the joint bootstrap of the
  greatest studentized distance; the set of a model that is truly the best errs only where it is
  itself rejected, so there is nothing to adjust for the number of models).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lens_ray.stats.figures import Figures
from lens_ray.stats.joint import JointDraws
from lens_ray.stats.units import Bools, Floats, Ints

#: Scores nearer than this are equal; replicates are float32.
SAME = 1e-6
#: Of the level's error, the part that needed scores get where there are some.
_FOR_NEEDS = 0.5
#: A variance of differences below this is rounding.
_TINY = 1e-12


def weighted(figures: Figures, weights: Mapping[str, float], name: str = "score") -> Figures:
    """One figure: a weighted sum of others.

    Args:
        figures: Among them those that have a weight.
        weights: By name; 0 leaves one out.
        name: Of the sum.
    """
    counted = {key: weight for key, weight in weights.items() if weight > 0}
    places = [figures.names.index(key) for key in counted]
    share = np.array(list(counted.values()))
    lacking = [figures.reasons[key] for key in counted if key in figures.reasons]
    return Figures(
        (name,),
        (share @ figures.slope[places])[None],
        np.array([float(share @ figures.shift[places])]),
        {name: lacking[0]} if lacking else {},
    )


@dataclass(frozen=True)
class Sampled:
    """One figure of several models, with what is known of its error.

    Attributes:
        value: By model; NaN where it is unknown.
        deviations: Replicates x models.
        floor: Variance of two clusters' worth of disagreement: what a difference between models
            that hardly differ has at least (Bonett and Price 2012 add as much).
        df: Degrees of freedom; 0 where nothing is known of the error.
    """

    value: Floats
    deviations: Floats
    floor: float
    df: float

    def se(self, place: int) -> float:
        """Standard error of one model's figure."""
        return float((self.deviations[:, place].var() + self.floor) ** 0.5)

    def above(self, place: int, least: float) -> float:
        """Probability that a model's true figure is at least so high."""
        from scipy.special import stdtr

        if self.df < 1:
            return 0.5
        return float(stdtr(self.df, (self.value[place] - least) / self.se(place)))


def sampled(draws: JointDraws, figures: Figures, name: str) -> Sampled:
    """One figure of all models.

    Args:
        draws: The joint replicates.
        figures: Among them the one.
        name: Its name.
    """
    one = figures.only([name])
    value = draws.values(one)[:, 0]
    slope = one.slope[0]
    return Sampled(
        value=value,
        deviations=(draws.deviations @ slope.astype(np.float32)).astype(np.float64),
        floor=_floor(slope, draws.clusters),
        df=_freedom(slope, draws.clusters),
    )


def _freedom(slope: Floats, clusters: Ints) -> float:
    """Satterthwaite's, for strata whose clusters vary alike; 0 where one has a single cluster."""
    counted = slope != 0
    if not counted.any() or (clusters[counted] < 2).any():
        return 0.0
    part = slope[counted] ** 2 / clusters[counted]
    return float(part.sum() ** 2 / (part**2 / (clusters[counted] - 1)).sum())


def _floor(slope: Floats, clusters: Ints) -> float:
    """Two clusters that differ by 1, in a stratum of the middle kind."""
    counted = (slope != 0) & (clusters > 0)
    return 2 * float(((slope[counted] / clusters[counted]) ** 2).mean()) if counted.any() else 0.0


@dataclass(frozen=True)
class Judged:
    """What is known of each model's place, models in the order of the draws.

    Attributes:
        score: The score; NaN where it is unknown.
        best: Probability of being the best model that meets the needs; NaN, and nothing excluded,
            where a subtask that counts has a single cluster.
        none: Probability that no model meets the needed scores.
        possible: Whether the model cannot be excluded from being the best.
        limits: Standard errors by which a rival must be ahead of each model to exclude it; NaN
            where it has none.
        regret: Expected loss of score against the best, where this model is chosen.
        missed_of: By needed ability: whether a model misses the score, beyond the level's error.
        meets: By needed ability: probability that each model reaches the score.
    """

    score: Floats
    best: Floats
    none: float
    possible: Bools
    limits: Floats
    regret: Floats
    missed_of: Mapping[str, Bools]
    meets: Mapping[str, Floats]


def judge(
    draws: JointDraws,
    figures: Figures,
    weights: Mapping[str, float],
    *,
    min_score: Mapping[str, float] | None = None,
    eligible: Sequence[bool] | None = None,
    level: float = 0.95,
) -> Judged:
    """Judge all models.

    Args:
        draws: Their joint replicates.
        figures: The abilities' corrected scores.
        weights: Of the abilities.
        min_score: Scores that abilities must reach.
        eligible: Models that no other need excludes; None takes all.
        level: Of the confidence set.
    """
    needed = dict(min_score or {})
    error = 1 - level
    part = error * (1 - _FOR_NEEDS) if needed else error
    total = sampled(draws, weighted(figures, weights), "score")
    count = len(draws.models)
    may = np.ones(count, dtype=bool) if eligible is None else np.array(eligible, dtype=bool)
    may &= ~np.isnan(total.value)
    meets, missed_of = {}, {}
    reached, certain = np.ones(total.deviations.shape, dtype=bool), np.ones(count, dtype=bool)
    each = error * _FOR_NEEDS / 2 / max(len(needed), 1)
    for ability, least in needed.items():
        one = sampled(draws, figures, ability)
        meets[ability] = np.array([one.above(place, least) for place in range(count)])
        reached &= one.value + one.deviations >= least
        missed_of[ability] = meets[ability] < each
        # Wrongly vouching for any one of the rivals is the error here, so it is shared by them.
        certain &= meets[ability] > 1 - each / max(count - 1, 1)
        may &= ~np.isnan(one.value)
    missed = np.any([np.zeros(count, dtype=bool), *missed_of.values()], axis=0)
    limits = _limits(total, may & ~missed, may & certain, part)
    possible = _possible(total, may & ~missed, may & certain, limits)
    best, none, regret = _best(total, may, reached)
    if total.df < 1:  # a stratum of one cluster: nothing says how sure anything is
        best, regret, possible = np.full(count, np.nan), np.full(count, np.nan), may & ~missed
    return Judged(
        score=total.value,
        best=best,
        none=none,
        possible=possible,
        limits=limits,
        regret=regret,
        missed_of=missed_of,
        meets=meets,
    )


def _best(total: Sampled, may: Bools, reached: Bools) -> tuple[Floats, float, Floats]:
    """Probability of being best, of there being none, and expected regret of each choice."""
    counted = reached & may
    drawn = np.where(may, total.value + total.deviations, -np.inf)
    drawn = np.where(counted, drawn, -np.inf)
    top = drawn.max(axis=1) if drawn.shape[1] else np.full(len(drawn), -np.inf)
    some = np.isfinite(top)
    ahead = counted & (drawn >= top[:, None] - SAME)
    share = ahead / np.maximum(ahead.sum(axis=1), 1)[:, None]
    own = total.value + total.deviations
    regret = np.full(drawn.shape[1], np.nan)
    if some.any():
        # A model that misses the needs where another meets them loses what the other is ahead.
        regret = np.maximum(top[some, None] - own[some], 0.0).mean(axis=0)
    return share.mean(axis=0), float(1 - some.mean()), regret


def _limits(total: Sampled, may: Bools, rivals: Bools, error: float) -> Floats:
    """The greatest studentized distance of any rival that chance explains, by model."""
    found = np.full(len(may), np.nan)
    for place, others in _against(may, rivals):
        apart = total.deviations[:, others] - total.deviations[:, [place]]
        variance = apart.var(axis=0)
        varied = variance > _TINY
        found[place] = _quantile(total.df, error)
        if varied.any():
            greatest = (apart[:, varied] / np.sqrt(variance[varied])).max(axis=1)
            drawn = float(np.quantile(greatest, 1 - error, method="higher"))
            found[place] = max(found[place], drawn * _stretch(total.df, error / len(others)))
    return found


def _possible(total: Sampled, may: Bools, rivals: Bools, limits: Floats) -> Bools:
    """The models that no rival is ahead of by more than their limit."""
    possible = may.copy()
    for place, others in _against(may, rivals):
        apart = total.deviations[:, others] - total.deviations[:, [place]]
        se = np.sqrt(apart.var(axis=0) + total.floor)
        ahead = (total.value[others] - total.value[place]) / se
        possible[place] = bool(ahead.max() <= limits[place])
    return possible


def _against(may: Bools, rivals: Bools) -> Iterator[tuple[int, Ints]]:
    """Each model with the rivals that it has."""
    against = np.flatnonzero(rivals)
    for place in np.flatnonzero(may).tolist():
        others = against[against != place]
        if len(others):
            yield place, others


def _quantile(df: float, error: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - error))


def _stretch(df: float, error: float) -> float:
    """Ratio of the t to the normal quantile at a one-sided error."""
    from scipy.special import ndtri

    return _quantile(df, error) / float(ndtri(1 - error))
