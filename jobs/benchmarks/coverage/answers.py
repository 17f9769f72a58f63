"""Simulated units whose truth is known: `Plan` and what is drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats, Ints, Units


@dataclass(frozen=True)
class Plan:
    """One subtask.

    Attributes:
        clusters: How many clusters of units.
        most: Each has 1 to so many units, all equally likely.
        alike: Correlation of the units of a cluster.
        chance: Chance level of its units.
    """

    clusters: int
    most: int = 1
    alike: float = 0.0
    chance: float = 0.0


def sizes_of(rng: np.random.Generator, plan: Plan) -> Ints:
    """Units of each cluster."""
    return rng.integers(1, plan.most + 1, plan.clusters)


def kinds_of(
    rng: np.random.Generator, plan: Plan, shares: Sequence[float], sizes: Ints
) -> tuple[Ints, Ints]:
    """The kind of each unit, drawn with given shares, and its cluster.

    Each cluster has shares of its own from a Dirichlet distribution around the given ones, so
    that indicators of a kind correlate by ``plan.alike`` within a cluster.
    """
    cluster = np.repeat(np.arange(plan.clusters), sizes)
    own = np.broadcast_to(np.asarray(shares, dtype=float), (plan.clusters, len(shares)))
    if plan.alike:
        weight = (1 - plan.alike) / plan.alike
        drawn = rng.gamma(np.maximum(own * weight, 1e-12)) + 1e-300
        own = drawn / drawn.sum(axis=1, keepdims=True)
    below = own.cumsum(axis=1)[cluster, :-1]
    return (rng.random(len(cluster))[:, None] >= below).sum(axis=1), cluster


def units_of(strata: Sequence[tuple[Floats, Ints]], plans: Sequence[Plan]) -> Units:
    """Units of one ability from the scores and clusters of its subtasks; none is shared."""
    sizes = [len(score) for score, _ in strata]
    starts = np.cumsum([0, *(plan.clusters for plan in plans)])
    total = sum(sizes)
    return Units(
        strata=tuple(("ocr", f"t{place:02d}") for place in range(len(plans))),
        stratum=np.repeat(np.arange(len(plans)), sizes),
        score=np.concatenate([score for score, _ in strata]),
        chance=np.repeat([plan.chance for plan in plans], sizes),
        upper=np.ones(total),
        cluster=np.concatenate(
            [cluster + start for (_, cluster), start in zip(strata, starts, strict=False)]
        ),
        clusters=int(starts[-1]),
        covered=np.array(sizes),
        first=np.arange(total),
    )


def marks_of(units: Units, models: dict[str, Floats], weights: dict[str, float]) -> Marks:
    """The marks of several models on the same units."""
    return Marks(
        models=tuple(models), runs=(), suite="sim", suite_digest="sim",
        ids=tuple(map(str, range(len(units.score)))), strata=units.strata, stratum=units.stratum,
        cluster=units.cluster, clusters=units.clusters, chance=units.chance, upper=units.upper,
        score=np.stack(list(models.values())), weights={"ocr": weights}, facets={},
    )  # fmt: skip
