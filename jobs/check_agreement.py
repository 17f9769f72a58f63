"""Does another backend, or a GPU, say the same? Every shipped checkpoint against the shipped rows.

``.venv-vllm/bin/python -m jobs.check_agreement --store lens-vllm`` asks all of `mini:full` (72,144
questions, some six minutes on 2 cores) with vLLM and prints, for each checkpoint, how many texts
differ from those of the backend transformers on a CPU that ship with the package
(`lens_ray/builtin/rows`), and how many marks; then each difference. ``--backend transformers
--options '{"device": "cuda", "dtype": "float32"}'`` does it with another backend or device. Exit
code 1 where a checkpoint agrees on less than 99 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import pyarrow.parquet as pq

from lens_ray import JobSpec, ModelSpec, Store, load_job
from lens_ray.evaluate import evaluate
from lens_ray.models.resolve import builtin_root

LEAST = 0.99
#: Of vLLM, for a model of a million parameters on two cores.
OPTIONS: dict[str, Any] = {
    "max_num_seqs": 32, "max_model_len": 512, "block_size": 32, "max_images": 4,
    "enforce_eager": True,
}  # fmt: skip
SHOWN = 100
COLUMNS = ["model", "sample_id", "text", "score", "confidence"]


def main() -> int:
    """Ask, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="lens-vllm")
    parser.add_argument("--backend", default="vllm")
    parser.add_argument("--options", type=json.loads, help="of the backend, as JSON")
    parser.add_argument("--limit", type=int, help="at most so many questions a checkpoint")
    given = parser.parse_args()
    options = given.options or (OPTIONS if given.backend == "vllm" else {})
    models = tuple(
        ModelSpec(
            name=one.name, backend=given.backend, path=one.path, step=one.step, options=options
        )
        for one in load_job("jobs/quickstart.yaml").models
    )
    job = JobSpec(name="agreement", suite="mini:full", store=given.store, models=models)
    report = evaluate(job, limit=given.limit)
    if report.exit_code:
        print([(model.model, model.reason) for model in report.models if model.reason])
        return report.exit_code
    shipped = pq.read_table(builtin_root() / "rows" / "mini-full.parquet", columns=COLUMNS)
    theirs = {(row["model"], row["sample_id"]): row for row in shipped.to_pylist()}
    least, differing = 1.0, []
    for model in report.models:
        rows = Store(given.store).rows([str(model.run_id)], columns=COLUMNS).to_pylist()
        pairs = [(row, theirs[model.model, row["sample_id"]]) for row in rows]
        texts = [pair for pair in pairs if pair[0]["text"] != pair[1]["text"]]
        marks = sum(ours["score"] != other["score"] for ours, other in pairs)
        print(f"{model.model}: {len(texts)} of {len(pairs)} texts differ, {marks} marks")
        least = min(least, 1 - len(texts) / len(pairs))
        differing += texts
    for ours, other in differing[:SHOWN]:
        print(
            f"  {ours['model']} {ours['sample_id']}: {ours['text']!r} ({ours['confidence']:.6f}) "
            f"against {other['text']!r} ({other['confidence']:.6f})"
        )
    print(f"least agreement: {least:.5f}")
    return 0 if least >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
