"""Small row tables for the tests of `lens_ray.stats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa

from lens_ray.store.schema import ROWS
from lens_ray.suites.sample import Sample


def row(
    sample_id: str,
    ability: str,
    subtask: str,
    score: float | None,
    *,
    chance: float = 0.0,
    upper: float = 1.0,
    cluster: str | None = None,
    group: str | None = None,
    metric: str = "exact",
    status: str | None = None,
    suite: str = "suite-1",
) -> dict[str, object]:
    """One row; its status follows from its score unless it is given."""
    return {
        "run_id": "run-1",
        "suite_digest": suite,
        "sample_id": sample_id,
        "ability": ability,
        "subtask": subtask,
        "score": score,
        "chance": chance,
        "upper": upper,
        "cluster_id": cluster or sample_id,
        "group_id": group,
        "metric": metric,
        "status": status or ("infra_error" if score is None else "ok"),
    }


def table(rows: Iterable[dict[str, object]]) -> pa.Table:
    """The rows in the schema of a store; the columns not given are null."""
    return pa.Table.from_pylist(list(rows), schema=ROWS)


def sample_weights(samples: Iterable[Sample]) -> dict[str, dict[str, float]]:
    """Weight of each subtask within its ability: its share of the ability's samples."""
    counts = Counter((sample.ability, sample.subtask) for sample in samples)
    totals: Counter[str] = Counter()
    for (ability, _), number in counts.items():
        totals[ability] += number
    weights: dict[str, dict[str, float]] = {}
    for (ability, subtask), number in sorted(counts.items()):
        weights.setdefault(ability, {})[subtask] = number / totals[ability]
    return weights
