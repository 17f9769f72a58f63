"""Do the intervals hold what they promise: the table of coverage.

``python jobs/benchmarks/bench_marks.py [--runs 2000] [--only KIND] [--out FILE.json]``. Every
module of ``jobs/benchmarks/coverage`` that has ``CELLS`` is run: simulated cases whose truth is
known. A line a cell: how many runs had an interval, in what share of them it holds the truth (for
``false finds`` and ``power``: the test finds a difference), within which limits that must be, and
how wide it is on average. The exit code is 1 where a share is beyond its limits by more than 2.6
standard errors of the simulation.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

# Run as a script, only its own folder is on the path.
sys.path.insert(0, str(Path(__file__).parents[2]))

from jobs.benchmarks import coverage
from jobs.benchmarks.coverage.cell import Cell, Held, share_held

RUNS, SEED, MOST_CELLS = 2000, 20261127, 60
HEAD = f"{'kind':12} {'case':62} {'runs':>5} {'none':>5} {'held':>6} {'limits':>13} {'width':>8}"


def all_cells() -> list[Cell]:
    """The cells of every module, sorted by the module's name."""
    names = sorted(module.name for module in pkgutil.iter_modules(coverage.__path__))
    modules = [importlib.import_module(f"{coverage.__name__}.{name}") for name in names]
    return [cell for module in modules for cell in getattr(module, "CELLS", ())]


def run(number: int, runs: int) -> Held:
    """Run one cell by its place, for processes that cannot be sent functions."""
    return share_held(all_cells()[number], runs, SEED)


def line(held: Held) -> str:
    """A row of the table."""
    limits = f"{held.least:.3f}-{held.most:.3f}"
    return (
        f"{held.kind:12} {held.name:62} {held.runs:5} {held.none:5} {held.share:6.3f} {limits:>13} "
        f"{held.width:8.4f}{'' if held.sound else '  BEYOND'}"
    )


def main() -> int:
    """Run the cells and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", help="one kind")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    cells = all_cells()
    wanted = [n for n, cell in enumerate(cells) if given.only in (None, cell.kind)]
    if not wanted:
        kinds = ", ".join(dict.fromkeys(cell.kind for cell in cells))
        parser.error(f"no cell of kind {given.only!r}; there are: {kinds}")
    start = time.perf_counter()
    print(HEAD, flush=True)
    found = []
    with ProcessPoolExecutor(given.processes) as pool:
        for held in pool.map(partial(run, runs=given.runs), wanted):
            found.append(held)
            print(line(held), flush=True)
    seconds = time.perf_counter() - start
    sound = all(held.sound for held in found) and len(cells) <= MOST_CELLS
    print(f"{len(found)} cells of {given.runs} runs in {seconds:.0f} s; sound: {sound}")
    if given.out:
        facts = {"runs": given.runs, "seconds": seconds, "sound": sound}
        cells_out = [{**asdict(held), "sound": held.sound} for held in found]
        given.out.write_text(json.dumps({**facts, "cells": cells_out}, indent=1))
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
