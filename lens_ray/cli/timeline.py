"""``lens-ray timeline``: what each replica did when, as a Chrome trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lens_ray.cli.options import OnlyModels, OnlySuite, Store
from lens_ray.cli.scores import chosen


def timeline(
    store: Store,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.json", help="Open it in ui.perfetto.dev.")
    ],
    model: OnlyModels = None,
    suite: OnlySuite = None,
) -> None:
    """Write starts, swaps, losses and answers of every run as a Chrome trace."""
    import json

    from lens_ray.errors import StoreUnavailable
    from lens_ray.report.timeline import COLUMNS, chrome_trace
    from lens_ray.store import Store as OpenStore

    opened = OpenStore(store)
    runs = chosen(opened.runs(), model or [], suite)
    spans: dict[str, list[Any]] = {}
    cut = 0
    for run in runs:
        commit = opened.run(run.run_id).refresh().commit
        found = commit.facts.get("spans") if commit is not None else None
        spans.setdefault(run.model, []).extend(found if isinstance(found, list) else [])
        missing = commit.facts.get("spans_cut") if commit is not None else None
        cut += missing if isinstance(missing, int) else 0
    rows = opened.rows([run.run_id for run in runs], columns=list(COLUMNS)).to_pylist()
    trace = chrome_trace(rows, spans)
    try:
        out.write_text(json.dumps(trace, default=str), encoding="utf-8")
    except OSError as error:
        raise StoreUnavailable(f"--out {out}: cannot be written: {error.strerror}") from error
    left_out = f", without {cut} starts, swaps and losses too many to keep" if cut else ""
    print(f"timeline of {len(runs)} runs, {len(rows)} answers written{left_out}: {out}")
