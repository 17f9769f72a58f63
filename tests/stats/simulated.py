"""Simulated fields of models whose expected marks are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from lens_ray.stats.marks import Facet, Marks
from lens_ray.stats.units import Floats
from lens_ray.suites.sample import ABILITIES

FORMATS = ("multiple_choice", "open", "true_false")
_CHANCE = (0.25, 0.0, 0.5)


def ground(models: Sequence[str], per: int, cluster: int = 2) -> Marks:
    """Six abilities with a subtask of each format; no marks yet.

    Args:
        models: Their labels.
        per: Units of a subtask.
        cluster: Units of a cluster, neighbours of one subtask.
    """
    abilities = tuple(ABILITIES)
    strata = tuple((ability, f"{ability}_{form}") for ability in abilities for form in FORMATS)
    stratum = np.repeat(np.arange(len(strata)), per)
    form = stratum % len(FORMATS)
    size = len(stratum)
    return Marks(
        models=tuple(models),
        runs=(),
        suite="simulated",
        suite_digest="",
        ids=tuple(f"s{number:05d}" for number in range(size)),
        strata=strata,
        stratum=stratum,
        cluster=np.arange(size) // cluster,
        clusters=size // cluster,
        chance=np.array(_CHANCE)[form],
        upper=np.ones(size),
        score=np.zeros((len(models), size)),
        weights={},
        facets={
            "ability": Facet(abilities, stratum // len(FORMATS)),
            "format": Facet(FORMATS, form),
            "subtask": Facet(tuple(subtask for _, subtask in strata), stratum),
            "metric": Facet(("exact", "relaxed"), stratum % 2),
        },
    )


def draw(rng: np.random.Generator, marks: Marks, expected: Floats) -> Marks:
    """Right or wrong answers with the given expectations.

    A model's answer is right where a normal variable is below a threshold: 0.4 of its variance
    is the item's, the same for all models, 0.2 the cluster's, the rest the model's own.

    Args:
        rng: Of the draw.
        marks: The ground.
        expected: Models x units.
    """
    own = np.sqrt(0.4) * rng.standard_normal(expected.shape)
    shared = np.sqrt(0.4) * rng.standard_normal(expected.shape[1])
    shared += np.sqrt(0.2) * rng.standard_normal(marks.clusters)[marks.cluster]
    return replace(marks, score=(own + shared < ndtri(expected)).astype(float))
