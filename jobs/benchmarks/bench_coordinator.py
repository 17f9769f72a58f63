"""How many completions a second one coordinator takes: at least 5,000 on 2 cores.

``python jobs/benchmarks/bench_coordinator.py --out FILE.json``. Ten models on ``mini:full``, 60,000
samples; four callers pull as replicas do and answer at once, with rows that were marked before the
clock runs. The coordinator keeps ledgers, writes every row and commits every run to a folder. The
same job is played without Ray, in one process, and with the coordinator and the callers as actors,
polled as a driver does; the limit is that of the actor. Medians of several runs; the exit code is 1
below the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import ray

from lens_ray.engine.asking import Asking
from lens_ray.engine.cluster import Cluster
from lens_ray.engine.coordinator import Coordinator
from lens_ray.engine.driver import CoordinatorActor
from lens_ray.engine.flip import mark_of
from lens_ray.engine.messages import (
    ROWS_BYTES,
    Directive,
    Hello,
    Observed,
    Orders,
    Report,
    row_bytes,
)
from lens_ray.engine.plan import EnginePlan, ModelPlan, family_of, run_id_of
from lens_ray.engine.planner import Need, Room
from lens_ray.models.identity import identify
from lens_ray.models.protocol import BackendInfo, Completion
from lens_ray.models.spec import ModelSpec
from lens_ray.store import RunHeader, Store
from lens_ray.suites import load_suite

LIMIT = 5000.0
REPEATS = 3
MODELS, CALLERS = 10, 4
#: As an engine on a GPU: a window that is answered at once.
WINDOW = 256
TEXT = "yes"


def make_plan(folder: str) -> EnginePlan:
    """The job, its runs open in a store in the folder."""
    suite = load_suite("mini:full")
    store = Store(folder, create=True)
    store.put_suite(suite.info)
    models = []
    for number in range(MODELS):
        spec = ModelSpec(name=f"m{number}", backend="fake", path=f"weights-{number}")
        identity = identify(spec)
        run_id = run_id_of(spec, identity, suite.digest)
        header = RunHeader(
            run_id, spec.name, identity.model_key, identity.weights_digest, suite.name,
            suite.digest, spec.template, spec.backend, spec.path, spec.access, spec.step,
            spec.generation, "2026-01-01T00:00:00+00:00", "bench",
        )  # fmt: skip
        store.open_run(header)
        family = family_of(spec, identity)
        models.append(ModelPlan(number, run_id, spec.name, spec, identity, Need(1.0), family))
    return EnginePlan(
        store.url, suite.name, suite.digest, suite.location, None, None, tuple(models),
        (Room(float(CALLERS)),), job="bench",
    )  # fmt: skip


class Caller:
    """Pulls as a replica does; its answers are there at once."""

    def __init__(self, seat: int, plan: EnginePlan) -> None:
        """Make every row that it may be asked for, but for what names the model."""
        self._seat = seat
        self._plan = plan
        suite = load_suite(plan.suite)
        asking = Asking(plan.models[0], suite)
        self._rows = {
            sample.sample_id: asking.row(
                Completion(sample.sample_id, TEXT, "stop", 40, 1, 0.1, 0.9, "w" * 64),
                attempt=1, replica=f"replica-{seat}", version="1",
            )
            for sample in suite.samples
        }  # fmt: skip
        self._bytes = max(map(row_bytes, self._rows.values()))

    async def run(self, pull: Callable[[Report], Awaitable[Directive]]) -> None:
        """Until told to stop."""
        info = BackendInfo("fake", "1", WINDOW // 4, 4, can_load_weights=True)
        model, first = 0, True
        report = Report(self._seat, WINDOW, hello=Hello(model, info, first=True))
        while True:
            directive = await pull(report)
            if directive.stop:
                return
            if directive.introduce or directive.load is not None:
                model = model if directive.load is None else directive.load
                report = Report(self._seat, WINDOW, hello=Hello(model, info, first=first))
                continue
            first = False
            if directive.check:
                marks = {name: mark_of(TEXT) for name in directive.check}
                report = Report(self._seat, WINDOW, checked=marks)
                continue
            if not directive.samples:
                await asyncio.sleep(directive.wait_s)
            *parts, last = self._parts([name for name, _ in directive.samples], model)
            for rows in parts:
                await pull(Report(self._seat, rows=rows))
            report = Report(self._seat, WINDOW, rows=last)

    def _parts(self, names: list[str], model: int) -> Iterator[tuple[dict[str, object], ...]]:
        """Rows, as many as a report holds."""
        one = self._plan.models[model]
        named: dict[str, object] = {
            "run_id": one.run_id,
            "model": one.stored_name,
            "model_key": one.identity.model_key,
            "weights_digest": one.identity.weights_digest,
            "weight_version": one.identity.weights_digest,
        }
        step = max(1, ROWS_BYTES // self._bytes)
        for start in range(0, max(1, len(names)), step):
            yield tuple({**self._rows[name], **named} for name in names[start : start + step])


async def play(plan: EnginePlan) -> float:
    """Seconds from the first answer to the last commit, all in one event loop."""
    coordinator = Coordinator(plan)
    callers = [Caller(number, plan) for number in range(CALLERS)]
    there: dict[int, asyncio.Task[None]] = {}
    began = 0.0
    while True:
        observed = tuple(
            Observed(seat, 0, "it ended" if t.done() else None) for seat, t in there.items()
        )
        orders = await coordinator.poll(observed)
        if orders.outcomes is not None:
            return time.monotonic() - began
        began = began or time.monotonic()
        for one in orders.wanted:
            if one.seat not in there:
                there[one.seat] = asyncio.create_task(callers[one.seat].run(coordinator.pull))


class CallerActor(Caller):
    """`Caller` as an actor."""

    async def run_with(self, coordinator: Any) -> None:
        """As `Caller.run`."""

        async def pull(report: Report) -> Directive:
            directive: Directive = await coordinator.pull.remote(report)
            return directive

        await self.run(pull)

    def cpu(self) -> float:
        """CPU seconds of this process."""
        return time.process_time()


class MeasuredActor(CoordinatorActor):
    """The product's own, which says what it cost."""

    async def cpu(self) -> float:
        """CPU seconds of this process, its writers included."""
        return time.process_time()


