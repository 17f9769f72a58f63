"""A watch on several machines: its driver dies, and another machine's goes on."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lens_ray.online.marker import MARKER, Marker
from lens_ray.store import Store
from lens_ray.suites.suite import load_suite
from lens_ray.testing.fake_evaluator import write_checkpoint
from tests.chaos.harness import ROOT, kill
from tests.chaos.machines import Machines

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

ANCHOR = 121
STEPS = (100, 200, 300)


def spec(folder: Path, store: str) -> dict[str, Any]:
    script = {
        "batch": 1, "parallel": 4, "hang_ids": [hanging()], "times": 1, "state_dir": str(folder),
    }  # fmt: skip
    return {
        "name": "w", "suite": "mini:quick", "store": store, "policy": "all", "poll_s": 0.2,
        "settle_s": 0.0,
        "runs": [{"name": "a", "path": str(folder / "a"), "planned_steps": STEPS[-1]}],
        "model": {"backend": "fake", "replicas": 1, "options": script},
    }  # fmt: skip


def hanging() -> str:
    """An anchor sample that has no answer where `struck` is away."""
    return load_suite("mini:quick").select(None, splits=("anchor",))[0].sample_id


def struck(folder: Path) -> Path:
    """The fake backend's note that the sample hung once: it hangs no more."""
    mark = hashlib.sha256(f"hang\0{hanging()}".encode()).hexdigest()[:32]
    return folder / f"{mark}.0"


def train(folder: Path, *steps: int) -> None:
    for step in steps:
        made = Path(write_checkpoint(folder / "a" / f"step-{step}", step))
        (made / MARKER).write_bytes(Marker(step=step, announced_at="t").to_bytes())


@contextmanager
def watcher(place: Machines, node: str, file: Path) -> Iterator[subprocess.Popen[str]]:
    with file.with_suffix(f".{node}.log").open("w") as log:
        process = subprocess.Popen(
            place.cluster.command(node, [sys.executable, "-m", "tests.chaos.run_watch", str(file)]),
            cwd=ROOT,
            env=place.environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        yield process
    finally:
        place.deliver("driver", process.pid, random.Random(0))
        kill(process.pid)
        process.wait()
        process.stdout.close()


def said(process: subprocess.Popen[str], until: str | None = None) -> Iterator[dict[str, Any]]:
    """What a watcher tells, to its end; or only the first fact of a kind."""
    assert process.stdout is not None
    for line in process.stdout:
        fact = json.loads(line) if line.startswith("{") else {}
        if fact and until is None:
            yield fact
        elif until in fact:
            yield fact
            return


def rows_of(store: str) -> dict[int, int]:
    """Samples with a row, by step."""
    opened = Store(store)
    return {
        int(str(header.step)): len(opened.run(header.run_id).refresh().done)
        for header in opened.runs()
    }


def test_a_dead_driver_is_replaced_by_one_of_another_machine(
    tmp_path: Path, place: Machines
) -> None:
    store = place.bucket()
    file = tmp_path / "watch.json"
    file.write_text(json.dumps(spec(tmp_path, store)))
    struck(tmp_path).touch()
    train(tmp_path, 100)
    with watcher(place, "head", file) as first:
        answers = list(said(first, "status"))
        assert [(one["step"], one["status"]) for one in answers] == [(100, "complete")]
        # The next one cannot come to its end: whenever the driver is killed, it is in the middle.
        struck(tmp_path).unlink()
        train(tmp_path, 200)
        with watcher(place, place.workers[0], file) as second:
            while rows_of(store).get(200, 0) < ANCHOR - 1:
                assert first.poll() is None
                time.sleep(0.1)
            assert place.deliver("driver", first.pid, random.Random(0))
            first.wait()
            train(tmp_path, 300)
            after = list(said(second))
            assert second.wait() == 0, file.with_suffix(f".{place.workers[0]}.log").read_text()
    # Of the second what had no row, and nothing of the first.
    taken = [one for one in after if "status" in one]
    assert [(one["step"], one["status"]) for one in taken] == [(200, "complete"), (300, "complete")]
    assert [one["asked"] for one in taken] == [1, ANCHOR]
    assert [one["swapped"] for one in taken] == [False, True]
    assert after[-1] == {"runs": 1}
    assert rows_of(store) == dict.fromkeys(STEPS, ANCHOR)
    assert Store(store).check() == []
    place.assert_nothing_left()
