"""Eight replicas of a model that answers one sample at a time in 50 ms, against one.

``python jobs/benchmarks/bench_replicas.py --out FILE.json``; the eight take at most 0.16 of the
time of one for the same number of samples (0.125 would be perfect). Start-up is apart: the clock
runs from the moment when the last replica gave its first answer until the last answer. Medians of
several pairs; the exit code is 1 above the limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from lens_ray import JobSpec, ModelSpec, Store
from lens_ray.engine.cluster import Cluster
from lens_ray.evaluate import evaluate

LIMIT = 0.16
REPEATS = 3
LATENCY_S = 0.05
#: Enough that at least 800 answers come after the last of eight replicas is up.
SAMPLES = {1: 800, 8: 4000}


def seconds_each(replicas: int, store: str) -> tuple[float, int]:
    """Seconds per answer once all replicas are up, and over how many answers."""
    model = ModelSpec(
        name="fake", backend="fake", replicas=replicas, options={"latency_s": LATENCY_S}
    )
    job = JobSpec(
        name="replicas", suite="mini:full", store=store, models=(model,), limit=SAMPLES[replicas]
    )
    report = evaluate(job)
    if report.exit_code:
        raise SystemExit(f"the job ended with {report.exit_code}: {report.models}")
    rows = Store(store).rows(columns=["replica", "created_at"]).to_pylist()
    first: dict[str, datetime] = {}
    for row in sorted(rows, key=lambda row: row["created_at"]):
        first.setdefault(row["replica"], row["created_at"])
    assert len(first) == replicas, first
    begin = max(first.values())
    later = [row["created_at"] for row in rows if row["created_at"] > begin]
    return (max(later) - begin).total_seconds() / len(later), len(later)


def measure() -> dict[str, object]:
    """Medians over several pairs under one Ray."""
    pairs = []
    with tempfile.TemporaryDirectory() as scratch, Cluster() as cluster:
        cluster.start()
        for repeat in range(REPEATS):
            one, few = seconds_each(1, f"{scratch}/one-{repeat}")
            eight, many = seconds_each(8, f"{scratch}/eight-{repeat}")
            pairs.append({"one_s": one, "one_n": few, "eight_s": eight, "eight_n": many})
    ratio = statistics.median(pair["eight_s"] / pair["one_s"] for pair in pairs)
    enough = all(pair["eight_n"] >= 800 for pair in pairs)
    return {
        "benchmark": "replicas",
        "seconds_each_one": statistics.median(pair["one_s"] for pair in pairs),
        "seconds_each_eight": statistics.median(pair["eight_s"] for pair in pairs),
        "ratio": round(ratio, 4),
        "limit": LIMIT,
        "repeats": REPEATS,
        "each": pairs,
        "holds": ratio <= LIMIT and enough,
    }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    result = measure()
    text = json.dumps(result, indent=1)
    print(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
