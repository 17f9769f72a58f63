"""A million rows from Arrow to a committed store, and their scores; and as the engine does it.

``python jobs/benchmarks/bench_store.py --out FILE.json``. Each pass is a process of its own, the
figures are medians, and the exit code is 1 where a limit does not hold.

* From Arrow: 10,000, 100,000 and 1,000,000 rows, 20,000 an append. The million is written and
  committed with at least 50,000 rows a second, and read and scored in less than 10 s and 2 GB; a
  row costs no more CPU in a million than in ten thousand (and, printed, a hundred thousand).
* As the engine brings them: 200,000 rows as mappings, 1,000 an append, under 20 s and 1 GB with
  their scores. Marking them is timed apart.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

MAPPED, MAPPED_BATCH = 200_000, 1_000
SIZES, TABLE_BATCH = (10_000, 100_000, 1_000_000), 20_000
REPEATS = 3
LIMIT_S, LIMIT_MB = 20.0, 1024.0
LIMIT_RATE, LIMIT_SCORE_S, LIMIT_SCORE_MB = 50_000.0, 10.0, 2048.0
#: A row in a million may cost so many times what it costs in fewer: measuring is not exact.
LIMIT_GROWTH = 1.5
SUBTASKS = 18


def mapped(count: int) -> Iterator[list[dict[str, object]]]:
    """Marked rows of a made-up suite: 18 subtasks of six abilities, three samples a picture."""
    from lens_ray.models.protocol import Completion
    from lens_ray.scoring import RowContext, make_row
    from lens_ray.suites.sample import ABILITIES, Sample

    now = datetime.now(UTC)
    context = RowContext(
        "bench", "bench", "k" * 64, "w" * 64, "s" * 64, "default", 1, "fake", "1", "replica-0", 1,
        "p" * 64, now,
    )  # fmt: skip
    for start in range(0, count, MAPPED_BATCH):
        rows = []
        for number in range(start, start + MAPPED_BATCH):
            place = number % SUBTASKS
            sample = Sample(
                f"bench/{number:07d}", ABILITIES[place % 6], "bench", f"subtask-{place}",
                "true_false", "shapes", (f"{number:064d}",), f"is {number} even?", (),
                ("yes" if number % 2 == 0 else "no",), "exact", 0.5, 1.0,
                f"picture-{place}-{number // (3 * SUBTASKS)}",
            )  # fmt: skip
            answer = "yes" if number % 5 else "no"
            rows.append(make_row(sample, Completion(sample.sample_id, answer, "stop"), context))
        yield rows


def tables(count: int) -> Iterator[pa.Table]:
    """The same rows as Arrow tables, their digests and ids all different."""
    import pyarrow as pa

    from lens_ray.store.schema import ROWS

    first = next(mapped(MAPPED_BATCH))[:SUBTASKS]
    base = pa.Table.from_pylist(first, schema=ROWS)
    for start in range(0, count, TABLE_BATCH):
        numbers = range(start, min(count, start + TABLE_BATCH))
        digests = pa.array([hashlib.sha256(b"%d" % number).hexdigest() for number in numbers])
        table = base.take(pa.array([number % SUBTASKS for number in numbers]))
        changed = {
            "sample_id": pa.array([f"bench/{number:07d}" for number in numbers]),
            "cluster_id": pa.array(
                [f"picture-{n % SUBTASKS}-{n // (3 * SUBTASKS)}" for n in numbers]
            ),
            "sample_digest": digests,
            "prompt_hash": digests,
            "score": pa.array([float(number % 5 > 0) for number in numbers]),
            "latency_s": pa.array([number * 0.618 % 1 for number in numbers]),
        }
        for name, column in changed.items():
            table = table.set_column(ROWS.get_field_index(name), name, column)
        yield table


class Watch:
    """Wall and CPU seconds of parts, by name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._at = (0.0, 0.0)
        self.start()

    def start(self) -> None:
        """Begin a part."""
        self._at = time.perf_counter(), time.process_time()

    def stop(self, name: str) -> None:
        """End it, and begin the next one."""
        wall, cpu = self._at
        for kind, seconds in (
            ("s", time.perf_counter() - wall),
            ("cpu_s", time.process_time() - cpu),
        ):
            key = f"{name}_{kind}"
            self.spent[key] = self.spent.get(key, 0.0) + seconds
        self.start()


