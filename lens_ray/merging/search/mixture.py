"""The mixture design: its trials, its surfaces, and the mixture that they choose: `mix`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lens_ray.merging.search.choose import claims_of
from lens_ray.merging.search.desk import Desk
from lens_ray.merging.search.found import Predicted
from lens_ray.merging.search.lattice import lattice
from lens_ray.merging.search.pool import Ingredient, mixed
from lens_ray.merging.search.surface import Mixture, Surfaces, fit_surfaces
from lens_ray.merging.search.table import Table
from lens_ray.merging.search.trial import Trial
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.units import Floats


@dataclass
class Design:
    """What was asked of the mixtures of some ingredients.

    Attributes:
        ingredients: The survivors.
        shares: Of each trial, by its name.
        surfaces: Fitted to all of them.
        predicted: Of the mixture that was chosen, before it was asked.
    """

    ingredients: Sequence[Ingredient]
    shares: dict[str, tuple[float, ...]] = field(default_factory=dict)
    surfaces: Surfaces | None = None
    predicted: tuple[Predicted, ...] = ()

    def fitted(self, weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Scores of every trial of the design as the surfaces have them, ``overall`` included."""
        if self.surfaces is None:
            return {}
        scores = self.surfaces.scores(np.array(list(self.shares.values())))
        found = {}
        for place, name in enumerate(self.shares):
            here = {ability: float(each[place]) for ability, each in scores.items()}
            found[name] = {**here, OVERALL: sum(weights[one] * here[one] for one in here)}
        return found


def mix(desk: Desk, design: Design, single: str) -> None:
    """Ask the lattice, fit the surfaces, ask the mixtures that they choose, and fit again.

    Two are chosen: the one with the highest score, and the one with the highest gain that is to be
    confirmed, abilities included: often nearer to the final checkpoint.

    Args:
        desk: Of the search.
        design: Of the survivors; filled in, step by step, so that what a budget cuts short counts.
        single: Name of the best single checkpoint.
    """
    points = lattice(len(design.ingredients), desk.rules.lattice)
    trials = [_trial(desk, design, "lattice", tuple(map(float, row))) for row in points]
    desk.say(
        f"asking the mixture design: {len(trials)} merges of "
        + ", ".join(each.name for each in design.ingredients)
    )
    references = [desk.single(name) for name in dict.fromkeys((single, desk.final.name))]
    table = desk.ask([*references, *trials], "search", "lattice")
    _fit(desk, design, table)
    for name, found in _wanted(desk, design, table, single).items():
        trial = _trial(desk, design, name, found.shares)
        trials.append(trial)
        table = desk.ask([*references, *trials], "search", "surface")
        design.predicted = _compared(found, table.values[trial.name])
        measured = table.values[trial.name][OVERALL]
        desk.say(f"{trial.name}: {found.scores[OVERALL].value:.4f} predicted, {measured:.4f} asked")
    _fit(desk, design, table)


def _wanted(desk: Desk, design: Design, table: Table, single: str) -> dict[str, Mixture]:
    """The mixtures to ask, the one that counts last."""
    assert design.surfaces is not None
    merges = [name for name in design.shares if not desk.notes[name].trial.single]
    claims = claims_of(
        table, merges, (single, desk.final.name),
        margin=desk.rules.margin, confirm_units=desk.confirm_samples,
    )  # fmt: skip
    now = table.values[single][OVERALL]

    def worth(scores: Mapping[str, Floats]) -> Floats:
        gain = scores[OVERALL] - now
        return np.where(gain > 0, gain * claims.likely(scores), gain)

    needed = desk.needs.min_score if desk.needs else {}
    free = design.surfaces.best(desk.weights, needed)
    sure = design.surfaces.highest(desk.weights, worth, needed)
    return {"sure": sure} if sure.shares == free.shares else {"free": free, "sure": sure}


def _trial(desk: Desk, design: Design, kind: str, shares: tuple[float, ...]) -> Trial:
    told = "-".join(f"{100 * share:.0f}" for share in shares)
    trial = desk.average(f"{kind}.{told}", mixed(design.ingredients, shares))
    design.shares.setdefault(trial.name, shares)
    return trial


def _fit(desk: Desk, design: Design, table: Table) -> None:
    names = [name for name in design.shares if name in table.marks.models]
    design.surfaces = fit_surfaces(
        table.marks.only(names), table.figures,
        np.array([design.shares[name] for name in names]), design.ingredients,
        confidence=desk.rules.confidence, seed_key=f"surfaces {desk.rules.seed}",
    )  # fmt: skip


def _compared(found: Mixture, measured: Mapping[str, float]) -> tuple[Predicted, ...]:
    return tuple(Predicted(name, each, measured.get(name)) for name, each in found.scores.items())
