"""Stores with the checkpoints of small training runs whose marks are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from lens_ray.online.checkpoint import Depth
from lens_ray.online.load import Asked
from lens_ray.store import Store
from lens_ray.store.schema import SCORES
from lens_ray.store.watch_log import Seen, WatchState
from tests.stats.stores import KINDS, info
from tests.store.makers import header

RUN = "run"


def run_id_of(step: int) -> str:
    return f"{step:08d}-run"


def row(step: int, number: int, score: float | None, **changes: object) -> dict[str, object]:
    """A sample's row; the first of each ten is an anchor, two neighbours of a kind a cluster."""
    ability, subtask, kind = KINDS[number % len(KINDS)]
    return {
        "run_id": run_id_of(step),
        "model": f"{RUN}@{step}",
        "suite_digest": "d" * 64,
        "sample_id": f"t/{number:05d}",
        "ability": ability,
        "source": "t",
        "subtask": subtask,
        "format": kind,
        "cluster_id": f"c{number // 8}-{number % len(KINDS)}",
        "domain": "shapes",
        "metric": "exact",
        "split": "anchor" if number // 8 % 5 == 0 else "sealed",
        "status": "infra_error" if score is None else "ok",
        "text": f"says {number}",
        "extracted": f"{number}",
        "score": score,
        "chance": 0.5 if kind == "true_false" else 0.0,
        "upper": 1.0,
    } | changes


def is_anchor(number: int) -> bool:
    return row(0, number, 1.0)["split"] == "anchor"


def answer(
    store: Store,
    step: int,
    scores: Sequence[float | None],
    depth: Depth = "full",
    **changes: object,
) -> None:
    """Append a checkpoint's rows and add them up."""
    digest = str(changes.get("suite_digest", "d" * 64))
    store.put_suite(info("tiny", digest))
    made = header(
        run_id_of(step), model=f"{RUN}@{step}", step=step, suite_digest=digest,
        template=str(changes.get("template", "default@1")),
    )  # fmt: skip
    log = store.open_run(made)
    wanted = [n for n in range(len(scores)) if depth == "full" or is_anchor(n)]
    log.append([row(step, number, scores[number], **changes) for number in wanted])
    log.rows()
    table = pa.Table.from_pylist(
        [dict.fromkeys(SCORES.names) | {"run_id": made.run_id, "ability": "overall", "n": 1}],
        schema=SCORES,
    )
    left_out = [f"t/{n:05d}" for n in range(len(scores)) if n not in wanted]
    log.commit(table, expected=len(wanted), left_out=left_out)


def training(
    folder: Path, scores: Mapping[int, Sequence[float | None]], depths: Mapping[int, Depth] = {}
) -> tuple[Store, tuple[Asked, ...]]:
    """A store with one run a step, and what was asked."""
    store = Store(str(folder), create=True)
    asked = []
    for step, marks in scores.items():
        depth: Depth = depths.get(step, "full")
        answer(store, step, marks, depth)
        asked.append(Asked(step, run_id_of(step), depth))
    return store, tuple(asked)


def state_of(asked: Sequence[Asked]) -> WatchState:
    """As a watcher keeps it."""
    return WatchState(
        tuple(
            Seen(
                one.step, f"x/step-{one.step}", "m", "2026-01-01T00:00:00+00:00", "whole",
                depth=one.depth, run_id=one.run_id, metrics=one.metrics, written=one.written,
            )
            for one in asked
        )
    )  # fmt: skip
