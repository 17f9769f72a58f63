"""Grounds of gates, made without a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lens_ray.stats.costs import Cost
from lens_ray.stats.gate.ground import Ground
from lens_ray.stats.gate.policy import Policy
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats


def policy_of(*rules: Mapping[str, Any], **keys: Any) -> Policy:
    """A policy of some rules."""
    return Policy.model_validate({"name": "test", "rules": list(rules), **keys})


def ground_of(marks: Marks, **facts: Any) -> Ground:
    """The first model as the candidate, the second, if any, as the baseline."""
    return Ground(
        candidate=marks.models[0],
        baseline=marks.models[1] if len(marks.models) > 1 else None,
        runs=(),
        abilities=tuple(dict.fromkeys(ability for ability, _ in marks.strata)),
        marks=marks,
        **facts,
    )


def marks_from(
    score: Floats,
    *,
    ability: Sequence[str] = ("ocr",),
    subtasks: int = 1,
    size: int = 1,
    chance: float = 0.0,
) -> Marks:
    """Marks of models on units that take turns in the strata, by clusters of ``size``."""
    units = score.shape[1]
    strata = tuple((name, f"t{place}") for name in ability for place in range(subtasks))
    cluster = np.arange(units) // size
    return Marks(
        models=("new", "old")[: len(score)],
        runs=(),
        suite="sim",
        suite_digest="",
        ids=tuple(f"s{place}" for place in range(units)),
        strata=strata,
        stratum=(cluster % len(strata)).astype(np.int64),
        cluster=cluster.astype(np.int64),
        clusters=int(cluster[-1]) + 1,
        chance=np.full(units, chance),
        upper=np.ones(units),
        score=score,
        weights={},
        facets={},
    )


def rows_of(statuses: Sequence[str], ability: str = "ocr", size: int = 1) -> pa.Table:
    """Final rows of one ability."""
    clusters = [f"c{place // size}" for place in range(len(statuses))]
    return pa.table(
        {"ability": [ability] * len(statuses), "status": list(statuses), "cluster_id": clusters}
    )


def cost_of(usd: float | None, seconds: float | None) -> Cost:
    """What the candidate's answers cost."""
    why = None if usd is not None else "no price of CPU"
    return Cost("r", "new", 100, usd, "table", why, seconds, None if seconds else "no latency")
