"""A leaderboard of 48 models x 12,000 samples, and what it costs as rows grow.

``python jobs/benchmarks/bench_leaderboard.py --out FILE.json``. Each measurement is a process of
its own that begins with the store's Parquet, the figures are medians, and the exit code is 1 where
a limit does not hold. Wall time needs an idle machine; CPU seconds stand beside it.

* 48 models x 12,000 samples x 2,000 replicates with rank intervals: under 10 s and 2 GB.
* Two models of 12,000 samples compared in every ability, out of that store: under 1 s, imports
  apart.
* 10,000, 100,000 and 1,000,000 rows (4 models): a row of a million costs at most 1.5 times the CPU
  of one of fewer, fixed costs (imports, replicates) taken off by the difference to 1,000 rows.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from lens_ray.store import Store

MODELS, SAMPLES, REPLICATES = 48, 12_000, 2_000
GROWTH_MODELS, SIZES, BASE = 4, (10_000, 100_000, 1_000_000), 1_000
REPEATS = 3
LIMIT_S, LIMIT_MB, LIMIT_COMPARE_S, LIMIT_GROWTH = 10.0, 2048.0, 1.0, 1.5
SUBTASKS, PER_PICTURE = 30, 2
#: A picture that two abilities ask about, as in AbilityLens: each eighth.
SHARED = 8


def fill(url: str, models: int, samples: int) -> None:
    """A store of made-up models; half of them are closed."""
    import numpy as np

    from lens_ray.store import Store
    from lens_ray.suites.suite import SuiteInfo

    rng = np.random.default_rng(1)
    store = Store(url, create=True)
    store.put_suite(SuiteInfo("bench", "s" * 64, "CC0-1.0", "1", {}, weights(), samples))
    base = questions(samples)
    ease = rng.normal(0, 1, samples)
    for number in range(models):
        answer_all(store, base, number, ease + rng.normal(0.02 * number, 1, samples))


def weights() -> dict[str, dict[str, float]]:
    """Of each subtask within its ability."""
    from lens_ray.suites.sample import ABILITIES

    return {
        ability: {f"subtask-{p}": 6 / SUBTASKS for p in range(place, SUBTASKS, 6)}
        for place, ability in enumerate(ABILITIES)
    }


def questions(samples: int) -> pa.Table:
    """The columns that all models share."""
    import hashlib

    import pyarrow as pa

    from lens_ray.store.schema import ROWS
    from lens_ray.suites.sample import ABILITIES

    numbers = range(samples)
    digest = [hashlib.sha256(b"%d" % number).hexdigest() for number in numbers]
    place = [number % SUBTASKS for number in numbers]
    pictures = [
        f"picture-{n // (PER_PICTURE * SUBTASKS)}"
        + ("" if n // (PER_PICTURE * SUBTASKS) % SHARED == 0 and n % SUBTASKS < 2
           else f"-{n % SUBTASKS}")
        for n in numbers
    ]  # fmt: skip
    columns = {
        "suite_digest": ["s" * 64] * samples,
        "sample_id": [f"bench/{number:07d}" for number in numbers],
        "sample_digest": digest,
        "ability": [ABILITIES[p % 6] for p in place],
        "source": [f"source-{p % 11}" for p in place],
        "subtask": [f"subtask-{p}" for p in place],
        "format": [("true_false", "multiple_choice", "open")[p % 3] for p in place],
        "template": ["default"] * samples,
        "cluster_id": pictures,
        "split": ["sealed"] * samples,
        "domain": [f"domain-{p % 5}" for p in place],
        "metric": ["exact"] * samples,
        "status": ["ok"] * samples,
        "prompt_hash": digest,
        "text": [f"the answer is {number}" for number in numbers],
        "chance": [(0.5, 0.25, 0.0)[p % 3] for p in place],
        "upper": [1.0] * samples,
        "latency_s": [number * 0.618 % 1 for number in numbers],
    }
    return pa.table(columns, schema=pa.schema([ROWS.field(name) for name in columns]))


def answer_all(store: Store, base: pa.Table, number: int, skill: np.ndarray) -> None:
    """One committed run."""
    import pyarrow as pa

    from lens_ray.stats import ability_scores, scores_table
    from lens_ray.store import RunHeader
    from lens_ray.store.schema import ROWS
    from lens_ray.store.tables import conform
    from lens_ray.suites.sample import ABILITIES

    name = f"model-{number:02d}"
    header = RunHeader(
        run_id=f"run-{number:08d}", model=name, model_key=name, weights_digest="w" * 64,
        suite="bench", suite_digest="s" * 64, template="default", backend="fake", backend_path="",
        access=("open", "closed")[number % 2], step=None, generation={},
        created_at=f"2026-01-01T00:00:{number:02d}+00:00", job="bench",
    )  # fmt: skip
    size = base.num_rows
    rows = base
    for column, value in (
        ("run_id", pa.array([header.run_id] * size)),
        ("model", pa.array([name] * size)),
        ("score", pa.array((skill > 0).astype(float))),
    ):
        rows = rows.append_column(column, value)
    counts = [len(range(place, size, SUBTASKS)) for place in range(SUBTASKS)]
    expected = {ability: sum(counts[place::6]) for place, ability in enumerate(ABILITIES)}
    rows = conform(rows, ROWS)
    log = store.open_run(header)
    log.append(rows)
    scores = ability_scores(rows, weights=weights(), expected=expected)
    table = scores_table(scores, run_id=header.run_id, model=name, suite="bench")
    log.commit(table, expected=size)


def board(url: str) -> dict[str, float]:
    """The leaderboard, as a person's Python would ask for it."""
    began, cpu = time.perf_counter(), time.process_time()
    from lens_ray.stats.leaderboard import leaderboard
    from lens_ray.store import Store

    found = leaderboard(Store(url), replicates=REPLICATES)
    if any(rank.rank is None for each in found.standings for rank in each.ranks.values()):
        raise SystemExit("a rank is missing")
    return {
        "s": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": peak_mb(),
    }


