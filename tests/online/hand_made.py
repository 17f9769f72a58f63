"""Series and findings that are made by hand, for the tests of what is said about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lens_ray.online.checkpoint import Depth
from lens_ray.online.findings import Conflict, Convergence, Decline
from lens_ray.online.series import Series
from lens_ray.online.spec import WatchSpec
from lens_ray.stats.marks import Facet, Marks
from lens_ray.stats.units import Floats

#: Items of each ability of `series`.
ITEMS = 400


def marks(answers: Mapping[str, Floats]) -> Marks:
    """Marks of checkpoints x items by ability: one subtask each, chance 0, one item a cluster."""
    names = sorted(answers)
    score = np.concatenate([answers[name] for name in names], axis=1)
    stratum = np.concatenate([np.full(answers[n].shape[1], k) for k, n in enumerate(names)])
    size = score.shape[1]
    return Marks(
        models=tuple(str(row) for row in range(len(score))), runs=(), suite="hand",
        suite_digest="h" * 64, ids=tuple(f"s/{place}" for place in range(size)),
        strata=tuple((name, "only") for name in names), stratum=stratum.astype(np.int64),
        cluster=np.arange(size, dtype=np.int64), clusters=size, chance=np.zeros(size),
        upper=np.ones(size), score=score, weights={name: {"only": 1.0} for name in names},
        facets={
            "ability": Facet(tuple(names), stratum.astype(np.int64)),
            "split": Facet(("sealed",), np.zeros(size, dtype=np.int64)),
        },
    )  # fmt: skip


def series(
    rights: Mapping[str, Sequence[int]],
    *,
    every: int = 100,
    depth: Sequence[Depth] = (),
    gpu_hours: Sequence[float] = (),
) -> Series:
    """So many items of each ability are right at each checkpoint: always the first ones."""
    place = np.arange(ITEMS)
    answers = {
        name: (place[None] < np.array(counts)[:, None]).astype(np.float64)
        for name, counts in rights.items()
    }
    found = marks(answers)
    count = len(found.models)
    whole: Depth = "full"
    return Series(
        run="r", steps=every * np.arange(1, count + 1), marks=found,
        depth=tuple(depth) or (whole,) * count, gpu_hours=tuple(gpu_hours),
    )  # fmt: skip


def watch(**keys: object) -> WatchSpec:
    """A watch of one run; ``run`` adds to the run's keys."""
    run = {"name": "r", "path": "/runs/r", **dict(keys.pop("run", {}))}  # type: ignore[call-overload]
    base = {"name": "w", "suite": "mini:quick", "store": "s", "runs": [run]}
    return WatchSpec.model_validate({**base, **keys})


def converged(ability: str, step: int, *, known: int = 900) -> Convergence:
    return Convergence(ability, "converged", step, known, 0.001, (-1.0, 0.013), 0.95, 0.02, later=6)


def decline(ability: str, *, late: int = 1000, known: int = 900) -> Decline:
    return Decline(
        ability, (300, 500), (800, late), known, -0.08, (-0.11, -0.05), 0.95, 0.004, 400, True
    )


def conflict(rises: str, falls: str) -> Conflict:
    return Conflict(
        rises, falls, (300, 500), (800, 1000), 900, 0.07, (0.04, 0.1), -0.08, (-0.11, -0.05),
        0.95, 0.004, {600: "mix: ocr 1 -> 3"},
    )  # fmt: skip
