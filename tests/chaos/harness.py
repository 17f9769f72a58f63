"""Jobs that meet faults at random moments, and what must be true of their stores afterwards."""

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
from typing import Any, Protocol

import pyarrow as pa

from lens_ray.store import Store
from lens_ray.testing.processes import descendants

#: Questions to each model, and answers that `fake_job` gives.
LIMIT = 80
SAMPLES = 2 * LIMIT
ROOT = Path(__file__).resolve().parents[2]
KINDS = ("driver", "coordinator", "replica")
#: How Ray names the processes of the actors.
TITLES = {
    "coordinator": "ray::Coordinator", "replica": "ray::ReplicaActor", "limiter": "ray::Limiter",
}  # fmt: skip
#: Columns that tell one answer from another; when and by whom it was given may differ.
ANSWER = ("run_id", "sample_id", "status", "text", "extracted", "score", "prompt_hash")
_PATIENCE_S = 240.0
_GONE_S = 5.0


@dataclass(frozen=True)
class Blow:
    """What happens, once so many samples of the job have a row."""

    kind: str
    at: int


@dataclass
class Started:
    """One start of a job: what it said last, how it ended, and the lines of its log."""

    code: int
    last: Mapping[str, Any]
    delivered: list[Blow] = field(default_factory=list)
    log: str = ""


class Place(Protocol):
    """Where the driver and its actors are."""

    @property
    def environment(self) -> Mapping[str, str] | None:
        """Variables of the driver; None is this process's."""
        ...

    def command(self, *words: str) -> Sequence[str]:
        """What runs Python on the driver's machine."""
        ...

    def deliver(self, kind: str, driver: int, draw: random.Random) -> bool:
        """Let it happen; False where it cannot just now.

        Args:
            kind: What.
            driver: The first process of the driver.
            draw: Says to whom.
        """
        ...


class Here:
    """A Ray that the driver starts for itself on this machine."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self.environment = {**os.environ, **variables} if variables else None

    def command(self, *words: str) -> Sequence[str]:
        return (sys.executable, *words)

    def deliver(self, kind: str, driver: int, draw: random.Random) -> bool:
        """Kill -9 one process of a kind."""
        if kind == "driver":
            family = descendants(driver)
            kill(driver)
            wait_until_gone(family)
            return True
        found = [pid for pid in descendants(driver) if title(pid).startswith(TITLES[kind])]
        return bool(found) and kill(draw.choice(sorted(found)))


def random_blows(kinds: Sequence[str], total: int, seed: int, *, until: float = 0.85) -> list[Blow]:
    """One of each kind, in an order and at moments of the job's progress that the seed decides."""
    draw = random.Random(seed)
    moments = sorted(draw.sample(range(1, int(total * until)), len(kinds)))
    shuffled = list(kinds)
    draw.shuffle(shuffled)
    return [Blow(kind, at) for kind, at in zip(shuffled, moments, strict=True)]


def start(
    job: Mapping[str, Any],
    folder: Path,
    blows: Sequence[Blow] = (),
    *,
    seed: int = 0,
    place: Place | None = None,
) -> Started:
    """Start a job, deliver the blows that are due until one takes the driver, wait for its end."""
    place = place or Here()
    file = folder / "job.json"
    file.write_text(json.dumps(job))
    draw = random.Random(seed)
    waiting = list(blows)
    delivered: list[Blow] = []
    last: Mapping[str, Any] = {}
    with driver_of(file, place) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("{"):  # Ray says on standard output that a node died
                continue
            last = json.loads(line)
            if "done" not in last or not waiting or last["done"] < waiting[0].at:
                continue
            # One at a time: a process that was just killed may be starting again.
            if place.deliver(waiting[0].kind, process.pid, draw):
                delivered.append(waiting.pop(0))
        code = process.wait()
    return Started(code, last, delivered, log_of(file).read_text())


def start_until_done(
    job: Mapping[str, Any],
    folder: Path,
    blows: Sequence[Blow],
    *,
    place: Place | None = None,
    codes: Sequence[int] = (0,),
) -> tuple[list[Started], list[Blow]]:
    """Start the same job again until a start ends by itself and nothing is left to be done."""
    left = list(blows)
    starts: list[Started] = []
    delivered: list[Blow] = []
    for _ in range(len(blows) + 3):
        one = start(job, folder, left, seed=len(starts), place=place)
        starts.append(one)
        delivered += one.delivered
        left = left[len(one.delivered) :]
        if one.code in codes:
            return starts, delivered
        killed = any(blow.kind == "driver" for blow in one.delivered)
        assert killed or one.code == 6, f"ended by itself with {one.code}: {one.last}\n{one.log}"
    raise AssertionError(f"still not done after {len(starts)} starts: {starts[-1]}")


