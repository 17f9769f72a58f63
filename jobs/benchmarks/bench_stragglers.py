"""Real actors with pretended engines: one that is five times slower, and one that is killed.

``python jobs/benchmarks/bench_stragglers.py --out FILE.json``. Sixteen replicas answer 4,000
samples one at a time in log-normal times (sigma 0.8); one of them is five times slower. The clock
runs from the moment when the last replica gave its first answer; the ideal is the work of what is
answered later over the summed speed. Beside it: what contiguous shards of equal size would take,
and what the simulation of the same planner says of the same samples.

Then four equal replicas answer 800 samples, calm and with one of them killed in the middle: at most
1.4 of the calm time, and no more samples are handed out again than one replica holds (the window of
its engine and what lies ready for it).

Medians of several runs; the exit code is 1 above a limit. The actors sleep, so that two cores do.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lens_ray import JobSpec, ModelSpec, Store, load_suite
from lens_ray.engine.behaviour import Behaviour
from lens_ray.engine.plan import EnginePlan, Expected, ModelPlan
from lens_ray.engine.planner import Need, Room
from lens_ray.engine.progress import Progress
from lens_ray.engine.simulate import simulate
from lens_ray.evaluate import evaluate
from lens_ray.models.identity import identify
from lens_ray.suites.sample import Sample
from lens_ray.testing.fake_backend import FakeBackend

LIMITS = {"stragglers": 1.15, "kill": 1.4, "simulated": 0.10}
REPEATS = 3
REPLICAS, SAMPLES, LATENCY_S, SIGMA, SLOW = 16, 4_000, 0.25, 0.8, 5.0
KILL_REPLICAS, KILL_SAMPLES, KILL_LATENCY_S, KILL_BATCH = 4, 800, 0.4, 4
#: What a feeder keeps ready beside its window, in batches, at this rate (`Feeder.room`).
READY = 2

Row = Mapping[str, Any]


def model_of(replicas: int, latency_s: float, **options: Any) -> ModelSpec:
    """The pretended model."""
    given = {"latency_s": latency_s, "latency_sigma": SIGMA, **options}
    return ModelSpec(name="fake", backend="fake", replicas=replicas, options=given)


def seconds_of(model: ModelSpec, samples: list[Sample]) -> dict[str, float]:
    """What each answer takes on a replica of speed 1."""
    backend = FakeBackend(model, model.path)
    return {sample.sample_id: backend.latency(sample.sample_id) for sample in samples}


def answer(
    model: ModelSpec, count: int, store: str, watch: Callable[[Progress], None] | None = None
) -> list[Row]:
    """Run the job; its rows in the order in which they came."""
    job = JobSpec(name="bench", suite="mini:full", store=store, models=(model,), limit=count)
    report = evaluate(job, on_progress=watch)
    if report.exit_code:
        raise SystemExit(f"the job ended with {report.exit_code}: {report.models}")
    rows = Store(store).rows(columns=["sample_id", "replica", "attempt", "created_at"]).to_pylist()
    assert len(rows) == len({row["sample_id"] for row in rows}) == count
    return sorted(rows, key=lambda row: row["created_at"])


def after_start(rows: list[Row]) -> tuple[datetime, list[Row]]:
    """When the last replica gave its first answer, and the rows since."""
    first: dict[str, datetime] = {}
    for row in rows:
        first.setdefault(row["replica"], row["created_at"])
    begin = max(first.values())
    return begin, [row for row in rows if row["created_at"] > begin]


def straggler(scratch: str, repeat: int) -> dict[str, float]:
    """Sixteen replicas, one slow."""
    model = model_of(
        REPLICAS, LATENCY_S, seed=repeat, slow_replicas=1, slow_factor=SLOW,
        state_dir=f"{scratch}/slow-{repeat}",
    )  # fmt: skip
    samples = load_suite("mini:full").select(None, SAMPLES)
    times = seconds_of(model, list(samples))
    rows = answer(model, SAMPLES, f"{scratch}/store-{repeat}")
    begin, later = after_start(rows)
    speeds = [1.0 / SLOW] + [1.0] * (REPLICAS - 1)
    took = (later[-1]["created_at"] - begin).total_seconds()
    ideal = sum(times[row["sample_id"]] for row in later) / sum(speeds)
    size = -(-SAMPLES // REPLICAS)
    order = [times[sample.sample_id] for sample in samples]
    shards = [sum(order[at : at + size]) for at in range(0, SAMPLES, size)]
    whole = sum(order) / sum(speeds)
    static = max(shard / speed for shard, speed in zip(shards, speeds, strict=True)) / whole
    asked = {row["sample_id"] for row in later}
    said = simulated(model, [sample for sample in samples if sample.sample_id in asked], times)
    return {
        "took_s": took,
        "ideal_s": ideal,
        "ratio": took / ideal,
        "static": static,
        "samples": len(later),
        "simulated_s": said,
        "simulated_error": said / took - 1,
    }


def simulated(model: ModelSpec, samples: list[Sample], times: Mapping[str, float]) -> float:
    """Seconds that the same planner takes in simulated time for the same samples."""
    suite = load_suite("mini:full")
    each = sum(times[sample.sample_id] for sample in samples) / len(samples)
    one = ModelPlan(
        0, "run", "fake", model, identify(model), Need(0.2), "fake", Expected(each, 0.0)
    )
    plan = EnginePlan(
        "", suite.name, suite.digest, "", None, None, (one,), (Room(float(REPLICAS)),)
    )
    done = simulate(
        plan, suite, [samples], [Behaviour(each, start_s=0.0)],
        speed=lambda seat: 1.0 / SLOW if seat == 0 else 1.0,
        work=lambda _, name: times[name] / each,
    )  # fmt: skip
    return done.answered_s


class Killer:
    """Kills one replica once half of the samples are answered."""

    def __init__(self, count: int) -> None:
        self.killed = False
        self._count = count

    def __call__(self, progress: Progress) -> None:
        """Look, and strike once."""
        done = sum(n for one in progress.models for n, _ in one.abilities.values())
        if self.killed or 2 * done < self._count:
            return
        for stat in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                title = stat.read_bytes()
                ours = _ancestor(int(stat.parent.name), os.getpid())
            except OSError:  # it has ended meanwhile
                continue
            if ours and title.startswith(b"ray::ReplicaActor"):
                os.kill(int(stat.parent.name), signal.SIGKILL)
                self.killed = True
                return


def _ancestor(pid: int, of: int) -> bool:
    """Whether a process was started by another, or by one that it started."""
    while pid > 1:
        if pid == of:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def kill(scratch: str, repeat: int) -> dict[str, float]:
    """Four replicas, calm and with one killed."""
    took = {}
    again = 0
    for name in ("calm", "killed"):
        model = model_of(
            KILL_REPLICAS, KILL_LATENCY_S, seed=repeat, batch=KILL_BATCH,
        )  # fmt: skip
        killer = Killer(KILL_SAMPLES) if name == "killed" else None
        rows = answer(model, KILL_SAMPLES, f"{scratch}/{name}-{repeat}", killer)
        assert killer is None or killer.killed
        first: dict[str, datetime] = {}
        for row in rows:
            first.setdefault(row["replica"], row["created_at"])
        # The replica that replaces the dead one starts later than the four.
        begin = sorted(first.values())[KILL_REPLICAS - 1]
        later = [row for row in rows if row["created_at"] > begin]
        took[name] = (later[-1]["created_at"] - begin).total_seconds() / len(later)
        again = sum(row["attempt"] - 1 for row in rows)
    return {**took, "ratio": took["killed"] / took["calm"], "again": again}


def measure() -> dict[str, object]:
    """Both, several times, under one Ray."""
    import ray

    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    ray.init(
        address="local", num_cpus=REPLICAS, include_dashboard=False, log_to_driver=False,
        object_store_memory=80 * 2**20,
    )  # fmt: skip
    try:
        with tempfile.TemporaryDirectory() as scratch:
            slow = [straggler(scratch, repeat) for repeat in range(REPEATS)]
            dead = [kill(scratch, repeat) for repeat in range(REPEATS)]
    finally:
        ray.shutdown()
    ratio = statistics.median(one["ratio"] for one in slow)
    error = statistics.median(abs(one["simulated_error"]) for one in slow)
    killed = statistics.median(one["ratio"] for one in dead)
    window = KILL_BATCH * (1 + READY)
    again = max(one["again"] for one in dead)
    return {
        "benchmark": "stragglers",
        "stragglers": round(ratio, 4),
        "static": round(statistics.median(one["static"] for one in slow), 4),
        "simulated_error": round(error, 4),
        "kill": round(killed, 4),
        "handed_out_again": again,
        "held_by_one": window,
        "limits": LIMITS,
        "repeats": REPEATS,
        "each": {"stragglers": slow, "kill": dead},
        "holds": ratio <= LIMITS["stragglers"]
        and killed <= LIMITS["kill"]
        and error <= LIMITS["simulated"]
        and again <= window,
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
