"""Kill -9 at random moments; the same command again ends as if nothing had happened."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from lens_ray.store import Store
from lens_ray.testing.fault_proxy import FaultProxy
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from tests.buckets import MIXED
from tests.chaos.harness import (
    KINDS,
    SAMPLES,
    answers,
    assert_same,
    calm_run,
    driver_of,
    fake_job,
    job,
    random_kills,
    scores,
    start,
    start_until_done,
)

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the undisturbed job leaves; latency is no part of an answer."""
    folder = tmp_path_factory.mktemp("calm")
    return calm_run(fake_job(folder / "unused", speed=100.0), folder)


@pytest.mark.parametrize("kind", KINDS)
def test_three_kills_of_a_kind(tmp_path: Path, calm: str, kind: str) -> None:
    kills = random_kills([kind] * 3, SAMPLES, seed=KINDS.index(kind))
    starts, delivered = start_until_done(fake_job(tmp_path / "store"), tmp_path, kills)
    assert delivered == kills
    assert len(starts) >= (4 if kind == "driver" else 1)
    assert_same(str(tmp_path / "store"), calm)


def test_three_kills_with_a_real_model(tmp_path: Path) -> None:
    tiny = {
        "name": "tiny",
        "path": make_tiny_checkpoint(tmp_path / "tiny"),
        "options": {"batch_size": 1},
        "replicas": 1,
    }
    quiet = job(tmp_path / "unused", [tiny], limit=500)
    calm = calm_run(quiet, tmp_path)
    kills = random_kills(KINDS, 500, seed=7, until=0.6)
    store = str(tmp_path / "store")
    starts, delivered = start_until_done({**quiet, "store": store}, tmp_path, kills)
    assert delivered == kills
    assert starts[-1].last["flips"] == {"tiny": 0.0}
    assert answers(store).equals(answers(calm))
    assert scores(store).equals(scores(calm))


def test_sigterm_keeps_what_was_answered_and_gives_the_runs_back(tmp_path: Path) -> None:
    store = tmp_path / "store"
    file = tmp_path / "job.json"
    # Nothing would be written for minutes, and a dead driver's lease would hold for one.
    patient = {"run_ttl_s": 60.0, "flush_s": 600.0, "flush_rows": 100_000}
    file.write_text(json.dumps({**fake_job(store), "settings": patient}))
    seen = 0
    with driver_of(file) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if said.get("done", 0) >= SAMPLES // 4 and not seen:
                seen = said["done"]
                process.send_signal(signal.SIGTERM)
        assert process.wait() == 130
    assert said == {"error": "interrupted", "exit": 130}
    assert Store(str(store)).rows().num_rows >= seen > 0
    again = start(fake_job(store, speed=100.0), tmp_path)
    assert again.code == 0, again.last


def test_the_same_job_twice_at_once(tmp_path: Path, calm: str) -> None:
    store = tmp_path / "store"
    first = tmp_path / "first.json"
    first.write_text(json.dumps(fake_job(store)))
    with driver_of(first) as process:
        assert process.stdout is not None
        assert "done" in json.loads(process.stdout.readline())
        second = start(fake_job(store), tmp_path)
        assert second.code == 5
        assert f"pid {process.pid}" in second.last["error"]
        assert "is at work on it" in second.last["error"]
        for line in process.stdout:
            last = json.loads(line)
        assert process.wait() == 0, last
    assert_same(str(store), calm)


def test_kills_over_a_bucket_that_fails(
    tmp_path: Path, calm: str, bucket_url: str, proxy: FaultProxy
) -> None:
    for fault in MIXED:
        proxy.add(fault)
    kills = random_kills(KINDS, SAMPLES, seed=11)
    quiet = {**fake_job(tmp_path / "unused"), "store": bucket_url}
    _, delivered = start_until_done(quiet, tmp_path, kills)
    assert delivered == kills
    assert sum(seen.fault is not None for seen in proxy.seen) > 20
    proxy.clear()
    assert_same(bucket_url, calm)
