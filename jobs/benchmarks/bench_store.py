"""200,000 rows written, committed with their scores, and read back: under 20 s and 1 GB.

``python jobs/benchmarks/bench_store.py --out FILE.json``; each repeat is a process of its own, the
figures are medians; the exit code is 1 above a limit. Rows come in batches of 1,000 from a
generator, as the engine brings them; making them is timed apart.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROWS, BATCH, REPEATS = 200_000, 1_000, 3
LIMIT_S, LIMIT_MB = 20.0, 1024.0
SUBTASKS = 18


def batches() -> Iterator[list[dict[str, object]]]:
    """Full rows of a made-up suite: 18 subtasks of six abilities, three samples a picture."""
    from lens_ray.models.protocol import Completion
    from lens_ray.scoring import RowContext, make_row
    from lens_ray.suites.sample import ABILITIES, Sample

    now = datetime.now(UTC)
    context = RowContext(
        "bench", "bench", "k" * 64, "w" * 64, "s" * 64, "default", 1, "fake", "1", "replica-0", 1,
        "p" * 64, now,
    )  # fmt: skip
    for start in range(0, ROWS, BATCH):
        rows = []
        for number in range(start, start + BATCH):
            place = number % SUBTASKS
            sample = Sample(
                f"bench/{number:06d}", ABILITIES[place % 6], "bench", f"subtask-{place}",
                "true_false", "shapes", (f"{number:064d}",), f"is {number} even?", (),
                ("yes" if number % 2 == 0 else "no",), "exact", 0.5, 1.0,
                f"picture-{place}-{number // (3 * SUBTASKS)}",
            )  # fmt: skip
            answer = "yes" if number % 5 else "no"
            rows.append(make_row(sample, Completion(sample.sample_id, answer, "stop"), context))
        yield rows


def one_pass(url: str) -> dict[str, float]:
    """Seconds of writing, scoring and reading, and the peak of this process in MB."""
    from lens_ray.stats import ability_scores, scores_table
    from lens_ray.store import RunHeader, Store
    from lens_ray.suites.sample import ABILITIES

    header = RunHeader(
        run_id="bench", model="bench", model_key="k" * 64, weights_digest="w" * 64, suite="bench",
        suite_digest="s" * 64, template="default", backend="fake", backend_path="", access="open",
        step=1, generation={}, created_at=datetime.now(UTC).isoformat(), job="bench",
    )  # fmt: skip
    log = Store(url, create=True).open_run(header)
    spent = {"make_s": 0.0, "write_s": 0.0}
    source = batches()
    while True:
        began = time.perf_counter()
        rows = next(source, None)
        made = time.perf_counter()
        spent["make_s"] += made - began
        if rows is None:
            break
        log.append(rows)
        spent["write_s"] += time.perf_counter() - made
    began = time.perf_counter()
    weights = {a: {f"subtask-{p}": 1 / 3 for p in range(i, SUBTASKS, 6)}
               for i, a in enumerate(ABILITIES)}  # fmt: skip
    counts = [len(range(place, ROWS, SUBTASKS)) for place in range(SUBTASKS)]
    expected = {a: sum(counts[i::6]) for i, a in enumerate(ABILITIES)}
    scores = ability_scores(log.rows(), weights=weights, expected=expected, seed_key="bench")
    table = scores_table(scores, run_id="bench", model="bench", suite="bench")
    log.commit(table, expected=ROWS)
    spent["score_s"] = time.perf_counter() - began
    began = time.perf_counter()
    if Store(url).rows().num_rows != ROWS:
        raise SystemExit("rows are missing")
    spent["read_s"] = time.perf_counter() - began
    spent["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return spent


def measure() -> dict[str, object]:
    """Medians over processes."""
    passes = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--pass", f"{folder}/store"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            passes.append(json.loads(done.stdout))
    medians = {key: round(statistics.median(one[key] for one in passes), 3) for key in passes[0]}
    total = statistics.median(one["write_s"] + one["score_s"] for one in passes)
    return {
        "benchmark": "store",
        "rows": ROWS,
        **medians,
        "write_and_score_s": round(total, 3),
        "limit_s": LIMIT_S,
        "limit_mb": LIMIT_MB,
        "repeats": REPEATS,
        "holds": total < LIMIT_S and medians["peak_mb"] < LIMIT_MB,
    }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pass", dest="url", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.url:
        print(json.dumps(one_pass(chosen.url)))
        return 0
    result = measure()
    text = json.dumps(result, indent=1)
    print(text)
    if chosen.out is not None:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
