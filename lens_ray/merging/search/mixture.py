"""The mixture design: its trials, its surfaces, and the mixture that they choose: `mix`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lens_ray.merging.search.desk import Desk
from lens_ray.merging.search.found import Predicted
from lens_ray.merging.search.lattice import lattice
from lens_ray.merging.search.pool import Ingredient, mixed
from lens_ray.merging.search.surface import Mixture, Surfaces, fit_surfaces
from lens_ray.merging.search.table import Table
from lens_ray.merging.search.trial import Trial
from lens_ray.stats.abilities import OVERALL


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

    def fitted(self, weights: Mapping[str, float]) -> dict[str, float]:
        """``overall`` of every trial of the design, as the surfaces have it."""
        if self.surfaces is None:
            return {}
        scores = self.surfaces.scores(np.array(list(self.shares.values())))
        total = sum((weights[name] * each for name, each in scores.items()), np.zeros(1))
        return dict(zip(self.shares, total.tolist(), strict=True))


def mix(desk: Desk, design: Design, single: str, floors: Sequence[Mapping[str, float]]) -> None:
    """Ask the lattice, fit the surfaces, ask the mixtures that they choose, and fit again.

    Args:
        desk: Of the search.
        design: Of the survivors; filled in, step by step, so that what a budget cuts short counts.
        single: Name of the best single checkpoint.
        floors: Least scores of the abilities, the strictest first. The first that some mixture is
            predicted to reach counts; beside its best mixture the best of all is asked.
    """
    points = lattice(len(design.ingredients), desk.rules.lattice)
    trials = [_trial(desk, design, "lattice", tuple(map(float, row))) for row in points]
    desk.say(
        f"asking the mixture design: {len(trials)} merges of "
        + ", ".join(each.name for each in design.ingredients)
    )
    table = desk.ask([desk.single(single), *trials], "search", "lattice")
    _fit(desk, design, table)
    assert design.surfaces is not None
    for name, found in _wanted(design.surfaces, desk.weights, floors).items():
        trial = _trial(desk, design, name, found.shares)
        table = desk.ask([desk.single(single), *trials, trial], "search", "surface")
        trials.append(trial)
        design.predicted = _compared(found, table.values[trial.name])
        desk.say(
            f"{trial.name}: {found.scores[OVERALL].value:.4f} predicted, "
            f"{table.values[trial.name][OVERALL]:.4f} measured"
        )
    _fit(desk, design, table)


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


def _wanted(
    surfaces: Surfaces, weights: Mapping[str, float], floors: Sequence[Mapping[str, float]]
) -> dict[str, Mixture]:
    """The mixtures to ask, the one that counts last."""
    free = surfaces.best(weights)
    for least in floors:
        bound = surfaces.best(weights, least)
        if not bound.short:
            return {"free": free, "best": bound} if bound.shares != free.shares else {"best": free}
    return {"best": free}


def _compared(found: Mixture, measured: Mapping[str, float]) -> tuple[Predicted, ...]:
    return tuple(Predicted(name, each, measured.get(name)) for name, each in found.scores.items())
