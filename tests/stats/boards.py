"""Stores of models with given marks and real scores, for the tests of leaderboards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from lens_ray.stats import ability_scores, scores_table
from lens_ray.stats.units import Floats
from lens_ray.store import RunHeader, Store
from lens_ray.store.schema import ROWS
from lens_ray.suites.suite import SuiteInfo
from tests.store.makers import header

#: Two abilities of two subtasks, `PER` samples each, two samples a picture.
KINDS = (("counting", "bars"), ("counting", "dots"), ("ocr", "labels"), ("ocr", "signs"))
PER = 40
SIZE = PER * len(KINDS)
WEIGHTS = {"counting": {"bars": 0.5, "dots": 0.5}, "ocr": {"labels": 0.5, "signs": 0.5}}
DIGEST = "d" * 64


def answers(seed: int, *shift: float) -> list[Floats]:
    """Right or wrong of models on the same samples; a higher shift is a better model."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(0, 1, SIZE)
    return [(ease + rng.normal(0, 0.7, SIZE) + each > 0).astype(float) for each in shift]


def store_of(folder: Path) -> Store:
    """An empty store that knows the suite."""
    store = Store(str(folder), create=True)
    counts = {ability: dict.fromkeys(subtasks, PER) for ability, subtasks in WEIGHTS.items()}
    store.put_suite(SuiteInfo("tiny", DIGEST, "CC0-1.0", "1", counts, WEIGHTS, SIZE // 2))
    return store


def add(
    store: Store,
    model: str,
    score: Floats,
    *,
    access: str = "open",
    template: str = "default@1",
    asked: int = SIZE,
    committed: bool = True,
) -> RunHeader:
    """One run.

    Args:
        store: Where.
        model: Its name.
        score: Mark of each sample; NaN is an infrastructure failure.
        access: Of the header.
        template: Of the header.
        asked: Only the first so many samples; the others are left out on purpose.
        committed: Whether it is finished.
    """
    run = header(
        f"run-{model}-{template}"[:40].replace("@", "-"), model=model, access=access,
        template=template, suite_digest=DIGEST, backend="fake",
    )  # fmt: skip
    log = store.open_run(run)
    rows = pa.Table.from_pylist(
        [
            {
                "run_id": run.run_id, "model": model, "suite_digest": DIGEST, "sample_id": name(n),
                "sample_digest": f"d{n}", "ability": KINDS[n // PER][0], "source": "sim",
                "subtask": KINDS[n // PER][1], "format": "open", "template": template,
                "cluster_id": f"p{n // 2}", "metric": "exact",
                "status": "infra_error" if np.isnan(score[n]) else "ok",
                "text": f"{model} says {n}", "latency_s": 0.5,
                "score": None if np.isnan(score[n]) else float(score[n]), "chance": 0.0,
                "upper": 1.0,
            }
            for n in range(asked)
        ],
        schema=ROWS,
    )  # fmt: skip
    log.append(rows)
    if committed:
        expected = {ability: 0 for ability, _ in KINDS}
        for n in range(asked):
            expected[KINDS[n // PER][0]] += 1
        scores = ability_scores(
            rows, weights=WEIGHTS, expected=expected
        )  # fmt: skip
        table = scores_table(scores, run_id=run.run_id, model=model, suite=run.suite)
        left_out = [name(n) for n in range(asked, SIZE)]
        log.commit(table, expected=asked, left_out=left_out)
    return run


def name(number: int) -> str:
    """The id of a sample."""
    return f"t/{number:04d}"
