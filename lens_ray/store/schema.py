"""The Arrow schemas of what a store holds, versioned and add-only.

A column is never renamed, retyped or removed. A new column is appended, `SCHEMA_VERSION` goes up
by one, and readers cast older files up with nulls.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 3

STATUSES: tuple[str, ...] = (
    "ok",
    "unparsed",
    "refused",
    "truncated",
    "infra_error",
    "over_budget",
)
#: Statuses whose rows a later manifest may supersede (design contract 1).
SUPERSEDABLE: frozenset[str] = frozenset({"infra_error", "over_budget"})

ROWS: pa.Schema = pa.schema(
    [
        ("run_id", pa.string()),
        ("model", pa.string()),
        ("model_key", pa.string()),
        ("weights_digest", pa.string()),
        ("suite_digest", pa.string()),
        ("sample_id", pa.string()),
        ("sample_digest", pa.string()),
        ("ability", pa.string()),
        ("source", pa.string()),
        ("subtask", pa.string()),
        ("format", pa.string()),
        ("template", pa.string()),
        ("variant", pa.string()),
        ("cluster_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),
        ("step", pa.int64()),
        ("domain", pa.string()),
        ("metric", pa.string()),
        ("status", pa.string()),
        ("cause", pa.string()),
        ("prompt_hash", pa.string()),
        ("text", pa.string()),
        ("finish_reason", pa.string()),
        ("extracted", pa.string()),
        ("extraction", pa.string()),
        ("confidence", pa.float64()),
        ("score", pa.float64()),
        ("chance", pa.float64()),
        ("upper", pa.float64()),
        ("tokens_in", pa.int64()),
        ("tokens_out", pa.int64()),
        ("latency_s", pa.float64()),
        ("cost_usd", pa.float64()),
        ("attempt", pa.int64()),
        ("replica", pa.string()),
        ("backend", pa.string()),
        ("backend_version", pa.string()),
        ("weight_version", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)

SCORES: pa.Schema = pa.schema(
    [
        ("run_id", pa.string()),
        ("model", pa.string()),
        ("suite", pa.string()),
        ("ability", pa.string()),
        ("n", pa.int64()),
        ("coverage", pa.float64()),
        ("accuracy", pa.float64()),
        ("corrected", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("dvs", pa.float64()),
        ("res", pa.float64()),
        ("pool", pa.string()),
        ("reason", pa.string()),
        ("uniform", pa.float64()),
        ("dvs_low", pa.float64()),
        ("dvs_high", pa.float64()),
        ("res_low", pa.float64()),
        ("res_high", pa.float64()),
        ("tau", pa.float64()),
        ("tau_low", pa.float64()),
        ("tau_high", pa.float64()),
        ("micro", pa.float64()),
        ("note", pa.string()),
    ]
)
