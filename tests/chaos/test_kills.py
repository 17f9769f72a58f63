"""Kill -9 at random moments; the same command again ends as if nothing had happened."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from lens_ray.store import Store
from lens_ray.testing.fault_proxy import FaultProxy
from tests.buckets import MIXED
from tests.chaos.harness import (
    KINDS,
    SAMPLES,
    assert_same,
    driver_of,
    fake_job,
    random_blows,
    start,
    start_until_done,
)

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


def test_each_is_killed_over_a_bucket_that_fails(
    tmp_path: Path, calm: str, bucket_url: str, proxy: FaultProxy
) -> None:
    for fault in MIXED:
        proxy.add(fault)
    job = fake_job(bucket_url)
    kills = random_blows((*KINDS, "coordinator", "replica"), SAMPLES, seed=11)
    starts, delivered = start_until_done(job, tmp_path, kills)
    assert delivered == kills
    assert len(starts) == 2
    assert starts[-1].last["flips"] == {"m0": 0.0, "m1": 0.0}
    assert sum(seen.fault is not None for seen in proxy.seen) > 20
    proxy.clear()
    assert_same(job, calm)


def test_started_twice_one_is_refused_and_sigterm_keeps_what_the_other_answered(
    tmp_path: Path, calm: str
) -> None:
    store = tmp_path / "store"
    file = tmp_path / "first.json"
    # Nothing would be written for minutes, and a dead driver's lease would hold for longer than the
    # 30 s that the next one waits. The second start knows of the first when it renews: 9 s.
    patient = {"run_ttl_s": 36.0, "flush_s": 600.0, "flush_rows": 100_000}
    # So slow that the second start is there long before its end, however busy the machine is.
    file.write_text(json.dumps({**fake_job(store, speed=0.1), "settings": patient}))
    seen = 0
    with driver_of(file) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if said.get("done", 0) >= SAMPLES // 8 and not seen:
                seen = said["done"]
                second = start(fake_job(store), tmp_path)
                process.send_signal(signal.SIGTERM)
        assert process.wait() == 130
    assert second.code == 5
    assert f"pid {process.pid}" in second.last["error"]
    assert "is at work on it" in second.last["error"]
    assert said == {"error": "interrupted", "exit": 130}
    assert Store(str(store)).rows().num_rows >= seen > 0
    again = start(fake_job(store, speed=100.0), tmp_path)
    assert again.code == 0, again.last
    assert_same(fake_job(store), calm)
