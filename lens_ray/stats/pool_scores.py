"""Stored scores measured against another pool: `scores_against`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.errors import UserError
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import COLUMNS, marks_of
from lens_ray.stats.pool import Pool
from lens_ray.stats.scores import steady_fields
from lens_ray.stats.spread import Spread, spread
from lens_ray.store.schema import SCORES

if TYPE_CHECKING:
    from lens_ray.store import RunHeader, Store

#: DVS and RES need no replicates here, only their bounds.
_REPLICATES = 1


def scores_against(store: Store, scores: pa.Table, pool: Pool) -> pa.Table:
    """The scores of a store with DVS and RES against a pool of the user's; nothing is written.

    Args:
        store: Where the runs' rows are.
        scores: Of some of its runs, in the schema `lens_ray.store.schema.SCORES`. Those on
            another suite than the pool's keep what they have.
        pool: The pool.

    Raises:
        UserError: No run is on the pool's suite.
        StoreUnavailable: The store is out of reach or damaged.
    """
    there = set(scores["run_id"].to_pylist())
    runs = {
        run.run_id: run
        for run in store.runs()
        if run.run_id in there and run.suite_digest == pool.suite_digest
    }
    if not runs:
        raise UserError(
            f"no run here is on the suite of pool {pool.label} ({pool.suite_digest[:12]}); make a "
            "pool of these runs: lens-ray pool make"
        )
    facts: Any = {str(each["digest"]): each for each in store.suites()}
    weights = (facts.get(pool.suite_digest) or {}).get("weights") or {}
    rows = store.rows(list(runs), columns=("run_id", *COLUMNS))
    found = {
        run_id: _spread(rows.filter(pc.equal(rows["run_id"], run_id)), run, weights, pool)
        for run_id, run in runs.items()
    }
    records = [
        record
        if record["run_id"] not in found or record["corrected"] is None
        else _changed(record, found[record["run_id"]], pool)
        for record in scores.to_pylist()
    ]
    return pa.Table.from_pylist(records, schema=SCORES)


def _spread(
    rows: pa.Table, run: RunHeader, weights: Mapping[str, Mapping[str, float]], pool: Pool
) -> Spread:
    marks = marks_of({run.model: rows}, weights=weights, suite_digest=run.suite_digest, runs=[run])
    return spread(marks, pool, draw_jointly(marks, run.run_id, _REPLICATES))


def _changed(record: Mapping[str, Any], found: Spread, pool: Pool) -> dict[str, Any]:
    """One row of scores with the figures of stability in the place of those it had."""
    if record["ability"] not in found.names:
        return dict(record)
    steady = found.of(found.models[0], record["ability"])
    return {**record, **steady_fields(steady), "pool": pool.label}