def act(plan: EnginePlan) -> tuple[float, float, float]:
    """Seconds with actors; CPU seconds of the coordinator and of the callers meanwhile."""
    options: dict[str, Any] = {"num_cpus": 0, "max_task_retries": 0}
    made: Any = ray.remote(MeasuredActor)
    coordinator = made.options(**options).remote(plan)
    maker: Any = ray.remote(CallerActor)
    callers = [maker.options(**options).remote(number, plan) for number in range(CALLERS)]
    # The store is read and all rows are there before the clock runs.
    ray.get(coordinator.poll.remote(()))
    spent = ray.get([caller.cpu.remote() for caller in callers])
    own = ray.get(coordinator.cpu.remote())
    ended: dict[int, Any] = {}
    began = time.monotonic()
    while True:
        ready, _ = (
            ray.wait(list(ended.values()), num_returns=len(ended), timeout=0) if ended else ([], [])
        )
        observed = tuple(
            Observed(seat, 0, "it ended" if ref in ready else None) for seat, ref in ended.items()
        )
        orders: Orders = ray.get(coordinator.poll.remote(observed))
        if orders.outcomes is not None:
            break
        for one in orders.wanted:
            if one.seat not in ended:
                ended[one.seat] = callers[one.seat].run_with.remote(coordinator)
    seconds = time.monotonic() - began
    own = ray.get(coordinator.cpu.remote()) - own
    others = sum(ray.get([caller.cpu.remote() for caller in callers])) - sum(spent)
    for actor in (coordinator, *callers):
        ray.kill(actor)
    return seconds, own, others


def checked(plan: EnginePlan) -> int:
    """Rows of the store, after every run was committed whole."""
    store = Store(plan.store)
    for model in plan.models:
        if not store.run(model.run_id).refresh().complete:
            raise SystemExit(f"{model.spec.name} is not complete")
    return sum(state.rows for _, state in store.states())


def measure() -> dict[str, object]:
    """Medians over several runs under one Ray."""
    each = []
    with tempfile.TemporaryDirectory() as scratch, Cluster() as cluster:
        cluster.start()
        for repeat in range(REPEATS):
            plan = make_plan(f"{scratch}/plain-{repeat}")
            plain_s = asyncio.run(play(plan))
            rows = checked(plan)
            plan = make_plan(f"{scratch}/actor-{repeat}")
            actor_s, own_s, callers_s = act(plan)
            if checked(plan) != rows:
                raise SystemExit("rows are missing")
            each.append(
                {
                    "in_process_a_second": round(rows / plain_s),
                    "actor_a_second": round(rows / actor_s),
                    "coordinator_cpu_ms": round(1000 * own_s / rows, 4),
                    "callers_cpu_ms": round(1000 * callers_s / rows, 4),
                    "load": round(os.getloadavg()[0], 1),
                }
            )
    medians = {key: statistics.median(one[key] for one in each) for key in each[0]}
    return {
        "benchmark": "coordinator",
        "completions": rows,
        **medians,
        "limit_a_second": LIMIT,
        "repeats": REPEATS,
        "each": each,
        "holds": medians["actor_a_second"] >= LIMIT,
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
