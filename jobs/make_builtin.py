"""Remakes what ships beside the `minivlm` checkpoints: their rows on `mini:full`, and the pools.

``python jobs/make_builtin.py --take runs`` first copies the checkpoints that the quickstart job
names from training folders (with the recipe as ``run.yaml``); without ``--take`` the shipped ones
are evaluated as they are. All of it is inference of the models in that job, through `evaluate`.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lens_ray.errors import Incomplete
from lens_ray.evaluate import evaluate
from lens_ray.job import JobSpec, load_job
from lens_ray.models.resolve import BUILTIN, builtin_root
from lens_ray.stats import make_pool, save_pool, subtask_scores
from lens_ray.stats.pool import BUILTIN as POOLS
from lens_ray.store import Store

JOB = Path(__file__).with_name("quickstart.yaml")
ROWS = builtin_root() / "rows"


def take(job: JobSpec, runs: Path) -> None:
    """Copy the checkpoints of a job out of their training folders."""
    for model in job.models:
        series, step = model.path.removeprefix(BUILTIN).split("/")
        target = builtin_root() / series / step
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(runs / series / step, target)
        shutil.copy(runs / series / "run.yaml", target.parent / "run.yaml")
        shutil.copy(runs / series / "log.jsonl", target.parent / "log.jsonl")


def remake(job: JobSpec, suite: str, store: str) -> pa.Table:
    """Answer a suite with every model of a job, and freeze the pool of that suite.

    Raises:
        Incomplete: A model did not answer everything.
    """
    job = job.model_copy(update={"suite": suite, "store": store})
    report = evaluate(job)
    for model in report.models:
        if model.status != "complete":
            raise Incomplete(f"{model.model}: {model.status}: {model.reason}")
    place = Store(report.store)
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for model in report.models:
        assert model.run_id is not None
        kept: dict[str, dict[str, float]] = {}
        for one in subtask_scores(place.run(model.run_id).rows()):
            assert one.corrected is not None
            kept.setdefault(one.ability, {})[one.subtask] = one.corrected
        scores[model.model] = kept
    pool = make_pool(suite.replace(":", "-"), 1, report.suite_digest, scores)
    (POOLS / f"{pool.name}-v{pool.version}.json").unlink(missing_ok=True)
    save_pool(pool, POOLS)
    return place.rows([str(model.run_id) for model in report.models])


def keep(rows: pa.Table, name: str) -> Path:
    """Write rows, every column of text as a dictionary, equal neighbours together."""
    ROWS.mkdir(parents=True, exist_ok=True)
    file = ROWS / f"{name}.parquet"
    rows = rows.sort_by([("sample_id", "ascending"), ("model", "ascending")])
    pq.write_table(rows, file, compression="zstd", compression_level=19)
    return file


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--take", type=Path, help="folder of the training runs")
    parser.add_argument("--store", default="runs/builtin-store")
    chosen = parser.parse_args()
    job = load_job(JOB)
    if chosen.take is not None:
        take(job, chosen.take)
    for suite in ("mini:quick", "mini:full"):
        rows = remake(job, suite, chosen.store)
        if suite == "mini:full":
            file = keep(rows, "mini-full")
            print(f"{file}: {rows.num_rows} rows, {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
