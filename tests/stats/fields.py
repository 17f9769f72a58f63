"""Simulated marks of several models, for the tests of comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from lens_ray.stats.marks import Marks, marks_of
from lens_ray.stats.units import Floats
from lens_ray.store.schema import ROWS


def field_of(
    scores: Mapping[str, Floats],
    *,
    ability: Sequence[str],
    subtask: Sequence[str],
    cluster: Sequence[str] | None = None,
    chance: Sequence[float] | None = None,
    format: Sequence[str] | None = None,
    weights: Mapping[str, Mapping[str, float]] | None = None,
) -> Marks:
    """Marks of models on the same samples; NaN is a sample without an answer."""
    size = len(ability)
    tables = {
        model: pa.Table.from_pylist(
            [
                {
                    "run_id": model,
                    "sample_id": f"s{place:05d}",
                    "ability": ability[place],
                    "subtask": subtask[place],
                    "source": "sim",
                    "format": format[place] if format else "open",
                    "score": None if np.isnan(score[place]) else float(score[place]),
                    "chance": chance[place] if chance else 0.0,
                    "upper": 1.0,
                    "cluster_id": cluster[place] if cluster else f"c{place}",
                    "metric": "exact",
                    "status": "infra_error" if np.isnan(score[place]) else "ok",
                }
                for place in range(size)
            ],
            schema=ROWS,
        )
        for model, score in scores.items()
    }
    return marks_of(tables, weights=weights or {})