def compared(url: str) -> dict[str, float]:
    """Two models, ability by ability; the second time, so that nothing is imported in it."""
    from lens_ray.stats.compare import compare

    spent = cpu = 0.0
    for _ in range(2):
        began, at = time.perf_counter(), time.process_time()
        if compare(url, "model-00", "model-47").figures[0].difference is None:
            raise SystemExit("a difference is missing")
        spent, cpu = time.perf_counter() - began, time.process_time() - at
    return {"s": spent, "cpu_s": cpu, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """The most memory that this process had at once, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def medians(what: str, url: str) -> dict[str, float]:
    """Over processes."""
    command = [sys.executable, __file__, "--pass", what, "--store", url]
    passes = []
    for _ in range(REPEATS):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        passes.append(json.loads(done.stdout))
    return {key: round(statistics.median(one[key] for one in passes), 3) for key in passes[0]}


def measure() -> dict[str, object]:
    """All passes, and what holds."""
    with tempfile.TemporaryDirectory() as folder:
        fill(f"{folder}/large", MODELS, SAMPLES)
        large = medians("board", f"{folder}/large")
        compare = medians("compare", f"{folder}/large")
        by_size = {}
        for rows in (BASE, *SIZES):
            fill(f"{folder}/{rows}", GROWTH_MODELS, rows // GROWTH_MODELS)
            by_size[rows] = medians("board", f"{folder}/{rows}")
    fixed = by_size[BASE]["cpu_s"]
    each = {n: 1e6 * (by_size[n]["cpu_s"] - fixed) / (n - BASE) for n in SIZES}
    growth = {n: each[SIZES[-1]] / each[n] for n in SIZES[:-1]}
    holds = {
        "s": large["s"] < LIMIT_S,
        "peak_mb": large["peak_mb"] < LIMIT_MB,
        "compare_s": compare["s"] < LIMIT_COMPARE_S,
        "growth": all(times <= LIMIT_GROWTH for times in growth.values()),
    }
    return {
        "benchmark": "leaderboard",
        "leaderboard": {"models": MODELS, "samples": SAMPLES, "replicates": REPLICATES, **large},
        "compare": {"samples": SAMPLES, **compare},
        "by_rows": {str(rows): found for rows, found in by_size.items()},
        "cpu_us_a_row": {str(rows): round(cost, 2) for rows, cost in each.items()},
        "growth_from": {str(rows): round(times, 2) for rows, times in growth.items()},
        "limits": {
            "s": LIMIT_S,
            "peak_mb": LIMIT_MB,
            "compare_s": LIMIT_COMPARE_S,
            "growth": LIMIT_GROWTH,
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
    parser.add_argument("--pass", dest="what", help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.what:
        print(json.dumps({"board": board, "compare": compared}[chosen.what](chosen.store)))
        return 0
    result = measure()
    text = json.dumps(result, indent=1)
    print(text)
    if chosen.out is not None:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
