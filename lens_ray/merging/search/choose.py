"""Which trial is worth confirming: `weigh`.

Not simply the highest one, which is partly the luckiest. Each trial's gain over the best single
checkpoint is drawn to what its like have: a mixture's is read from the fitted surfaces, any other's
is shrunk towards the mean of all by the share of noise in it (empirical Bayes). It then counts as
much as it is probable that the samples which confirm will bear out the claim that is least sure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lens_ray.merging.search.table import Table
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.contrast import Difference
from lens_ray.stats.units import Floats


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
    fitted: Mapping[str, Mapping[str, float]] | None = None,
    min_score: Mapping[str, float] | None = None,
    confirm_units: int | None = None,
) -> list[Weighed]:
    """Weigh some trials, the most promising first.

    Args:
        table: Of the trials and both checkpoints, on the samples of the search.
        candidates: Names of the merges.
        single: Name of the best single checkpoint.
        final: Name of the one that would be shipped without a merge.
        margin: How much of an ability may be lost.
        fitted: Scores of mixtures as the surfaces have them, by name, by ability and ``overall``.
        min_score: Corrected scores that are needed, by ability.
        confirm_units: On how many samples the merge will be confirmed; None takes as many as in
            the search.
    """
    if not candidates:
        return []
    others = dict.fromkeys((single, final))
    pairs = {name: {each: table.differences(name, each) for each in others} for name in candidates}
    asked = {
        name: {
            other: found if other == final else {OVERALL: found[OVERALL]}
            for other, found in each.items()
        }
        for name, each in pairs.items()
    }
    shrunk = _shrunk([pairs[name][single][OVERALL] for name in candidates])
    # Standard errors there, as a share of those here.
    finer = (len(table.marks.ids) / (confirm_units or len(table.marks.ids))) ** 0.5
    found = []
    for name, gain in zip(candidates, shrunk, strict=True):
        measured = table.values[name]
        drawn = {**measured, OVERALL: table.values[single][OVERALL] + gain}
        drawn = dict(fitted[name]) if fitted and name in fitted else drawn
        moved = {figure: drawn[figure] - measured[figure] for figure in drawn}
        likely, weakest = _likely(asked[name], moved, margin, table.confidence, finer)
        short = tuple(
            ability for ability, least in (min_score or {}).items() if drawn[ability] < least
        )
        found.append(
            Weighed(
                name, _known(pairs[name][single][OVERALL]),
                drawn[OVERALL] - table.values[single][OVERALL], likely, weakest, short,
            )
        )  # fmt: skip
    return sorted(found, key=lambda each: each.worth, reverse=True)


def _shrunk(gains: Sequence[Difference]) -> list[float]:
    """Gains drawn to their mean by the share of noise in each."""
    measured = np.array([_known(each) for each in gains])
    noise = np.array([_error(each) for each in gains]) ** 2
    between = max(float(measured.var()) - float(noise.mean()), 0.0)
    drawn = measured.mean() + (measured - measured.mean()) * between / (between + noise)
    return [float(each) for each in drawn]


@dataclass(frozen=True, slots=True)
class Claims:
    """What must hold of a merge, with the errors that merges like it have.

    Attributes:
        figures: Abilities, then ``overall``.
        least: References x figures: what the merge must be above.
        error: References x figures: standard error of the paired difference.
        confidence: Of the bounds.
        finer: Standard errors on the samples that confirm, as a share of those here.
    """

    figures: tuple[str, ...]
    least: Floats
    error: Floats
    confidence: float
    finer: float

    def likely(self, scores: Mapping[str, Floats]) -> Floats:
        """Probability of the least sure claim, of some mixtures with these scores."""
        from scipy.special import ndtr, ndtri

        values = np.column_stack([scores[name] for name in self.figures])
        room = (values[:, None, :] - self.least) / self.error
        room = room.min(axis=(1, 2)) - float(ndtri(self.confidence)) * self.finer
        found: Floats = ndtr(room / (1 + self.finer**2) ** 0.5)
        return found


def claims_of(
    table: Table,
    merges: Sequence[str],
    references: Sequence[str],
    *,
    margin: float,
    confirm_units: int | None = None,
) -> Claims:
    """What must hold against some checkpoints, with the median errors of some merges.

    Args:
        table: Of all of them.
        merges: Names of trials.
        references: Names of the best single and, last, of the final checkpoint.
        margin: How much of an ability may be lost.
        confirm_units: See `weigh`.
    """
    figures = table.figures.names
    least, error = [], []
    for other in dict.fromkeys(references):
        found = [table.differences(name, other) for name in merges if name != other]
        error.append([float(np.median([_error(each[name]) for each in found])) for name in figures])
        least.append([_least(table, name, other, references[-1], margin) for name in figures])
    finer = (len(table.marks.ids) / (confirm_units or len(table.marks.ids))) ** 0.5
    return Claims(figures, np.array(least), np.array(error), table.confidence, finer)


def _least(table: Table, figure: str, other: str, final: str, margin: float) -> float:
    """Abilities are compared with the final checkpoint alone: it is what would be shipped."""
    if figure == OVERALL:
        return table.values[other][figure]
    return table.values[other][figure] - margin if other == final else float("-inf")


def _likely(
    pairs: Mapping[str, Mapping[str, Difference]],
    moved: Mapping[str, float],
    margin: float,
    confidence: float,
    finer: float,
) -> tuple[float, str]:
    """Probability of the claim that is least sure to be borne out, and its name.

    A claim is that the lower bound on other samples is above its least; what is known of the truth
    is the estimate here with its error.
    """
    from scipy.special import ndtr, ndtri

    bound = float(ndtri(confidence)) * finer
    worst, weakest = 1.0, OVERALL
    for other, figures in pairs.items():
        for name, each in figures.items():
            ahead = _known(each) + moved[name] + (0.0 if name == OVERALL else margin)
            room = ahead / _error(each) - bound
            chance = float(ndtr(room / (1 + finer**2) ** 0.5))
            if chance < worst:
                worst, weakest = chance, f"{name} against {other}"
    return worst, weakest


def _known(each: Difference) -> float:
    return 0.0 if each.difference is None else each.difference


def _error(each: Difference) -> float:
    """Standard error; of one that cannot be known, the whole range."""
    return 1.0 if each.se is None else max(each.se, 1e-9)
