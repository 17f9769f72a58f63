"""What is compared: `Figures`, linear combinations of the strata's mean scores.

A corrected score is (mean - BL) / (UB - BL) in each stratum and a weighted sum over strata, with
BL and UB the means of the stratum's units. Given those, it is linear in the strata's means: a
slope for each stratum and one shift. So one set of replicates of the means serves every figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lens_ray.errors import UserError
from lens_ray.stats.abilities import OVERALL, in_order, in_overall
from lens_ray.stats.marks import FACETS, Marks
from lens_ray.stats.units import Floats


@dataclass(frozen=True)
class Figures:
    """Named figures over the strata of some marks.

    Attributes:
        names: Of the figures.
        slope: Figures x strata; 0 where a stratum does not count.
        shift: What is subtracted from each figure.
        reasons: Why a figure cannot be known, by name; its slope is then 0.
    """

    names: tuple[str, ...]
    slope: Floats
    shift: Floats
    reasons: Mapping[str, str]

    def only(self, names: Sequence[str]) -> Figures:
        """Some of them, in the order given."""
        places = [self.names.index(name) for name in names]
        reasons = {name: self.reasons[name] for name in names if name in self.reasons}
        return Figures(tuple(names), self.slope[places], self.shift[places], reasons)

    def values(self, means: Floats) -> Floats:
        """The figures of models.

        Args:
            means: Models x strata; NaN where a model has no unit.

        Returns:
            Models x figures; NaN where a counted stratum has no unit, or for one with a reason.
        """
        known = np.where(np.isnan(means), 0.0, means)
        found: Floats = known @ self.slope.T - self.shift
        lacking = np.isnan(means).astype(float) @ (self.slope != 0).T > 0
        found[lacking] = np.nan
        for name in self.reasons:
            found[:, self.names.index(name)] = np.nan
        return found


def bounds_of(marks: Marks) -> tuple[Floats, Floats]:
    """Mean chance and mean upper bound of each stratum."""
    size = np.bincount(marks.stratum, minlength=len(marks.strata))
    chance, upper = (
        np.bincount(marks.stratum, weights=values, minlength=len(marks.strata)) / size
        for values in (marks.chance, marks.upper)
    )
    return chance, upper


def ability_figures(marks: Marks, *, uniform: bool = False) -> Figures:
    """The corrected score of each ability, then the overall one, as `scores` has them.

    Args:
        marks: The marks.
        uniform: Equal weights of an ability's subtasks, in the place of the suite's.
    """
    abilities = in_order({ability for ability, _ in marks.strata})
    shares = {name: _shares(marks, name, uniform) for name in abilities}
    reasons = {name: found for name, found in shares.items() if isinstance(found, str)}
    weights = np.zeros((len(abilities) + 1, len(marks.strata)))
    for place, name in enumerate(abilities):
        if not isinstance(found := shares[name], str):
            weights[place] = found
    counted = [abilities.index(name) for name in in_order(in_overall(abilities))]
    weights[-1] = weights[counted].sum(axis=0) / len(counted)
    lacking = [abilities[place] for place in counted if abilities[place] in reasons]
    if lacking:
        reasons[OVERALL] = f"no score for {', '.join(lacking)}"
        weights[-1] = 0.0
    return _linear(marks, (*abilities, OVERALL), weights, reasons)


def facet_figures(marks: Marks, facet: str) -> tuple[Marks, Figures]:
    """The corrected score on each value of a facet, whatever the ability.

    Within a value each (ability, subtask) is corrected by its own bounds and counts by its units.

    Returns:
        The marks with strata refined by the facet, and the figures over these.

    Raises:
        UserError: There is no such facet.
    """
    if facet == "ability":
        return marks, ability_figures(marks)
    if facet not in marks.facets:
        known = [name for name in (*FACETS, *marks.facets) if name in marks.facets]
        raise UserError(f"no facet {facet!r}; there are: {', '.join(dict.fromkeys(known))}")
    found = marks.facets[facet]
    pairs, stratum = np.unique(
        np.stack([found.code, marks.stratum], axis=1), axis=0, return_inverse=True
    )
    fine = replace(
        marks,
        strata=tuple(marks.strata[place] for place in pairs[:, 1].tolist()),
        stratum=stratum.reshape(-1).astype(np.int64),
    )
    names = [found.labels[code] for code in sorted(set(pairs[:, 0].tolist()))]
    size = np.bincount(fine.stratum, minlength=len(pairs)).astype(np.float64)
    weights = np.zeros((len(names), len(pairs)))
    for place, code in enumerate(sorted(set(pairs[:, 0].tolist()))):
        mine = pairs[:, 0] == code
        weights[place, mine] = size[mine] / size[mine].sum()
    return fine, _linear(fine, names, weights, {})


def _shares(marks: Marks, ability: str, uniform: bool) -> Floats | str:
    """Weight of each stratum within an ability, or why it has none."""
    places = {
        subtask: place for place, (name, subtask) in enumerate(marks.strata) if name == ability
    }
    given = marks.weights.get(ability) or _by_units(marks, places)
    chosen = {subtask: weight for subtask, weight in given.items() if weight > 0}
    # Only subtasks that were asked: what all models lack is no part of the comparison.
    here = {subtask: weight for subtask, weight in chosen.items() if subtask in places}
    total = math.fsum(here.values())
    if not total > 0:
        return f"no weight is given for a subtask of {ability}"
    row = np.zeros(len(marks.strata))
    for subtask, weight in here.items():
        row[places[subtask]] = 1 / len(here) if uniform else weight / total
    return row


def _by_units(marks: Marks, places: Mapping[str, int]) -> dict[str, float]:
    size = np.bincount(marks.stratum, minlength=len(marks.strata))
    return {subtask: float(size[place]) for subtask, place in places.items()}


def _linear(
    marks: Marks, names: Sequence[str], weights: Floats, reasons: Mapping[str, str]
) -> Figures:
    """Corrected scores, from weights over strata; a stratum without range spoils its figures."""
    chance, upper = bounds_of(marks)
    span = upper - chance
    why = dict(reasons)
    flat = ~(span > 0)
    for place, name in enumerate(names):
        spoilt = np.flatnonzero(flat & (weights[place] > 0))
        if len(spoilt):
            stratum = "/".join(marks.strata[int(spoilt[0])])
            why.setdefault(
                name, f"{stratum} has chance {chance[spoilt[0]]:g} and upper {upper[spoilt[0]]:g}"
            )
            weights = weights.copy()
            weights[place] = 0.0
    slope = weights / np.where(flat, 1.0, span)
    return Figures(tuple(names), slope, slope @ chance, why)
