"""How a job scales over the GPUs of a machine: rate with N replicas over N times the rate with one.

``python -m jobs.benchmarks.bench_scaling --gpus 8 --path MODEL --backend vllm --out FILE.json``; at
least 0.95. Each count of GPUs is asked the same number of samples a GPU; the clock runs from the
moment when the last replica gave its first answer to the last answer of the first replica that
ends, so that neither starts nor the tail count. ``--backend fake`` tries the script without GPUs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from lens_ray import JobSpec, ModelSpec, Store
from lens_ray.engine.cluster import Cluster
from lens_ray.evaluate import evaluate

LIMIT = 0.95
REPEATS = 3
EACH = 700
#: Of the fake: a window of 8 answers, 100 a second.
FAKE = {"latency_s": 0.08, "parallel": 8}


def counts_up_to(gpus: int) -> list[int]:
    """1, 2, 4, ... and the number itself."""
    counts = [1]
    while counts[-1] * 2 <= gpus:
        counts.append(counts[-1] * 2)
    return counts if counts[-1] == gpus else [*counts, gpus]


def rate(model: ModelSpec, suite: str, samples: int, store: str) -> float:
    """Answers a second while all replicas were at work."""
    job = JobSpec(name="scaling", suite=suite, store=store, models=(model,), limit=samples)
    report = evaluate(job)
    if report.exit_code:
        raise SystemExit(f"the job ended with {report.exit_code}: {report.models}")
    moments: dict[str, list[datetime]] = defaultdict(list)
    for row in Store(store).rows(columns=["replica", "created_at"]).to_pylist():
        moments[row["replica"]].append(row["created_at"])
    if len(moments) != model.replicas:
        raise SystemExit(f"{len(moments)} replicas answered, not {model.replicas}")
    begin = max(min(times) for times in moments.values())
    end = min(max(times) for times in moments.values())
    inside = sum(begin < time <= end for times in moments.values() for time in times)
    return inside / (end - begin).total_seconds()


def measure(given: argparse.Namespace) -> dict[str, object]:
    """The counts in turn, several times."""
    options: dict[str, Any] = FAKE if given.backend == "fake" else json.loads(given.options)
    rates: dict[int, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch, Cluster() as cluster:
        cluster.start()
        for repeat in range(REPEATS):
            for count in counts_up_to(given.gpus):
                model = ModelSpec(
                    name="model", backend=given.backend, path=given.path, replicas=count,
                    options=options,
                )  # fmt: skip
                store = f"{scratch}/{count}-{repeat}"
                rates[count].append(rate(model, given.suite, count * given.each, store))
    one = statistics.median(rates[1])
    efficiency = {n: round(statistics.median(r) / (n * one), 4) for n, r in rates.items()}
    return {
        "benchmark": "scaling",
        "backend": given.backend,
        "path": given.path,
        "samples_a_gpu": given.each,
        "rates": rates,
        "efficiency": efficiency,
        "limit": LIMIT,
        "repeats": REPEATS,
        "holds": min(efficiency.values()) >= LIMIT,
    }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--backend", default="vllm")
    parser.add_argument("--path", default="builtin:minivlm-a/step-9600")
    parser.add_argument("--options", default="{}", help="of the backend, as JSON")
    parser.add_argument("--suite", default="mini:full")
    parser.add_argument("--each", type=int, default=EACH, help="samples a GPU")
    given = parser.parse_args()
    result = measure(given)
    text = json.dumps(result, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
