"""The one-sided bounds of gates (`lens_ray.stats.gate.bounds`): both err in 5 % of the runs.

A cell holds where the 90 % interval does; widths are those of the interval.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from jobs.benchmarks.coverage.cell import Cell
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.gate.bounds import measured
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats

_CHANCE = 0.25


def _marks(score: Floats, size: int) -> Marks:
    units = score.shape[1]
    cluster = np.arange(units) // size
    return Marks(
        models=("new", "old"),
        runs=(),
        suite="sim",
        suite_digest="",
        ids=tuple(map(str, range(units))),
        strata=(("ocr", "t0"), ("ocr", "t1"), ("ocr", "t2")),
        stratum=(cluster % 3).astype(np.int64),
        cluster=cluster.astype(np.int64),
        clusters=int(cluster[-1]) + 1,
        chance=np.full(units, _CHANCE),
        upper=np.ones(units),
        score=score,
        weights={},
        facets={},
    )


def _once(
    units: int, size: int, loss: float, gain: float, rng: np.random.Generator
) -> tuple[bool, float]:
    """A candidate that loses and gains; half of the clusters move as one."""
    clusters = units // size
    alone, shared = rng.random(clusters * size), np.repeat(rng.random(clusters), size)
    moved = np.where(np.repeat(rng.random(clusters) < 0.5, size), shared, alone)
    score = np.ones((2, clusters * size))
    score[0, moved < loss] = 0.0
    score[1, moved > 1 - gain] = 0.0
    marks = _marks(score, size)
    bounds = measured(marks, ability_figures(marks))["ocr"].bounds
    assert bounds is not None
    low, high = bounds(0.05)
    return low <= (gain - loss) / (1 - _CHANCE) <= high, high - low


#: Of a 90 % interval; where losses are seldom it is wider than it need be.
CELLS: tuple[Cell, ...] = tuple(
    Cell(
        "gate bounds",
        f"n {units}, clusters of {size}, lost {loss:g}, won {gain:g}",
        0.88,
        1.0,
        partial(_once, units, size, loss, gain),
    )
    for units, size, loss, gain in (
        (102, 1, 0.15, 0.05),
        (102, 1, 0.05, 0.0),
        (1200, 8, 0.1, 0.02),
    )
)
