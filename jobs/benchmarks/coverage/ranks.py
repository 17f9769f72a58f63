"""Ranks and groups: `CELLS`, whose truth is the order of the models' skills.

Model m answers a unit rightly where ease of the cluster + noise < its threshold, the noise its own,
so that its true score is known and models share what is hard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from jobs.benchmarks.coverage.cell import Cell
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.groups import gaps_of
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks
from lens_ray.stats.ranks import ranks_of
from lens_ray.stats.units import Floats

REPLICATES = 500
#: Share of the variance of ease + noise that a cluster's units share.
_SHARED = 0.5


@dataclass(frozen=True)
class Field:
    """Models with known scores on a suite of one ability.

    Attributes:
        truth: The score of each model.
        clusters: Clusters in each of two subtasks.
        size: Units of a cluster.
    """

    truth: tuple[float, ...]
    clusters: int
    size: int

    @property
    def models(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"m{place}" for place in range(len(self.truth)))

    def marks(self, rng: np.random.Generator) -> Marks:
        """One evaluation of all of them."""
        shape = (2, self.clusters, self.size)
        ease = rng.normal(0, _SHARED**0.5, shape[:2])[None, :, :, None]
        noise = rng.normal(0, (1 - _SHARED) ** 0.5, (len(self.truth), *shape))
        cut = np.array([NormalDist().inv_cdf(value) for value in self.truth])
        score = (ease + noise < cut[:, None, None, None]).astype(float)
        units = 2 * self.clusters * self.size
        return Marks(
            models=self.models,
            runs=(),
            suite="simulated",
            suite_digest="",
            ids=tuple(f"s{place}" for place in range(units)),
            strata=(("ocr", "x"), ("ocr", "y")),
            stratum=np.repeat([0, 1], units // 2),
            cluster=np.repeat(np.arange(2 * self.clusters), self.size),
            clusters=2 * self.clusters,
            chance=np.zeros(units),
            upper=np.ones(units),
            score=score.reshape(len(self.truth), units),
            weights={},
            facets={},
        )


def rank_held(field: Field, rng: np.random.Generator) -> tuple[bool, float]:
    """Whether the rank interval of a model drawn at random holds its true rank (all, in a tie)."""
    marks = field.marks(rng)
    figures = ability_figures(marks).only(["ocr"])
    draws = draw_jointly(marks, str(rng.integers(2**62)), REPLICATES)
    place = int(rng.integers(len(field.truth)))
    found = ranks_of(draws, figures)[place]
    assert found.rank_low is not None
    assert found.rank_high is not None
    own = field.truth[place]
    best = 1 + sum(other > own for other in field.truth)
    worst = sum(other >= own for other in field.truth)
    return found.rank_low <= best and worst <= found.rank_high, found.rank_high - found.rank_low


def gap_held(
    field: Field, kind: str, groups: Sequence[int], rng: np.random.Generator
) -> tuple[bool, float] | None:
    """Whether the interval of the gap between two groups holds the true one."""
    marks = field.marks(rng)
    figures = ability_figures(marks).only(["ocr"])
    draws = draw_jointly(marks, str(rng.integers(2**62)), REPLICATES)
    sides = [[m for m, g in zip(field.models, groups, strict=True) if g == side] for side in (0, 1)]
    named = {"a": sides[0], "b": sides[1]}
    found = next(gap for gap in gaps_of(marks, draws, figures, named) if gap.kind == kind)
    if found.ci_low is None or found.ci_high is None:
        return None
    join: Callable[[Floats], float] = np.max if kind == "best" else np.mean
    values = np.array(field.truth)
    truth = [float(join(values[np.array(groups) == side])) for side in (0, 1)]
    held = found.ci_low <= truth[0] - truth[1] <= found.ci_high
    return held, found.ci_high - found.ci_low


_SPREAD = Field((0.35, 0.42, 0.5, 0.52, 0.54, 0.6, 0.7, 0.85), clusters=60, size=2)
_NEAR = Field(tuple(0.5 + 0.004 * place for place in range(8)), clusters=150, size=1)
_TIED = Field((0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.75, 0.75), clusters=40, size=4)
_FEW = Field((0.9, 0.94, 0.96, 0.97, 0.98, 0.98), clusters=20, size=8)
_GROUPS = (0, 1, 0, 1, 0, 1, 0, 1)


def _rank_cell(name: str, field: Field) -> Cell:
    return Cell("rank", name, 0.90, 1.0, lambda rng: rank_held(field, rng))


CELLS: tuple[Cell, ...] = (
    _rank_cell("8 models 0.004 apart, 300 clusters of 1", _NEAR),
    _rank_cell("8 models in ties, 80 clusters of 4", _TIED),
    _rank_cell("6 models at 0.90 to 0.98, 40 clusters of 8", _FEW),
    Cell(
        "groups, best", "4 against 4, 300 clusters of 1", 0.93, 1.0,
        lambda rng: gap_held(_NEAR, "best", _GROUPS, rng),
    ),
    Cell(
        "groups, mean", "4 against 4, 120 clusters of 2", 0.93, 0.97,
        lambda rng: gap_held(_SPREAD, "mean", _GROUPS, rng),
    ),
)  # fmt: skip