def answers(store: Store, runs: Sequence[str]) -> pa.Table:
    """Every row of some runs, but for when and by whom it was given."""
    table = store.rows(runs, columns=list(ANSWER))
    return table.sort_by([("run_id", "ascending"), ("sample_id", "ascending")])


def scores(store: Store, runs: Sequence[str]) -> pa.Table:
    table = store.scores(runs)
    return table.sort_by([("run_id", "ascending"), ("ability", "ascending")])


def assert_same(
    job: Mapping[str, Any], calm: str, poisoned: Mapping[str, str] | None = None
) -> None:
    """Exactly one row a sample, the same answers and the same scores as the calm run.

    Args:
        job: What was done.
        calm: A store in which each of its models is, never disturbed.
        poisoned: By model the sample that kills each engine: it and no other has no answer.
    """
    store, wanted = Store(str(job["store"])), Store(calm)
    runs = {header.model: header.run_id for header in store.runs()}
    assert runs.keys() == {model["name"] for model in job["models"]}
    poisoned = poisoned or {}
    bad = {(runs[model], sample) for model, sample in poisoned.items()}
    whole = sorted(run for model, run in runs.items() if model not in poisoned)
    assert answers(store, whole).equals(answers(wanted, whole))
    assert scores(store, whole).equals(scores(wanted, whole))
    found = answers(store, sorted(runs.values())).to_pylist()
    expected = answers(wanted, sorted(runs.values())).to_pylist()
    assert [key(row) for row in found] == [key(row) for row in expected]
    assert len(found) == len({key(row) for row in found}) == LIMIT * len(runs)
    assert {key(row) for row in found if row["status"] == "infra_error"} == bad
    assert [r for r in found if key(r) not in bad] == [r for r in expected if key(r) not in bad]
    assert store.check() == []
    for model, run in runs.items():
        assert store.run(run).refresh().complete == (model not in poisoned)


def key(row: Mapping[str, Any]) -> tuple[str, str]:
    """What a row is the only one of."""
    return row["run_id"], row["sample_id"]


def log_of(file: Path) -> Path:
    """What the driver of a job file writes to standard error."""
    return file.with_suffix(".log")


@contextmanager
def driver_of(file: Path, place: Place | None = None) -> Iterator[subprocess.Popen[str]]:
    """A driver in a session of its own, of whose processes nothing is left afterwards."""
    place = place or Here()
    with log_of(file).open("w") as log:
        process = subprocess.Popen(
            place.command("-m", "tests.chaos.run_job", str(file)),
            cwd=ROOT,
            env=place.environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
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
        kill(one)


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
                kill(pid)
        finally:
            os.close(handle)


def kill(pid: int) -> bool:
    """Kill -9; False where it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def title(pid: int) -> str:
    """What a process calls itself."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def fake_model(number: int, **options: Any) -> dict[str, Any]:
    """A model that takes its time; all of one family."""
    script = {"latency_s": 0.3, "latency_sigma": 0.5, "batch": 2, "parallel": 4, **options}
    return {
        "name": f"m{number}", "backend": "fake", "path": f"p{number}", "replicas": 2,
        "options": script,
    }  # fmt: skip


def tiny_model(path: Path) -> dict[str, Any]:
    """A model that computes."""
    options = {"batch_size": 1}
    return {"name": "tiny", "path": str(path), "replicas": 1, "options": options}


def fake_job(store: Path | str, **options: Any) -> dict[str, Any]:
    """Two fake models of one family on a part of ``mini:quick``; a few seconds of answers."""
    return job(store, [fake_model(number, **options) for number in range(2)])


def job(store: Path | str, models: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """A job for `start`, with an engine that is not as patient as usual."""
    return {
        "name": "chaos",
        "suite": "mini:quick",
        "store": str(store),
        "models": list(models),
        "limit": LIMIT,
        "settings": {"run_ttl_s": 2.0, "flush_s": 0.5, "flush_rows": 32, "flip_samples": 4},
        **more,
    }


def calm_run(folder: Path, tiny: Path) -> str:
    """A store with every model of these tests, never disturbed; latency is no part of an answer."""
    store = str(folder / "calm")
    models = [fake_model(number, speed=100.0) for number in range(3)]
    done = start(job(store, [*models, tiny_model(tiny)]), folder)
    assert done.code == 0, done.last
    return store
