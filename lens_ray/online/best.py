"""Which checkpoint is best at what: `best_checkpoints`.

The best is the one with the highest score on the units that all answered: of checkpoints that exist
already, that has the highest expected truth. Beside it stands the earliest that is not worse by
more than the margin (the lower bound of its paired difference says so): training on from there
gained nothing that counts. To take that one in the place of the best lost 0.6 points in simulated
runs with an early plateau, the best itself 0.03 (``jobs/benchmarks/bench_online_advice.py``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lens_ray.online.findings import Findings, Interval
from lens_ray.online.series import Series
from lens_ray.stats.abilities import OVERALL, in_overall
from lens_ray.stats.advice.best import weighted
from lens_ray.stats.advice.needs import Needs
from lens_ray.stats.cells import means_of
from lens_ray.stats.clustered import clustered
from lens_ray.stats.contrast import contrast
from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.intervals import interval
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats, Ints


@dataclass(frozen=True, slots=True)
class Best:
    """The best checkpoint at one ability, or overall.

    Attributes:
        figure: The ability, or ``overall``.
        step: Of the checkpoint with the highest score, the earliest of equals; None with a reason.
        value: Its corrected score, on the units that all checkpoints answered.
        interval: Two-sided, of the value by itself.
        earliest: Step of the earliest that is not worse by more than the margin; at most ``step``.
        behind: Score at ``earliest`` minus ``value``; at most 0.
        behind_low: Lower bound of that, paired and one-sided; 0 where ``earliest`` is ``step``.
        n: Units that all answered.
        confidence: Of the bounds.
        reason: Why there is none.
    """

    figure: str
    step: int | None
    value: float | None = None
    interval: Interval | None = None
    earliest: int | None = None
    behind: float | None = None
    behind_low: float | None = None
    n: int = 0
    confidence: float = 0.95
    reason: str | None = None


def best_checkpoints(
    series: Series,
    *,
    margin: float,
    confidence: float = 0.95,
    weights: Mapping[str, float] | None = None,
    among: Collection[int] | None = None,
) -> dict[str, Best]:
    """The best checkpoint at each ability and overall.

    Args:
        series: The run.
        margin: How much worse counts as no worse, in corrected score.
        confidence: Of the bounds.
        weights: Of the abilities in ``overall``; None takes the usual ones.
        among: Only checkpoints at these steps; None takes all.

    Returns:
        By ability, then ``overall``.
    """
    names = (*series.abilities, OVERALL)
    places = [
        place for place, step in enumerate(series.steps.tolist()) if among is None or step in among
    ]
    if not places:
        return {name: Best(name, None, reason="no checkpoint was asked") for name in names}
    marks = series.marks.only([series.marks.models[place] for place in places]).common()
    steps = [int(series.steps[place]) for place in places]
    if not marks.ids:
        why = "no question was answered by all checkpoints"
        return {name: Best(name, None, reason=why) for name in names}
    figures = ability_figures(marks)
    found = {}
    for name in names:
        if name not in figures.names:
            why = f"no question of {name} was answered by all checkpoints"
            found[name] = Best(name, None, reason=why)
            continue
        one = figures.only([name])
        if name == OVERALL and weights is not None:
            one = weighted(figures, _known(weights, figures), OVERALL)
        found[name] = _best(marks, one, steps, margin, confidence)
    return found


def weights_of(series: Series, needs: Needs | None) -> dict[str, float]:
    """What each ability counts: as the needs say, else those of ``overall`` alike.

    Raises:
        UserError: Needs of an ability that was not asked.
    """
    counted = [name for name in series.abilities if name in in_overall(series.abilities)]
    return (needs or Needs()).weights_of(series.abilities, counted)


def before_falls(findings: Findings, steps: Sequence[int]) -> list[tuple[int, str]]:
    """The last checkpoint of the window before each decline and conflict, and what fell then.

    Args:
        findings: Of the run.
        steps: Of the checkpoints to choose from, ascending.
    """
    falls = {(each.early[1], each.ability) for each in findings.declines}
    falls |= {(each.early[1], each.falls) for each in findings.conflicts}
    found = []
    for end, ability in sorted(falls):
        before = [step for step in steps if step <= end]
        if before:
            found.append((before[-1], ability))
    return list(dict.fromkeys(found))


def _known(weights: Mapping[str, float], figures: Figures) -> Mapping[str, float]:
    """Weights of the abilities that have a figure."""
    return {name: weight for name, weight in weights.items() if name in figures.names}


def _best(
    marks: Marks, figure: Figures, steps: list[int], margin: float, confidence: float
) -> Best:
    """The highest one, and the earliest that is not worse."""
    name = figure.names[0]
    mine = np.flatnonzero(figure.slope[0])
    if name in figure.reasons or not len(mine):
        return Best(name, None, reason=figure.reasons.get(name, "no ability has a weight"))
    marks, figure = _only_strata(marks, figure, mine)
    values = figure.values(means_of(marks))[:, 0]
    if np.isnan(values).all():
        return Best(name, None, reason=f"no checkpoint has a score of {name}")
    top = int(np.nanargmax(values))
    early, low = top, 0.0
    for place, bound in _bounds(marks, figure, values, top, margin, confidence):
        if bound > -margin:
            early, low = place, bound
            break
    return Best(
        figure=name,
        step=steps[top],
        value=float(values[top]),
        interval=_interval(marks, top, figure, confidence),
        earliest=steps[early],
        behind=float(values[early] - values[top]),
        behind_low=low,
        n=len(marks.ids),
        confidence=confidence,
    )


def _bounds(
    marks: Marks, figure: Figures, values: Floats, top: int, margin: float, confidence: float
) -> Iterator[tuple[int, float]]:
    """Checkpoints before the highest that may be no worse, with the bound of their difference."""
    for place in range(top):
        if not values[place] > values[top] - margin:
            continue
        labels = marks.models[place], marks.models[top]
        pair = contrast(marks, *labels, figure, confidence=2 * confidence - 1)[0]
        if pair.ci_low is not None:
            yield place, pair.ci_low


def _only_strata(marks: Marks, figure: Figures, strata: Ints) -> tuple[Marks, Figures]:
    """The units that a figure rests on: comparing two checkpoints need not read the others."""
    kept = marks.where(np.isin(marks.stratum, strata))
    return kept, replace(figure, slope=figure.slope[:, strata])


def _interval(marks: Marks, place: int, figure: Figures, confidence: float) -> Interval | None:
    """Of one checkpoint's figure."""
    sums = clustered(marks.score[place], marks.stratum, marks.cluster, len(marks.strata))
    low, high = interval(sums, figure.slope[0], confidence)
    shift = float(figure.shift[0])
    if np.isnan(low) or np.isnan(high):
        return None
    return float(low) - shift, float(high) - shift
