"""One training run of 500 checkpoints x 12,000 samples: how long a look takes, and how much memory.

``python -m jobs.benchmarks.bench_online_scale`` writes the rows (some minutes), makes the compact
marks from them once, and then prints, each in a process of its own:

* what a watcher's state takes to load from what is kept, which is every look but the first;
* what all findings over it take (`lens_ray.online.detect.detect`), and again at the next look;
* the peak memory of that process.

``--keep FOLDER`` keeps the store and takes it where it is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from lens_ray.online.detect import detect
from lens_ray.online.load import load_series
from lens_ray.online.series import Series
from lens_ray.online.shelf import Shelf
from lens_ray.online.spec import WatchSpec
from lens_ray.stats.units import Floats
from lens_ray.store import RunHeader, Store
from lens_ray.store.schema import SCORES
from lens_ray.store.watch_log import Seen
from lens_ray.suites.sample import ABILITIES
from lens_ray.suites.suite import SuiteInfo

T = TypeVar("T")
DIGEST = "b" * 64
FORMATS = ("true_false", "multiple_choice", "open")
CHANCE = (0.5, 0.25, 0.0)


def spec_of(folder: Path) -> WatchSpec:
    """The watch."""
    return WatchSpec.model_validate(
        {
            "name": "scale",
            "suite": "scale",
            "store": str(folder),
            "runs": [{"name": "run", "path": str(folder / "none"), "gpus": 8,
                      "seconds_per_step": 1}],
        }
    )  # fmt: skip


def questions(samples: int) -> dict[str, pa.Array]:
    """Columns that all checkpoints share: six abilities of three subtasks, two samples an image."""
    number = np.arange(samples)
    ability, form = number % 6, number // 6 % 3
    names = [ABILITIES[each] for each in ability.tolist()]
    anchor = number // 36 % 5 == 0
    columns: dict[str, object] = {
        "sample_id": [f"scale/{each:06d}" for each in number.tolist()],
        "suite_digest": [DIGEST] * samples,
        "ability": names,
        "source": ["scale"] * samples,
        "subtask": [f"{a}_{f}" for a, f in zip(names, form.tolist(), strict=True)],
        "format": [FORMATS[each] for each in form.tolist()],
        "cluster_id": [f"image-{a}-{f}-{n}" for a, f, n in
                       zip(ability.tolist(), form.tolist(), (number // 36).tolist(), strict=True)],
        "domain": ["none"] * samples,
        "metric": ["exact"] * samples,
        "split": np.where(anchor, "anchor", "sealed").tolist(),
        "status": ["ok"] * samples,
        "template": ["default"] * samples,
        "chance": np.array(CHANCE)[form],
        "upper": np.ones(samples),
    }  # fmt: skip
    return {name: pa.array(values) for name, values in columns.items()}


def marks(checkpoints: int, samples: int, seed: int = 1) -> Floats:
    """Rights and wrongs: a learning curve an ability, items with a difficulty that stays."""
    rng = np.random.default_rng(seed)
    ability = np.arange(samples) % 6
    hard = rng.normal(size=samples)
    late = np.linspace(0, 1, checkpoints)[:, None]
    level = 3 * (1 - np.exp(-late * np.array([2, 4, 6, 8, 10, 3]))) - 1
    latent = level[:, ability] - hard + 0.5 * rng.normal(size=(checkpoints, samples))
    found: Floats = (latent > 0).astype(np.float64)
    return found


def write(folder: Path, checkpoints: int, samples: int) -> None:
    """A store with a run of every checkpoint, and the state of a watch."""
    store, spec = Store(folder, create=True), spec_of(folder)
    asked, score = questions(samples), marks(checkpoints, samples)
    counts: dict[str, dict[str, int]] = {}
    for name, subtask in zip(asked["ability"].to_pylist(), asked["subtask"].to_pylist(),
                             strict=True):  # fmt: skip
        mine = counts.setdefault(name, {})
        mine[subtask] = mine.get(subtask, 0) + 1
    weights = {
        name: {subtask: n / sum(mine.values()) for subtask, n in mine.items()}
        for name, mine in counts.items()
    }
    store.put_suite(SuiteInfo("scale", DIGEST, "CC0-1.0", "1", counts, weights, samples))
    seen = []
    for number in range(checkpoints):
        step, run_id = 100 * (number + 1), f"scale-{number:05d}"
        log = store.open_run(
            RunHeader(
                run_id, f"run@{step}", run_id, run_id, "scale", DIGEST, "default", "fake",
                f"none/step-{step}", "open", step, {}, "2026-01-01T00:00:00+00:00", "scale",
            )
        )  # fmt: skip
        text = pa.array(np.where(score[number] > 0, "yes", "no").tolist())
        log.append(
            pa.table(
                {
                    **asked,
                    "run_id": pa.array([run_id] * samples),
                    "score": pa.array(score[number]),
                    "text": text,
                    "extracted": text,
                }
            )
        )
        score_row = dict.fromkeys(SCORES.names) | {"run_id": run_id, "n": samples}
        log.commit(pa.Table.from_pylist([score_row], schema=SCORES), expected=samples)
        seen.append(
            Seen(step, f"none/step-{step}", "m", "2026-01-01T00:00:00+00:00", "whole",
                 depth="full", run_id=run_id)
        )  # fmt: skip
    store.watch(spec.name).state("run").update(lambda state: state.with_seen(*seen))


def look(folder: Path) -> dict[str, object]:
    """Looks of a watcher that has just been started: seconds, and seconds of a core.

    On a machine that others use only the latter are the work's own.
    """
    found: dict[str, object] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        began, worked = time.perf_counter(), time.process_time()
        result = work()
        found[f"{name}_s"] = round(time.perf_counter() - began, 2)
        found[f"{name}_cpu_s"] = round(time.process_time() - worked, 2)
        return result

    spec = spec_of(folder)
    series = timed("load", lambda: loaded(folder, spec))
    found["checkpoints"], found["units"] = series.marks.score.shape
    findings = timed("detect", lambda: detect(series, spec.rules))
    found["alarms"] = len(findings.alarms)
    timed("again", lambda: detect(series, spec.rules))
    found["peak_mb"] = peak_mb()
    return found


def loaded(folder: Path, spec: WatchSpec) -> Series:
    """The series from what is kept."""
    store = Store(folder)
    return load_series(spec, store, spec.runs[0], shelf=Shelf(store, spec.name, keep=False))


def peak_mb() -> int:
    """Most memory that this process has had, in MB.

    Not ``ru_maxrss``: a process begins with that of the one that started it.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=500)
    parser.add_argument("--samples", type=int, default=12_000)
    parser.add_argument("--keep", type=Path, help="folder of the store")
    parser.add_argument("--look", action="store_true", help="look only; prints JSON")
    chosen = parser.parse_args()
    if chosen.look:
        print(json.dumps(look(chosen.keep)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch, "store")
        if not (folder / "_store.json").exists():
            began = time.perf_counter()
            write(folder, chosen.checkpoints, chosen.samples)
            print(f"rows written in {time.perf_counter() - began:.0f} s")
        store, spec = Store(folder), spec_of(folder)
        began = time.perf_counter()
        load_series(spec, store, spec.runs[0], shelf=Shelf(store, spec.name))
        print(f"first look, marks made from rows: {time.perf_counter() - began:.1f} s")
        me = [sys.executable, "-m", "jobs.benchmarks.bench_online_scale", "--look", "--keep"]
        told = subprocess.run([*me, str(folder)], check=True, capture_output=True, text=True)
        found = json.loads(told.stdout)
        kept = sum(each.stat().st_size for each in (folder / "watch").rglob("*") if each.is_file())
    print(f"checkpoints x units   {found['checkpoints']} x {found['units']}")
    print(f"kept beside the rows  {kept / 1e6:.1f} MB")
    for name, what in (
        ("load", "state loaded (at most 5 s)"),
        ("detect", "all findings (at most 30 s)"),
        ("again", "the same at the next look"),
    ):
        print(f"{what:30} {found[name + '_s']} s, {found[name + '_cpu_s']} s of a core")
    print(f"peak memory           {found['peak_mb']} MB (at most 2,000)")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