def one_pass(url: str, count: int, *, arrow: bool) -> dict[str, float]:
    """Seconds of making, writing, scoring, committing and reading; this process' peak in MB."""
    from lens_ray.stats import SCORED_COLUMNS, ability_scores, scores_table
    from lens_ray.store import RunHeader, Store
    from lens_ray.suites.sample import ABILITIES

    header = RunHeader(
        run_id="bench", model="bench", model_key="k" * 64, weights_digest="w" * 64, suite="bench",
        suite_digest="s" * 64, template="default", backend="fake", backend_path="", access="open",
        step=1, generation={}, created_at=datetime.now(UTC).isoformat(), job="bench",
    )  # fmt: skip
    weights = {a: {f"subtask-{p}": 1 / 3 for p in range(i, SUBTASKS, 6)}
               for i, a in enumerate(ABILITIES)}  # fmt: skip

    def scored(rows: pa.Table, count: int) -> pa.Table:
        counts = [len(range(place, count, SUBTASKS)) for place in range(SUBTASKS)]
        expected = {a: sum(counts[i::6]) for i, a in enumerate(ABILITIES)}
        scores = ability_scores(rows, weights=weights, expected=expected)
        return scores_table(scores, run_id="bench", model="bench", suite="bench")

    scored(next(tables(SUBTASKS * 20)), SUBTASKS * 20)  # scipy is imported, Arrow is warm
    log = Store(url, create=True).open_run(header)
    watch = Watch()
    source: Iterator[list[dict[str, object]] | pa.Table] = tables(count) if arrow else mapped(count)
    while True:
        rows = next(source, None)
        watch.stop("make")
        if rows is None:
            break
        log.append(rows)
        watch.stop("write")
    del rows
    read = log.rows(SCORED_COLUMNS)
    table = scored(read, count)
    watch.stop("score")
    log.commit(table, expected=count)
    watch.stop("commit")
    watch.spent["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    watch.start()
    if Store(url).rows(columns=["sample_id", "score", "text"]).num_rows != count:
        raise SystemExit("rows are missing")
    watch.stop("read")
    if not log.refresh().complete:
        raise SystemExit("the run is not complete")
    return watch.spent


def medians(count: int, *, arrow: bool) -> dict[str, float]:
    """Over processes."""
    passes = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--pass", f"{folder}/store", "--rows", str(count)]
            command += ["--arrow"] if arrow else []
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            passes.append(json.loads(done.stdout))
    found = {key: round(statistics.median(one[key] for one in passes), 3) for key in passes[0]}
    written = [one["write_s"] + one["commit_s"] for one in passes]
    cpu = [one["write_cpu_s"] + one["score_cpu_s"] + one["commit_cpu_s"] for one in passes]
    found["rows_a_second"] = round(count / statistics.median(written))
    found["cpu_us_a_row"] = round(1e6 * statistics.median(cpu) / count, 3)
    return found


def measure() -> dict[str, object]:
    """All passes, and what holds."""
    by_size = {count: medians(count, arrow=True) for count in SIZES}
    engine = medians(MAPPED, arrow=False)
    largest = by_size[SIZES[-1]]
    # From 10,000 there are fixed costs in it, from 100,000 what larger tables and caches take.
    growth = {n: largest["cpu_us_a_row"] / by_size[n]["cpu_us_a_row"] for n in SIZES[:-1]}
    total = engine["write_s"] + engine["score_s"] + engine["commit_s"]
    holds = {
        "rows_a_second": largest["rows_a_second"] >= LIMIT_RATE,
        "score_s": largest["score_s"] < LIMIT_SCORE_S,
        "score_mb": largest["peak_mb"] < LIMIT_SCORE_MB,
        "growth": growth[SIZES[0]] <= LIMIT_GROWTH,
        "mapped_s": total < LIMIT_S,
        "mapped_mb": engine["peak_mb"] < LIMIT_MB,
    }
    return {
        "benchmark": "store",
        "from_arrow": {str(count): found for count, found in by_size.items()},
        "growth_from": {str(count): round(times, 3) for count, times in growth.items()},
        "mapped": {"rows": MAPPED, **engine, "write_and_score_s": round(total, 3)},
        "marking_us_a_row": round(1e6 * engine["make_cpu_s"] / MAPPED, 2),
        "limits": {
            "rows_a_second": LIMIT_RATE,
            "score_s": LIMIT_SCORE_S,
            "score_mb": LIMIT_SCORE_MB,
            "growth": LIMIT_GROWTH,
            "mapped_s": LIMIT_S,
            "mapped_mb": LIMIT_MB,
        },
        "load": round(os.getloadavg()[0], 1),
        "repeats": REPEATS,
        "hold": holds,
        "holds": all(holds.values()),
    }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pass", dest="url", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--arrow", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.url:
        print(json.dumps(one_pass(chosen.url, chosen.rows, arrow=chosen.arrow)))
        return 0
    result = measure()
    text = json.dumps(result, indent=1)
    print(text)
    if chosen.out is not None:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
