"""Simulated fields with a planted weakness, and cells of the looks of `diagnose`.

A cell of kind ``look`` holds where the interval of one look (open questions against the mean)
does; one of kind ``false finds`` where nothing is found that is not so; one of kind ``weakness``
where the planted weakness is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from scipy.special import ndtri

from jobs.benchmarks.coverage.cell import Cell
from lens_ray.stats.looks import Look, looks_of
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
    shared = shared + np.sqrt(0.2) * rng.standard_normal(marks.clusters)[marks.cluster]
    return replace(marks, score=(own + shared < ndtri(expected)).astype(float))


@dataclass(frozen=True)
class Field:
    """A model that may be weak on open questions, and other models.

    Attributes:
        per: Samples of each of the 18 subtasks.
        level: Corrected score of the model where it is not weak.
        planted: How much less it has on open questions.
        others: Corrected scores of the others; none holds the model against its own mean alone.
        apart: Subtasks are harder or easier by up to so much, for all models alike.
        cluster: Samples of a cluster.
    """

    per: int
    level: float
    planted: float = 0.0
    others: tuple[float, ...] = ()
    apart: float = 0.0
    cluster: int = 2

    @cached_property
    def marks(self) -> Marks:
        """The ground, without marks."""
        names = ("m", *(f"o{place}" for place in range(len(self.others))))
        return ground(names, self.per, self.cluster)

    def expected(self, rng: np.random.Generator) -> Floats:
        """Expected marks, models x units."""
        marks = self.marks
        hard = rng.uniform(-self.apart, self.apart, len(marks.strata))[marks.stratum]
        corrected = np.array([self.level, *self.others])[:, None] + hard
        opened = marks.facets["format"].code == FORMATS.index("open")
        corrected[0] -= self.planted * opened
        found: Floats = marks.chance + (1 - marks.chance) * corrected
        return found

    def looks(self, rng: np.random.Generator) -> tuple[Look, ...]:
        """What is found in one draw."""
        return self._looked(draw(rng, self.marks, self.expected(rng)))

    @cached_property
    def truth(self) -> dict[tuple[str, str], float]:
        """True difference of each look; what is hard for all alike is no part of it."""
        same = replace(self, apart=0.0)
        expected = same.expected(np.random.default_rng(0))
        looks = self._looked(replace(self.marks, score=expected))
        return {(look.facet, look.value): look.difference or 0.0 for look in looks}

    def false_finds(self, looks: Sequence[Look]) -> list[Look]:
        """What was found and is not so."""
        return [
            look
            for look in looks
            if (look.finding == "weaker" and self.truth[look.facet, look.value] > -1e-9)
            or (look.finding == "stronger" and self.truth[look.facet, look.value] < 1e-9)
        ]

    def _looked(self, marks: Marks) -> tuple[Look, ...]:
        return looks_of(marks, "m", marks.models[1:])


def on_open(looks: Sequence[Look]) -> Look:
    """The look at all open questions."""
    return next(look for look in looks if (look.facet, look.value) == ("format", "open"))


def held(field: Field, rng: np.random.Generator) -> tuple[bool, float] | None:
    """Whether the interval of the open questions holds the truth, and its width."""
    look = on_open(field.looks(rng))
    if look.ci_low is None or look.ci_high is None:
        return None
    truth = field.truth["format", "open"]
    return look.ci_low <= truth <= look.ci_high, look.ci_high - look.ci_low


def clean(field: Field, rng: np.random.Generator) -> tuple[bool, float]:
    """Whether nothing is found that is not so; the width is that of the open questions."""
    looks = field.looks(rng)
    look = on_open(looks)
    return not field.false_finds(looks), (look.ci_high or 0.0) - (look.ci_low or 0.0)


def found(field: Field, rng: np.random.Generator) -> tuple[bool, float]:
    """Whether open questions are found weaker; the width is that of their interval."""
    look = on_open(field.looks(rng))
    return look.finding == "weaker", (look.ci_high or 0.0) - (look.ci_low or 0.0)


#: Five models about as good as the one that is looked at.
_PEERS = (0.45, 0.55, 0.4, 0.6, 0.5)
OWN = Field(per=80, level=0.5, planted=0.25)
BESIDE = Field(per=80, level=0.5, planted=0.2, others=_PEERS, apart=0.2)

CELLS: tuple[Cell, ...] = (
    Cell("look", "own mean, 720 samples, clusters of 2, level 0.5", 0.93, 1.0,
         partial(held, Field(40, 0.5, 0.1))),
    Cell("look", "own mean, 2,880 samples, clusters of 8, level 0.98", 0.93, 1.0,
         partial(held, Field(160, 0.98, 0.0, cluster=8))),
    Cell("false finds", "29 looks at own mean, 1,440 samples, none planted", 0.95, 1.0,
         partial(clean, replace(OWN, planted=0.0))),
    Cell("false finds", "29 looks beside five others, 1,440 samples, planted 0.2", 0.95, 1.0,
         partial(clean, BESIDE)),
    Cell("weakness", "29 looks beside five others, 1,440 samples, planted 0.2", 0.9, 1.0,
         partial(found, BESIDE)),
)  # fmt: skip
