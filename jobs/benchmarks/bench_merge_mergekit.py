"""Merging against mergekit 0.1.5: seconds, memory, and which families survive.

``python -m jobs.benchmarks.bench_merge_mergekit --out FILE.json`` (``make bench-merge``, which
makes mergekit's environment). Three checkpoints of a billion numbers in bfloat16, two weight files
each, linear: at least 4 times faster than mergekit's defaults and 2 times faster than the best of
its flags, under 0.75 GB of anonymous memory in all. TIES with density 0.5, one of them as the base:
at least 8 times faster. Numbers within one unit in the last place of a float64 reference (of TIES a
seventh of the tensors). Eight families as transformers saves them, none of which may lose a tensor.

Imports apart: each measured call is the second of its process, after a tiny merge of the same kind.
The fsync of what was written counts on both sides. The sides take turns, so that a busy machine
slows all, and the median of each is compared. lens-ray records the digests of the parents, which it
keeps: a first merge, which makes them, is told apart (``first_s``). The exit code is 1 when
something does not hold. Needs 10 GB of disk for as long as it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from jobs.benchmarks.merge_calls import Side, Task, call, run
from jobs.benchmarks.merge_families import SIDES, said, survivors, whole
from jobs.benchmarks.merge_models import BILLION, make_checkpoints, parameters
from jobs.benchmarks.merge_reference import Formula, distance, linear, ties
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

DEFAULTS_LIMIT, BEST_LIMIT, TIES_LIMIT, MEMORY_LIMIT_MB = 4.0, 2.0, 8.0, 750
ULP_LIMIT = 1
REPEATS = 3
LINEAR_WEIGHTS = (0.6, 0.3, 0.1)
TIES_WEIGHTS, DENSITY = (1.0, 1.0), 0.5
#: One tensor of so many is held against the reference of TIES, which sorts in float64 for minutes.
SORTED = 7
#: mergekit's, tried once each; the fastest is measured. Threads are torch's own (all cores).
FLAGS: tuple[tuple[str, ...], ...] = (
    ("--out-shard-size", "250M"),
    ("--async-write", "--out-shard-size", "250M"),
    ("--async-write", "--write-threads", "2", "--out-shard-size", "250M"),
    ("--async-write", "--write-threads", "2", "--out-shard-size", "100M"),
)
PARTS = ("linear", "ties", "families")
_ROOT = Path(__file__).resolve().parents[2]
_MIB_IN_MB = (1 << 20) / 1e6


class Bench:
    """One run: where it works, and how it calls a side."""

    def __init__(self, scratch: Path, mergekit_python: str, repeats: int) -> None:
        self.scratch, self.python, self.repeats = scratch, mergekit_python, repeats
        # As many as are measured, so that what is compiled for their number is.
        self._tiny = tuple(
            Path(make_tiny_checkpoint(scratch / f"tiny-{seed}", "qwen2_5_vl", seed))
            for seed in range(3)
        )

    @cached_property
    def billion(self) -> tuple[Path, ...]:
        """Three checkpoints."""
        return tuple(make_checkpoints(self.scratch / "billion", BILLION))

    def timed(self, side: Side, task: Task, flags: Sequence[str] = ()) -> dict[str, Any]:
        """Seconds and memory of one merge in a process of its own, after a tiny one.

        What it wrote lies in `out` until the next call of the side.
        """
        warm = self.scratch / f"warm-{side}"
        for folder in (warm, self.out(side)):
            shutil.rmtree(folder, ignore_errors=True)
        tiny = replace(task, parents=self._tiny)
        calls = [call(side, tiny, warm), call(side, task, self.out(side), flags)]
        first, found = run(side, calls, self.scratch / f"{side}.log", self.python)
        if first["error"] or found["error"]:
            raise SystemExit(f"{side}: {first['error'] or found['error']}")
        seconds, cores = f"{found['seconds']:.2f} s", f"{found['cpu_s']:.2f} s of cores"
        note(side, *flags, seconds, cores, f"{found['peak_mib']} MiB")
        return found

    def out(self, side: Side) -> Path:
        """Where a side writes."""
        return self.scratch / f"out-{side}"

    def against(self, task: Task, ways: dict[str, tuple[Side, Sequence[str]]]) -> dict[str, Any]:
        """Each way in turn, several times: medians, and every single value."""
        taken: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
        for _ in range(self.repeats):
            for name, (side, flags) in ways.items():
                taken[name].append(self.timed(side, task, flags))
        return {
            name: {
                "seconds": round(statistics.median(one["seconds"] for one in found), 2),
                "cpu_s": round(statistics.median(one["cpu_s"] for one in found), 2),
                "peak_mb": round(max(one["peak_mib"] for one in found) * _MIB_IN_MB),
                "imports_mb": round(found[0]["before_mib"] * _MIB_IN_MB),
                "each_s": [round(one["seconds"], 2) for one in found],
            }
            for name, found in taken.items()
        }


def measure_linear(bench: Bench) -> dict[str, Any]:
    """Three checkpoints of a billion numbers, against defaults and the best flags."""
    parents = bench.billion
    task = Task("linear", parents, LINEAR_WEIGHTS)
    first = bench.timed("lens-ray", task)["seconds"]
    tried = {flags: bench.timed("mergekit", task, flags)["seconds"] for flags in FLAGS}
    best = min(tried, key=lambda flags: tried[flags])
    found = bench.against(
        task,
        {"lens-ray": ("lens-ray", ()), "defaults": ("mergekit", ()), "best": ("mergekit", best)},
    )
    ours, defaults, fastest = (found[name]["seconds"] for name in ("lens-ray", "defaults", "best"))
    found |= {
        "parameters": parameters(parents[0]),
        "first_s": round(first, 2),
        "flags": " ".join(best),
        "flags_s": {" ".join(flags): round(seconds, 2) for flags, seconds in tried.items()},
        "ratio_defaults": round(defaults / ours, 2),
        "ratio_best": round(fastest / ours, 2),
    }
    return found | _distances(bench, linear(LINEAR_WEIGHTS), parents)


def measure_ties(bench: Bench) -> dict[str, Any]:
    """Two task vectors over a base."""
    parents = bench.billion
    task = Task("ties", parents, TIES_WEIGHTS, DENSITY)
    found = bench.against(task, {"lens-ray": ("lens-ray", ()), "defaults": ("mergekit", ())})
    ratio = found["defaults"]["seconds"] / found["lens-ray"]["seconds"]
    found |= {"parameters": parameters(parents[0]), "ratio": round(ratio, 2)}
    return found | _distances(bench, ties(DENSITY), parents, every=SORTED)


def measure_families(bench: Bench) -> dict[str, Any]:
    """Eight families, tiny."""
    return {"rows": survivors(bench.scratch, bench.python)}


def _distances(
    bench: Bench, formula: Formula, parents: Sequence[Path], every: int = 1
) -> dict[str, Any]:
    found = {side: distance(bench.out(side), parents, formula, every) for side in SIDES}
    return {"reference": found}


def faults(result: dict[str, Any]) -> list[str]:
    """What does not hold."""
    wrong = []
    if found := result.get("linear"):
        if found["ratio_defaults"] < DEFAULTS_LIMIT:
            wrong.append(f"linear {found['ratio_defaults']} times as fast as mergekit's defaults")
        if found["ratio_best"] < BEST_LIMIT:
            wrong.append(f"linear {found['ratio_best']} times as fast as mergekit's best flags")
        if found["lens-ray"]["peak_mb"] >= MEMORY_LIMIT_MB:
            wrong.append(f"linear took {found['lens-ray']['peak_mb']} MB of anonymous memory")
    if (found := result.get("ties")) and found["ratio"] < TIES_LIMIT:
        wrong.append(f"TIES {found['ratio']} times as fast as mergekit's")
    for part in ("linear", "ties"):
        found = result.get(part, {}).get("reference", {}).get("lens-ray")
        if found and (found["ulp"] > ULP_LIMIT or found["missing"]):
            wrong += [f"{part} against the float64 reference: {found}"]
    for row in result.get("families", {}).get("rows", ()):
        if not whole(row, "lens-ray") or row["lens-ray"]["ulp"] > ULP_LIMIT:
            wrong += [f"{row['family']}, {row['form']}: {row['lens-ray']}"]
    return wrong


def tables(result: dict[str, Any]) -> str:
    """The README's tables, in Markdown."""
    lines: list[str] = []
    if "linear" in result or "ties" in result:
        lines += ["| merge | side | seconds | anonymous memory |", "| --- | --- | --- | --- |"]
    for part, what in (("linear", "three checkpoints, linear"), ("ties", "TIES")):
        if not (found := result.get(part)):
            continue
        size = f"{what}, {found['parameters'] / 1e9:.2f} × 10⁹ numbers"
        names = {
            "lens-ray": "lens-ray",
            "defaults": "mergekit 0.1.5, defaults",
            "best": f"mergekit 0.1.5, `{found.get('flags')}`",
        }
        for way in (way for way in names if way in found):
            seconds, memory = found[way]["seconds"], found[way]["peak_mb"]
            lines.append(f"| {size} | {names[way]} | {seconds} | {memory} MB |")
            if way == "lens-ray" and "first_s" in found:
                lines.append(f"| | the same, parents not seen before | {found['first_s']} | |")
    if found := result.get("families"):
        lines += ["", "| family | names | lens-ray | mergekit 0.1.5 |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {row['family']} | {row['form']} | {said(row, 'lens-ray')} "
            f"| {said(row, 'mergekit')} |"
            for row in found["rows"]
        ]
    return "\n".join(lines)


def note(*words: object) -> None:
    """To standard error, at once."""
    print(*words, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--markdown", type=Path, help="where the table goes; left out, printed")
    parser.add_argument("--mergekit-python", default=str(_ROOT / ".venv-mergekit/bin/python"))
    parser.add_argument("--scratch", help="folder with 10 GB of room; left out, the system's")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    given = parser.parse_args()
    parts: dict[str, Callable[[Bench], dict[str, Any]]] = {
        "linear": measure_linear, "ties": measure_ties, "families": measure_families,
    }  # fmt: skip
    result: dict[str, Any] = {"benchmark": "merge_mergekit", "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory(prefix="bench-merge-", dir=given.scratch) as folder:
        bench = Bench(Path(folder), given.mergekit_python, given.repeats)
        result |= {part: parts[part](bench) for part in given.parts}
    result["load"] = os.getloadavg()[1]
    result["faults"] = faults(result)
    result["holds"] = not result["faults"]
    text = json.dumps(result, indent=1)
    print(text)
    print(tables(result))
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")
    if given.markdown is not None:
        given.markdown.write_text(tables(result) + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
