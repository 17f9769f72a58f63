"""Cells of coverage of DVS, RES and tau, and of their paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from jobs.benchmarks.coverage.cell import Cell
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.entropy import rank_among, rank_entropy
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks
from lens_ray.stats.pool import Pool, make_pool
from lens_ray.stats.spread import Spread, spread
from lens_ray.stats.steadiness import Kind
from lens_ray.stats.units import Floats
from lens_ray.suites.sample import ABILITIES

#: Replicates of the bootstrap of differences: enough for tails of 2.5 %, and fast.
REPLICATES = 500
#: Models of the pool.
MODELS = 12


def marks_of_truth(
    rng: np.random.Generator, truth: Floats, n: int, per_cluster: int, alike: float = 0.8
) -> Marks:
    """Right and wrong answers whose shares are known.

    Args:
        rng: Source of chance.
        truth: Models x abilities x subtasks: the true share of right answers.
        n: Samples a subtask.
        per_cluster: Samples an image.
        alike: Share of the samples that are decided by how hard they are for all models, and of
            the clusters by how hard their image is; the rest is decided by each alone.
    """
    models, abilities, subtasks = truth.shape
    strata = abilities * subtasks
    images = -(-n // per_cluster)
    image = np.arange(n) // per_cluster
    shape = (models, strata, n)
    own, sample = rng.random(shape), np.broadcast_to(rng.random((strata, n)), shape)
    if per_cluster > 1:
        together = rng.random((strata, images))[:, image]
        shared = rng.random((strata, images))[:, image] < 0.5
        sample = np.broadcast_to(np.where(shared, together, sample[0]), shape)
    hard = np.where(rng.random(shape) < alike, sample, own)
    right = (hard < truth.reshape(models, strata, 1)).astype(np.float64)
    stratum = np.repeat(np.arange(strata), n)
    names = sorted(ABILITIES)[:abilities]
    return Marks(
        models=tuple(f"m{place}" for place in range(models)),
        runs=(),
        suite="sim",
        suite_digest="sim",
        ids=tuple(map(str, range(strata * n))),
        strata=tuple((name, f"t{place}") for name in names for place in range(subtasks)),
        stratum=stratum,
        cluster=stratum * images + np.tile(image, strata),
        clusters=strata * images,
        chance=np.zeros(strata * n),
        upper=np.ones(strata * n),
        score=right.reshape(models, -1),
        weights={},
        facets={},
    )


def pool_of_truth(middle: Floats, width: float) -> Pool:
    """A pool whose models lie evenly around the middle of each subtask.

    Args:
        middle: Abilities x subtasks.
        width: Standard deviation over its models.
    """
    ladder = np.linspace(-1, 1, MODELS)
    scores = middle + width * (ladder / ladder.std(ddof=1))[:, None, None]
    return make_pool(
        "sim", 1, "sim",
        {f"p{row}": {name: {f"t{place}": float(value) for place, value in enumerate(line)}
                     for name, line in zip(sorted(ABILITIES), table, strict=False)}
         for row, table in enumerate(scores)},
    )  # fmt: skip


def _figures(
    rng: np.random.Generator,
    truth: Floats,
    pool: Pool | None,
    n: int,
    per_cluster: int,
    replicates: int = 1,
) -> Spread:
    """The figures of some models; bounds of one model need no replicates."""
    marks = marks_of_truth(rng, truth, n, per_cluster)
    return spread(marks, pool, draw_jointly(marks, str(rng.integers(2**60)), replicates))


def _held(found: Spread, kind: Kind, truth: float) -> tuple[bool, float] | None:
    low, high = (float(bounds[0, -1]) for bounds in found.bounds(kind))
    return None if np.isnan(low) else (low <= truth <= high, high - low)


def _dvs(
    rng: np.random.Generator, z: Sequence[Sequence[float]], level: float, width: float, n: int,
    per_cluster: int,
) -> tuple[bool, float] | None:  # fmt: skip
    """A model whose true z-scores are known; the last column of the figures is overall."""
    scores = np.array(z)
    middle = np.full(scores.shape, level)
    found = _figures(rng, (middle + width * scores)[None], pool_of_truth(middle, width), n,
                     per_cluster)  # fmt: skip
    return _held(found, "dvs", float(scores.std(axis=1, ddof=1).mean()))


def _res(
    rng: np.random.Generator, z: Sequence[float], level: float, width: float, n: int,
    per_cluster: int,
) -> tuple[bool, float] | None:  # fmt: skip
    scores = np.array([z])
    middle = np.full(scores.shape, level)
    pool = pool_of_truth(middle, width)
    truth = middle + width * scores
    ranks = [
        rank_among(np.array(value), pool.corrected(sorted(ABILITIES)[0], f"t{place}") or ())
        for place, value in enumerate(truth[0])
    ]
    found = _figures(rng, truth[None], pool, n, per_cluster)
    return _held(found, "res", float(rank_entropy(np.array(ranks))))


def _tau(
    rng: np.random.Generator, tau: float, subtasks: int, abilities: int, level: float, n: int,
    per_cluster: int,
) -> tuple[bool, float] | None:  # fmt: skip
    """Subtasks drawn anew in each run, as the random-effects model has it."""
    shares = level + tau * rng.standard_normal((1, abilities, subtasks))
    found = _figures(rng, np.clip(shares, 0, 1), None, n, per_cluster)
    return _held(found, "tau", tau)


def _difference(
    rng: np.random.Generator, a: Sequence[float], b: Sequence[float], n: int, per_cluster: int
) -> tuple[bool, float] | None:
    """DVS of two models that find the same samples hard."""
    scores = np.array([[a], [b]])
    middle = np.full(scores.shape[1:], 0.6)
    found = _figures(rng, middle + 0.12 * scores, pool_of_truth(middle, 0.12), n, per_cluster,
                     REPLICATES)  # fmt: skip
    one = found.difference("dvs", "m0", "m1", OVERALL)
    truth = scores[0, 0].std(ddof=1) - scores[1, 0].std(ddof=1)
    if one.low is None or one.high is None:
        return None
    return bool(one.low <= truth <= one.high), one.high - one.low


_EVEN, _UNEVEN = (0.5,) * 5, (-1.0, 0.0, 0.5, 1.0, -0.5)
_LEAST = 0.90

CELLS: tuple[Cell, ...] = (
    Cell("dvs", "0, 5 subtasks of 100", _LEAST, 1.0,
         partial(_dvs, z=[_EVEN], level=0.5, width=0.12, n=100, per_cluster=1)),
    Cell("dvs", "0.79, 5 subtasks of 100 in clusters of 4", _LEAST, 1.0,
         partial(_dvs, z=[_UNEVEN], level=0.5, width=0.12, n=100, per_cluster=4)),
    Cell("dvs", "0.5, 3 subtasks of 30", _LEAST, 1.0,
         partial(_dvs, z=[(0.0, 0.5, 1.0)], level=0.6, width=0.12, n=30, per_cluster=1)),
    Cell("dvs", "0.79, 5 subtasks of 600, near the ceiling", _LEAST, 1.0,
         partial(_dvs, z=[_UNEVEN], level=0.95, width=0.03, n=600, per_cluster=1)),
    Cell("dvs", "0.43 over 6 abilities of 3 subtasks of 100", _LEAST, 1.0,
         partial(_dvs, z=[(0.0, 0.0, 0.0), (0.5, 1.0, 0.0)] * 3 , level=0.5, width=0.12, n=100,
                 per_cluster=1)),
    Cell("res", "0, 5 subtasks of 100", _LEAST, 1.0,
         partial(_res, z=_EVEN, level=0.5, width=0.12, n=100, per_cluster=1)),
    Cell("res", "log 5, 5 subtasks of 300 in clusters of 3", _LEAST, 1.0,
         partial(_res, z=_UNEVEN, level=0.5, width=0.12, n=300, per_cluster=3)),
    Cell("tau", "0, 5 subtasks of 100", _LEAST, 1.0,
         partial(_tau, tau=0.0, subtasks=5, abilities=1, level=0.5, n=100, per_cluster=1)),
    Cell("tau", "0.1, 5 subtasks of 100 in clusters of 4", _LEAST, 1.0,
         partial(_tau, tau=0.1, subtasks=5, abilities=1, level=0.5, n=100, per_cluster=4)),
    Cell("tau", "0.05, 3 subtasks of 30", _LEAST, 1.0,
         partial(_tau, tau=0.05, subtasks=3, abilities=1, level=0.8, n=30, per_cluster=1)),
    Cell("tau", "0.1 over 6 abilities of 3 subtasks of 60", _LEAST, 1.0,
         partial(_tau, tau=0.1, subtasks=3, abilities=6, level=0.5, n=60, per_cluster=1)),
    Cell("dvs difference", "0.79 - 0, paired, 5 subtasks of 100 in clusters of 2", _LEAST, 1.0,
         partial(_difference, a=_UNEVEN, b=_EVEN, n=100, per_cluster=2)),
)  # fmt: skip
