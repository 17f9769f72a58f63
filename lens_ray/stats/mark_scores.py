"""Scores on the samples that models have in common: `scores_of_marks`, `units_of`."""

from __future__ import annotations

import numpy as np

from lens_ray.stats.cells import means_of
from lens_ray.stats.figures import Figures
from lens_ray.stats.marks import Marks
from lens_ray.stats.scores import AbilityScore
from lens_ray.stats.strata import Strata
from lens_ray.stats.units import Floats, Units

#: Pools are of whole suites.
_NO_STABILITY = "dvs, res and tau are of all samples that a model was asked, not of these"


def scores_of_marks(marks: Marks, figures: Figures) -> dict[str, dict[str, AbilityScore]]:
    """Corrected scores with their intervals, as `ability_scores` makes them, of these units only.

    Args:
        marks: Marks that every model has (`lens_ray.stats.marks.Marks.common`).
        figures: Abilities, and ``overall``.

    Returns:
        By model and figure; ``n`` counts units, and stability is unknown.
    """
    values = figures.values(means_of(marks))
    found: dict[str, dict[str, AbilityScore]] = {}
    for row, model in enumerate(marks.models):
        strata = Strata(units_of(marks, marks.score[row]))
        found[model] = {
            name: _score(strata, figures, place, float(values[row, place]))
            for place, name in enumerate(figures.names)
        }
    return found


def _score(strata: Strata, figures: Figures, place: int, corrected: float) -> AbilityScore:
    name, slope = figures.names[place], figures.slope[place]
    counted = np.flatnonzero(slope).tolist()
    n = sum(strata.covered(stratum) for stratum in counted)
    if reason := figures.reasons.get(name):
        return AbilityScore(name, n, 1.0, *(None,) * 7, reason)
    weights = {stratum: float(slope[stratum] * strata.range[stratum]) for stratum in counted}
    accuracy = sum(weight * float(strata.accuracy[each]) for each, weight in weights.items())
    low, high = strata.interval(weights, corrected)
    return AbilityScore(
        name, n, 1.0, accuracy, corrected, low, high, None, None, None, _NO_STABILITY
    )


def units_of(marks: Marks, score: Floats) -> Units:
    """Scores on the units of some marks, as `lens_ray.stats.units.marked_units` has them."""
    return Units(
        strata=marks.strata,
        stratum=marks.stratum,
        score=score,
        chance=marks.chance,
        upper=marks.upper,
        cluster=marks.cluster,
        clusters=marks.clusters,
        covered=np.bincount(marks.stratum, minlength=len(marks.strata)),
        first=np.arange(len(marks.stratum)),
    )
