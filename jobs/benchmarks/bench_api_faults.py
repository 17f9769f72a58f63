"""10,000 questions to models behind a provider's interface, of whom a fifth of the calls fail.

``python jobs/benchmarks/bench_api_faults.py --out FILE.json``; the scripted provider is this
process'. The job is done once without faults and once with 20 % mixed ones while its driver and
its replicas are killed (kill -9) and it is started again. The exit code is 1 where a sample has
not exactly one row, a text or a score differs, or more was paid twice than was in flight.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lens_ray import Store, load_suite
from lens_ray.testing.processes import descendants
from lens_ray.testing.provider import (
    Counts,
    Latency,
    ProviderServer,
    Script,
    SuiteTruth,
    mixed_faults,
)

SUITE = "mini:full"
CONCURRENCY = 32
#: Calls and answers not yet durable of one model: see `lens_ray.models.api.backend`.
IN_FLIGHT = CONCURRENCY + CONCURRENCY // 4 + 4
_ROWS = ["run_id", "sample_id", "status", "text", "score"]


@dataclass
class Run:
    """A job that was started until it was done.

    Attributes:
        seconds: It took.
        starts: How often it was started.
        kills: Who was killed.
        rss_mb: Of the driver, ten times a second.
    """

    seconds: float = 0.0
    starts: int = 0
    kills: list[str] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)


def job_file(folder: Path, store: Path, server: ProviderServer, limit: int | None) -> Path:
    """A job with a model of two protocols."""
    options = {"concurrency": CONCURRENCY, "timeout_s": 20}
    models = [
        {"name": "gpt", "backend": "openai", "path": "scripted-gpt", "access": "closed",
         "options": {**options, "base_url": server.openai_url}},
        {"name": "claude", "backend": "anthropic", "path": "scripted-claude", "access": "closed",
         "options": {**options, "base_url": server.url}},
    ]  # fmt: skip
    job: dict[str, object] = {
        "name": "api-faults", "suite": SUITE, "store": str(store), "models": models,
    }  # fmt: skip
    if limit is not None:
        job["limit"] = limit
    file = folder / f"{store.name}.yaml"
    file.write_text(json.dumps(job))
    return file


def run(file: Path, server: ProviderServer, kills: Sequence[tuple[str, int]]) -> Run:
    """Start a job until it is done; kill whom at so many answers of the server."""
    done, waiting, began = Run(), list(kills), time.monotonic()
    while True:
        done.starts += 1
        driver = subprocess.Popen(
            [sys.executable, "-m", "lens_ray", "run", str(file)],
            stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        while driver.poll() is None:
            time.sleep(0.1)
            done.rss_mb.append(rss_mb(driver.pid))
            due = waiting and server.counts.answers >= waiting[0][1]
            if due and _kill(driver.pid, waiting[0][0]):
                done.kills.append(waiting.pop(0)[0])
        if driver.returncode != -signal.SIGKILL:
            done.seconds = time.monotonic() - began
            if driver.returncode:
                raise SystemExit(f"{file} ended with {driver.returncode}")
            return done
        time.sleep(20)  # until the dead driver's lease is over


def compare(calm: Path, store: Path) -> dict[str, int]:
    """Samples, and those of whom anything differs."""
    stores = [Store(str(place)) for place in (calm, store)]
    by_sample = [("run_id", "ascending"), ("sample_id", "ascending")]
    wanted, found = (one.rows(columns=_ROWS).sort_by(by_sample).to_pylist() for one in stores)
    by_ability = [("run_id", "ascending"), ("ability", "ascending")]
    scores = [one.scores().sort_by(by_ability) for one in stores]
    return {
        "samples": len(wanted),
        "rows": len(found),
        "unanswered": sum(row["status"] in ("infra_error", "over_budget") for row in found),
        "different": sum(a != b for a, b in zip(wanted, found, strict=False)),
        "scores_equal": int(scores[0].equals(scores[1])),
    }


def measure(limit: int | None) -> dict[str, object]:
    """Both jobs."""
    truth = SuiteTruth(load_suite(SUITE), 0.8)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with ProviderServer(Script(truth=truth, latency=Latency(median_s=0.1))) as server:
            port = server.port
            calm = run(job_file(folder, folder / "calm", server, limit), server, [])
            total = server.counts.answers
        script = Script(
            truth=truth, latency=Latency(median_s=0.1, sigma=0.5), faults=mixed_faults(0.2)
        )
        kills = [("replica", total // 5), ("driver", total // 2), ("limiter", total * 7 // 10)]
        with ProviderServer(script, port=port) as server:
            faulty = run(job_file(folder, folder / "faulty", server, limit), server, kills)
            counts: Counts = server.counts
        same = compare(folder / "calm", folder / "faulty")
    most = 3 * IN_FLIGHT  # a replica, and a driver with its two
    holds = (
        same["rows"] == same["samples"] == total
        and not same["different"]
        and not same["unanswered"]
        and bool(same["scores_equal"])
        and counts.paid_again <= most
        and len(faulty.kills) == len(kills)
    )
    return {
        "benchmark": "api_faults",
        **same,
        "faults": sum(counts.faults.values()),
        "faults_by_kind": dict(counts.faults),
        "answers_paid": counts.answers,
        "spoilt_by_faults": counts.spoilt,
        "paid_twice": counts.paid_again,
        "paid_twice_limit": most,
        "calm_s": round(calm.seconds, 1),
        "faulty_s": round(faulty.seconds, 1),
        "starts": faulty.starts,
        "killed": faulty.kills,
        "driver_rss_mb": _quarters(calm.rss_mb),
        "holds": holds,
    }


def rss_mb(pid: int) -> float:
    """Resident memory of a process; 0 where it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _quarters(values: Sequence[float]) -> list[float]:
    """The most in each quarter of the time."""
    step = max(1, len(values) // 4)
    return [round(max(values[at : at + step]), 1) for at in range(0, 4 * step, step) if values[at:]]


def _kill(driver: int, whom: str) -> bool:
    titles = {"replica": b"ray::ReplicaActor", "limiter": b"ray::Limiter"}
    family = descendants(driver)
    if whom == "driver":
        for pid in (driver, *family):
            _end(pid)
        return True
    for pid in family:
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(titles[whom]):
                _end(pid)
                return True
        except OSError:
            continue
    return False


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", help="JSON file")
    parser.add_argument("--limit", type=int, help="questions to each model (default: 6,012)")
    given = parser.parse_args()
    found = measure(given.limit)
    print(json.dumps(found, indent=2))
    if given.out:
        Path(given.out).write_text(json.dumps(found, indent=2) + "\n")
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
