"""How long ``lens-ray --help`` takes, as a process: at most 0.3 s (median of seven).

``python jobs/benchmarks/bench_help.py --out FILE.json``; the exit code is 1 above the limit.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT_S = 0.3
REPEATS = 7
COMMANDS = (("--help",), ("run", "--help"), ("suite", "build", "--help"))


def seconds(arguments: tuple[str, ...]) -> float:
    """Wall time of one process, from its start to its end."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "lens_ray", *arguments], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


def processor_seconds() -> float:
    """User and system time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure() -> dict[str, object]:
    """The medians of several commands; the first run of each, which fills caches, not counted."""
    medians: dict[str, float] = {}
    processor: dict[str, float] = {}
    for command in COMMANDS:
        seconds(command)
        name = "lens-ray " + " ".join(command)
        before = processor_seconds()
        times = [seconds(command) for _ in range(REPEATS)]
        medians[name] = round(statistics.median(times), 4)
        processor[name] = round((processor_seconds() - before) / REPEATS, 4)
    return {
        "benchmark": "help",
        "median_s": medians,
        "processor_s": processor,
        "limit_s": LIMIT_S,
        "repeats": REPEATS,
        "holds": max(medians.values()) < LIMIT_S,
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
