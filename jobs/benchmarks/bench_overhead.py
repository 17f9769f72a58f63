"""What the engine itself costs: CPU a sample over all its processes, and the rate that it leaves.

``python jobs/benchmarks/bench_overhead.py --out FILE.json``. The model is a fake that serves 300
samples a second in a window of 40 (what vLLM does with the built-in model on 2 cores) and uses no
CPU to speak of. Two limits: at most 0.4 ms of CPU a sample, as the slope between a short and a long
job, over driver, coordinator, replica and Ray's own processes, less what the fake itself takes in a
bare loop beside it; and at least 0.98 of the rate of that loop, in a process that does nothing
else. Medians of several pairs; the exit code is 1 where one of them fails. Other work on the
machine makes the same instructions take more CPU: the loop's own figure shows by how much.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lens_ray import JobSpec, ModelSpec, Store
from lens_ray.engine.cluster import Cluster
from lens_ray.engine.progress import Progress
from lens_ray.evaluate import evaluate
from lens_ray.models.protocol import Generation, Request
from lens_ray.testing.fake_backend import FakeBackend

CPU_MS = 0.4
RATE = 0.98
REPEATS = 3
SERVED = 300.0
WINDOW = 40
SHORT, LONG = 1000, 6000
OPTIONS: dict[str, Any] = {"latency_s": WINDOW / SERVED, "parallel": WINDOW}


class Spent:
    """CPU of this process and all below it; looked at often, as Ray reaps who ends unseen.

    What the looking itself takes (some 8 ms a look) is no cost of the engine and is left out.
    """

    def __init__(self, without: int) -> None:
        """Begin; one process that is no part of what is measured is left out."""
        self._without = without
        self._ticks: dict[int, int] = {}
        self._looked = 0.0
        self._looking = 0.0
        self._before = self.look()

    def watch(self, progress: Progress) -> None:
        """Look once a second, as a look costs some milliseconds, and at the end."""
        over = all(model.state in ("done", "failed") for model in progress.models)
        if over or time.monotonic() - self._looked > 1:
            self._looked = time.monotonic()
            self.look()

    def look(self) -> float:
        """Seconds so far."""
        began = time.thread_time()
        found: dict[int, tuple[int, int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                after_name = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks = sum(map(int, after_name[11:13]))
            found[int(stat.parent.name)] = int(after_name[1]), ticks
        level = {os.getpid()}
        while level:
            self._ticks.update({pid: found[pid][1] for pid in level if pid in found})
            level = {pid for pid, (parent, _) in found.items() if parent in level}
            level.discard(self._without)
        total = sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK") - self._looking
        self._looking += time.thread_time() - began
        return total

    @property
    def seconds(self) -> float:
        """Since this was made."""
        return self.look() - self._before


async def bare() -> tuple[float, float]:
    """The fake in a bare loop, until the standard input ends.

    Returns:
        Samples a second, and CPU seconds of one.
    """
    backend = FakeBackend(ModelSpec(name="fake", backend="fake", options=OPTIONS), "fake")
    await backend.start()
    answered = 0

    async def ask(number: int) -> None:
        nonlocal answered
        while True:
            request = Request(f"{number}/{answered}", "how many?", (), Generation())
            async for _ in backend.generate([request]):
                answered += 1

    tasks = [asyncio.create_task(ask(number)) for number in range(WINDOW)]
    began, spent = time.monotonic(), time.process_time()
    while not select.select([sys.stdin], [], [], 0)[0]:
        await asyncio.sleep(0.1)
    rate = answered / (time.monotonic() - began)
    each = (time.process_time() - spent) / answered
    for task in tasks:
        task.cancel()
    return rate, each


@contextmanager
def beside() -> Iterator[subprocess.Popen[str]]:
    """A bare loop in a process of its own, which says its rate when its input is closed."""
    command = [sys.executable, __file__, "--bare"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def one(samples: int, store: str) -> tuple[float, float, float, float]:
    """CPU seconds of a job, its samples a second; rate and CPU a sample of the loop meanwhile."""
    model = ModelSpec(name="fake", backend="fake", replicas=1, options=OPTIONS)
    job = JobSpec(name="cost", suite="mini:full", store=store, models=(model,), limit=samples)
    with beside() as process:
        spent = Spent(process.pid)
        report = evaluate(job, on_progress=spent.watch)
        seconds = spent.seconds
        bare_rate, bare_s = json.loads(process.communicate()[0])
    if report.exit_code:
        raise SystemExit(f"the job ended with {report.exit_code}: {report.models}")
    commit = Store(store).run(str(report.models[0].run_id)).refresh().commit
    assert commit is not None
    facts: Any = commit.facts
    return seconds, float(facts["answered"]) / float(facts["answering_s"]), bare_rate, bare_s


def measure() -> dict[str, object]:
    """Medians over several pairs under one Ray."""
    pairs = []
    with tempfile.TemporaryDirectory() as scratch, Cluster() as cluster:
        cluster.start()
        one(SHORT, f"{scratch}/warm")
        for repeat in range(REPEATS):
            short, *_ = one(SHORT, f"{scratch}/short-{repeat}")
            long, rate, bare_rate, bare_s = one(LONG, f"{scratch}/long-{repeat}")
            total_ms = 1000 * (long - short) / (LONG - SHORT)
            pairs.append(
                {
                    "cpu_ms": total_ms - 1000 * bare_s,
                    "total_cpu_ms": total_ms,
                    "fake_cpu_ms": 1000 * bare_s,
                    "rate": rate / bare_rate,
                    "rate_against_script": rate / SERVED,
                    "bare_against_script": bare_rate / SERVED,
                    "load": os.getloadavg()[0],
                }
            )
    cpu_ms = statistics.median(pair["cpu_ms"] for pair in pairs)
    rate = statistics.median(pair["rate"] for pair in pairs)
    return {
        "benchmark": "overhead",
        "cpu_ms_a_sample": round(cpu_ms, 4),
        "cpu_ms_limit": CPU_MS,
        "rate_against_bare": round(rate, 4),
        "rate_limit": RATE,
        "repeats": REPEATS,
        "each": pairs,
        "holds": cpu_ms <= CPU_MS and rate >= RATE,
    }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.bare:
        print(json.dumps(asyncio.run(bare())))
        return 0
    out = chosen.out
    result = measure()
    text = json.dumps(result, indent=1)
    print(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
