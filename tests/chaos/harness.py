"""Jobs that are killed at random moments, and what must be true of their stores afterwards."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from lens_ray.store import Store

#: Answers that `fake_job` gives, all models together.
SAMPLES = 480
ROOT = Path(__file__).resolve().parents[2]
KINDS = ("driver", "coordinator", "replica")
#: How Ray names the processes of the actors.
_TITLES = {"coordinator": "ray::Coordinator", "replica": "ray::ReplicaActor"}
#: Columns that tell one answer from another; when and by whom it was given may differ.
ANSWER = ("run_id", "sample_id", "status", "text", "extracted", "score", "prompt_hash")
_PATIENCE_S = 150.0
_GONE_S = 5.0


@dataclass(frozen=True)
class Kill:
    """Who is killed, once so many samples of the job have a row."""

    kind: str
    at: int


@dataclass
class Started:
    """One start of a job: what it said last, and how it ended."""

    code: int
    last: Mapping[str, Any]
    delivered: list[Kill] = field(default_factory=list)


def random_kills(kinds: Sequence[str], total: int, seed: int, *, until: float = 0.85) -> list[Kill]:
    """One kill of each kind, in an order of progress that the seed decides."""
    draw = random.Random(seed)
    moments = sorted(draw.sample(range(1, int(total * until)), len(kinds)))
    shuffled = list(kinds)
    draw.shuffle(shuffled)
    return [Kill(kind, at) for kind, at in zip(shuffled, moments, strict=True)]


def start(
    job: Mapping[str, Any], folder: Path, kills: Sequence[Kill] = (), *, seed: int = 0
) -> Started:
    """Start a job, deliver the kills that are due until one takes the driver, wait for its end."""
    file = folder / "job.json"
    file.write_text(json.dumps(job))
    draw = random.Random(seed)
    waiting = list(kills)
    delivered: list[Kill] = []
    last: Mapping[str, Any] = {}
    with driver_of(file) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = json.loads(line)
            if "done" not in last or not waiting or last["done"] < waiting[0].at:
                continue
            # One at a time: a process that was just killed may be starting again.
            if _deliver(waiting[0].kind, process.pid, draw):
                delivered.append(waiting.pop(0))
        return Started(process.wait(), last, delivered)


def start_until_done(
    job: Mapping[str, Any], folder: Path, kills: Sequence[Kill]
) -> tuple[list[Started], list[Kill]]:
    """Start the same job again until a start ends by itself and nothing is left to be done."""
    left = list(kills)
    starts: list[Started] = []
    delivered: list[Kill] = []
    for _ in range(len(kills) + 3):
        one = start(job, folder, left, seed=len(starts))
        starts.append(one)
        delivered += one.delivered
        left = left[len(one.delivered) :]
        if one.code == 0:
            return starts, delivered
        killed = any(kill.kind == "driver" for kill in one.delivered)
        assert killed or one.code == 6, f"ended by itself with {one.code}: {one.last}"
    raise AssertionError(f"still not done after {len(starts)} starts: {starts[-1]}")


def answers(store: str) -> pa.Table:
    """Every row of a store, but for when and by whom it was given."""
    table = Store(store).rows(columns=list(ANSWER))
    return table.sort_by([("run_id", "ascending"), ("sample_id", "ascending")])


def scores(store: str) -> pa.Table:
    table = Store(store).scores()
    return table.sort_by([("run_id", "ascending"), ("ability", "ascending")])


def assert_same(store: str, calm: str) -> None:
    """Exactly one row a sample, the same answers and the same scores as the calm run."""
    found, wanted = answers(store), answers(calm)
    keys = list(zip(found["run_id"].to_pylist(), found["sample_id"].to_pylist(), strict=True))
    assert len(keys) == len(set(keys))
    assert found.equals(wanted)
    assert scores(store).equals(scores(calm))
    assert Store(store).check() == []
    for log in [Store(store).run(header.run_id) for header in Store(store).runs()]:
        assert log.refresh().complete


@contextmanager
def driver_of(file: Path) -> Iterator[subprocess.Popen[str]]:
    """A driver in a session of its own, of whose processes nothing is left afterwards."""
    command = [sys.executable, "-m", "tests.chaos.run_job", str(file)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    guard = threading.Timer(_PATIENCE_S, _end_tree, [process.pid])
    guard.start()
    try:
        yield process
    finally:
        guard.cancel()
        _end_tree(process.pid)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _end_tree(pid: int) -> None:
    for one in [*descendants(pid), pid]:
        _kill(one)


def _deliver(kind: str, driver: int, draw: random.Random) -> bool:
    """Kill -9 one process of a kind; False where there is none just now."""
    if kind == "driver":
        family = descendants(driver)
        _kill(driver)
        wait_until_gone(family)
        return True
    found = [pid for pid in descendants(driver) if _title(pid).startswith(_TITLES[kind])]
    return bool(found) and _kill(draw.choice(sorted(found)))


def wait_until_gone(pids: Sequence[int]) -> None:
    """Ray ends its processes by itself when the driver is dead; those that it forgets are ended."""
    until = time.monotonic() + _GONE_S
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([handle], [], [], max(0.0, until - time.monotonic()))[0]:
                _kill(pid)
        finally:
            os.close(handle)


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """Every process below one, the nearest first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for one in level for child in children.get(one, [])]
        found += level
    return found


def fake_job(store: Path, *, seed: int = 0, **options: Any) -> dict[str, Any]:
    """Two fake models of one family on a part of ``mini:quick``; a few seconds of answers."""
    script = {
        "seed": seed, "latency_s": 0.3, "latency_sigma": 0.5, "batch": 2, "parallel": 4, **options
    }  # fmt: skip
    models = [
        {"name": f"m{n}", "backend": "fake", "path": f"p{n}", "replicas": 2, "options": script}
        for n in range(2)
    ]
    return job(store, models, limit=SAMPLES // 2)


def job(store: Path, models: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """A job for `start`, with an engine that is not as patient as usual."""
    return {
        "name": "chaos",
        "suite": "mini:quick",
        "store": str(store),
        "models": list(models),
        "settings": {"run_ttl_s": 2.0, "flush_s": 0.5, "flush_rows": 32},
        **more,
    }


def calm_run(job: Mapping[str, Any], folder: Path) -> str:
    """The store of the same job, never disturbed."""
    store = str(folder / "calm")
    done = start({**job, "store": store}, folder)
    assert done.code == 0, done.last
    return store
