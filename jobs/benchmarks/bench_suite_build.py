"""A suite of 12,000 samples from data sets as the hub serves them: build, open, evaluate.

``python -m jobs.benchmarks.bench_suite_build --out FILE.json``. The data sets are those of
``lens_ray.testing.abilitylens_data`` with as many rows as are published, the recipe is
``abilitylens-paper``. Built in a process of its own, whose peak memory is that of the build; opened
five times, the median counts; evaluated once with the fake backend on this machine.

Limits: build 180 s and 1.5 GB, open 1 s, evaluate 60 s. The exit code is 1 above one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lens_ray.suites import load_suite
from lens_ray.testing.abilitylens_data import generate

LIMITS = {"build_s": 180.0, "build_peak_mb": 1500.0, "open_s": 1.0, "evaluate_s": 60.0}
OPENED = 5
RECIPE = "abilitylens-paper"
JOB = """\
name: bench
suite: {suite}
store: {store}
models:
  - name: fake
    backend: fake
    replicas: 1
    options: {{batch: 64}}
"""


def child(*arguments: str) -> tuple[float, float]:
    """Run the command line; seconds, and peak MB of the largest child so far."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "lens_ray", *arguments], check=True, stdout=sys.stderr)
    seconds = time.monotonic() - began
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def measure(folder: Path) -> dict[str, object]:
    """Everything, below a folder."""
    os.environ["LENS_RAY_HOME"] = str(folder / "home")
    began = time.monotonic()
    rows = generate(folder / "data", full=True)
    generate_s = time.monotonic() - began
    suite = folder / "suite"
    build_s, peak_mb = child(
        "suite", "build", RECIPE, "--from", str(folder / "data"), "--out", str(suite)
    )
    times = []
    for _ in range(OPENED):
        began = time.monotonic()
        found = load_suite(str(suite))
        times.append(time.monotonic() - began)
    job = folder / "job.yaml"
    job.write_text(JOB.format(suite=suite, store=folder / "store"), encoding="utf-8")
    evaluate_s, _ = child("run", str(job))
    size = sum(file.stat().st_size for file in suite.iterdir())
    measured = {
        "build_s": round(build_s, 1),
        "build_peak_mb": round(peak_mb),
        "open_s": round(statistics.median(times), 3),
        "evaluate_s": round(evaluate_s, 1),
    }
    return {
        "benchmark": "suite_build",
        "rows_read": sum(count for name, count in rows.items() if "/" not in name),
        "samples": found.info.samples,
        "images": found.info.images,
        "suite_mb": round(size / 1e6, 1),
        "generate_s": round(generate_s, 1),
        **measured,
        "limits": LIMITS,
        "repeats": {"build": 1, "open": OPENED, "evaluate": 1},
        "holds": all(measured[name] <= limit for name, limit in LIMITS.items()),
    }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder))
    text = json.dumps(result, indent=1)
    print(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
