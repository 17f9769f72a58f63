"""The second checkpoint on a warm replica: at most 0.25 of the start-up time of the first.

``python jobs/benchmarks/bench_swap.py --out FILE.json``; medians of several jobs with one replica
and two checkpoints; the exit code is 1 above the limit. Both times are the coordinator's: from
its order until the replica says that it is ready.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from lens_ray import JobSpec, ModelSpec, Store
from lens_ray.engine.cluster import Cluster
from lens_ray.evaluate import evaluate
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

LIMIT = 0.25
REPEATS = 5


def one_job(models: tuple[ModelSpec, ...], store: str) -> dict[str, float]:
    """Seconds of the cold start and of the swap."""
    job = JobSpec(name="swap", suite="mini:quick", store=store, models=models, limit=64)
    report = evaluate(job)
    if report.exit_code:
        raise SystemExit(f"the job ended with {report.exit_code}: {report.models}")
    seconds: dict[str, float] = {}
    for model in report.models:
        commit = Store(store).run(str(model.run_id)).refresh().commit
        assert commit is not None
        seconds[str(commit.facts["loaded_by"])] = float(str(commit.facts["load_s"]))
    return seconds


def measure(checkpoints: list[str]) -> dict[str, object]:
    """Medians over several jobs under one Ray."""
    with tempfile.TemporaryDirectory() as scratch, Cluster() as cluster:
        paths = checkpoints or [
            make_tiny_checkpoint(f"{scratch}/c{seed}", seed=seed, width=256) for seed in range(2)
        ]
        models = tuple(
            ModelSpec(name=f"m{number}", path=path, replicas=1) for number, path in enumerate(paths)
        )
        cluster.start()
        taken = [one_job(models, f"{scratch}/store-{repeat}") for repeat in range(REPEATS)]
    ratio = statistics.median(one["swap"] / one["start"] for one in taken)
    return {
        "benchmark": "swap",
        "start_s": statistics.median(one["start"] for one in taken),
        "swap_s": statistics.median(one["swap"] for one in taken),
        "ratio": round(ratio, 4),
        "limit": LIMIT,
        "repeats": REPEATS,
        "each": taken,
        "holds": ratio <= LIMIT,
    }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        help="give two of one family; left out, two with random weights",
    )
    given = parser.parse_args()
    result = measure(given.checkpoint)
    text = json.dumps(result, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
