"""A watcher that is killed again and again: ``python -m tests.online.kill_ground ARGUMENTS``.

The process imports everything once and forks a watcher for each life, so that a life costs no
start of Python. While watchers live and die, new checkpoints appear, some of them half first.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from lens_ray.online import watcher
from lens_ray.online.findings import Findings
from lens_ray.online.marker import MARKER, Marker
from lens_ray.online.spec import RunSpec, WatchSpec
from lens_ray.online.watcher import WatchSettings, caught_up, watch
from lens_ray.store import Store
from lens_ray.suites.suite import load_suite
from lens_ray.testing.fake_evaluator import FakeEvaluator, write_checkpoint

#: Samples of one append.
BATCH = 3
RUNS = ("a", "b")


def spec_of(root: Path, url: str, suite: str) -> WatchSpec:
    runs = tuple(RunSpec(name=run, path=str(root / run)) for run in RUNS)
    return WatchSpec(
        name="w", suite=suite, store=url, runs=runs, policy="all", ask="full", poll_s=0.01,
        settle_s=0.1,
    )  # fmt: skip


def accuracy(ability: str, step: int) -> float:
    return min(0.9, step / 2000)


def live(root: Path, url: str, suite: str, pause_s: float) -> None:
    """One life of a watcher, to the end of what there is."""
    store = Store(url, create=True)
    evaluator = FakeEvaluator(
        store, load_suite(suite), accuracy, batch=BATCH, pause_s=pause_s, log=root / "asked.log"
    )
    watch(
        spec_of(root, url, suite), store, evaluator, until=caught_up,
        settings=WatchSettings(ttl_s=0.2),
    )  # fmt: skip


def grow(root: Path, number: int) -> None:
    """A new checkpoint of each run: announced, or at first without its weights."""
    for run in RUNS:
        step = 100 * (number + 1)
        half = root / run / f"step-{step - 100}/kept"
        if half.exists():
            half.rename(half.with_name("model.safetensors"))
        at = Path(write_checkpoint(root / run / f"step-{step}", RUNS.index(run) * 10_000 + step))
        if number % 2:
            (at / "model.safetensors").rename(at / "kept")
        else:
            (at / MARKER).write_bytes(Marker(step=step, announced_at="t").to_bytes())


def unfinished(spec: WatchSpec, store: Store, run: RunSpec, **_: object) -> Findings:
    """Findings are looked at once, at the end: a look at each answer would take all the time."""
    return Findings(run.name, None)


def main(root: Path, url: str, suite: str, moments: int, seed: int) -> None:
    vars(watcher)["assess"] = unfinished
    chance = random.Random(seed)
    kills = 0
    for number in range(moments + 2):
        last = number >= moments
        if number < moments + 1 - moments % 2:
            grow(root, number)
        pid = os.fork()
        if not pid:
            try:
                live(root, url, suite, 0.0 if number > moments else 0.02)
                os._exit(0)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
        if not last:
            time.sleep(chance.uniform(0.02, 0.5))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            kills += 1
        elif os.waitstatus_to_exitcode(status):
            raise SystemExit("a watcher failed")
    print(f"{kills} kills")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
