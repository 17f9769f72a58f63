"""Stores of small runs whose marks are given, for the tests of comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from lens_ray.store import RunHeader, Store
from lens_ray.store.schema import SCORES
from lens_ray.suites.suite import SuiteInfo
from tests.store.makers import HEADER, header

#: (ability, subtask, format) of the samples, in turn.
KINDS = (
    ("counting", "dots", "open"),
    ("counting", "bars", "true_false"),
    ("ocr", "signs", "open"),
    ("ocr", "labels", "true_false"),
)


@dataclass(frozen=True)
class Asked:
    """One run.

    Attributes:
        scores: Mark of each sample, in order; None is an infrastructure failure, a sample beyond
            the list has no row.
        suite: Name of the suite.
        digest: Its digest.
        template: As in the header.
        left_out: Samples left out on purpose.
        expected: Of the commit; None is the number of scores.
        committed: Whether the run is finished.
        changes: Columns of some samples that differ, by sample number.
    """

    scores: Sequence[float | None]
    suite: str = "tiny"
    digest: str = "d" * 64
    template: str = "default@1"
    left_out: tuple[str, ...] = ()
    expected: int | None = None
    committed: bool = True
    changes: Mapping[int, Mapping[str, object]] = field(default_factory=dict)


def store_of(folder: Path, runs: Mapping[str, Asked]) -> Store:
    """A store with one run of each model; run ids are ``00000001-run`` and so on."""
    store = Store(str(folder), create=True)
    for asked in runs.values():
        store.put_suite(info(asked.suite, asked.digest))
    for number, (model, asked) in enumerate(runs.items(), 1):
        add_run(store, f"{number:08d}-run", model, asked)
    return store


def add_run(store: Store, run_id: str, model: str, asked: Asked) -> RunHeader:
    """Add one run to a store."""
    made = header(
        run_id, model=model, suite=asked.suite, suite_digest=asked.digest, template=asked.template
    )
    log = store.open_run(made)
    log.append([_row(run_id, model, number, asked) for number in range(len(asked.scores))])
    if asked.committed:
        log.rows()
        known = [score for score in asked.scores if score is not None]
        table = pa.Table.from_pylist(
            [
                dict.fromkeys(SCORES.names)
                | {"run_id": run_id, "model": model, "suite": asked.suite, "ability": "overall"}
                | {"n": len(known), "corrected": sum(known) / max(len(known), 1)}
            ],
            schema=SCORES,
        )
        expected = len(asked.scores) if asked.expected is None else asked.expected
        log.commit(table, expected=expected, left_out=asked.left_out)
    return made


def info(name: str, digest: str) -> SuiteInfo:
    """The facts of a suite of `KINDS`."""
    halves = {
        "counting": {"dots": 0.5, "bars": 0.5},
        "ocr": {"signs": 0.5, "labels": 0.5},
    }
    counts = {ability: dict.fromkeys(subtasks, 1) for ability, subtasks in halves.items()}
    return SuiteInfo(name, digest, "CC0-1.0", "1", counts, halves, 1)


def _row(run_id: str, model: str, number: int, asked: Asked) -> dict[str, object]:
    ability, subtask, kind = KINDS[number % len(KINDS)]
    score = asked.scores[number]
    return {
        "run_id": run_id,
        "model": model,
        "model_key": HEADER.model_key,
        "suite_digest": asked.digest,
        "sample_id": f"t/{number:04d}",
        "sample_digest": f"s{number}",
        "ability": ability,
        "source": "t",
        "subtask": subtask,
        "format": kind,
        "template": asked.template,
        "cluster_id": f"t/{number:04d}",
        "domain": "shapes",
        "metric": "exact",
        "split": "sealed",
        "status": "infra_error" if score is None else "ok",
        "text": f"{model} says {score}",
        "extracted": None if score is None else f"{score}",
        "score": score,
        "chance": 0.5 if kind == "true_false" else 0.0,
        "upper": 1.0,
    } | dict(asked.changes.get(number, {}))
