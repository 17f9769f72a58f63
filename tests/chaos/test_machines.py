"""Several machines: what must lose nothing at all, and everything together."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.store import Store
from tests.chaos.harness import SAMPLES, Blow, assert_same, fake_job, start
from tests.chaos.machines import Machines
from tests.chaos.soak import KINDS_OF_A_RUN, one_run

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]


def test_slow_cut_off_for_a_moment_drained_in_time_and_lost(
    tmp_path: Path, calm: str, place: Machines
) -> None:
    # So slow that there is work for the last machine too: a drain and a start take some 10 s.
    job = fake_job(place.bucket(), latency_s=1.2)
    kinds = ("slow", "cut", "drain", "node")
    blows = [Blow(kind, SAMPLES * (number + 1) // 10) for number, kind in enumerate(kinds)]
    done = start(job, tmp_path, blows, place=place)
    assert done.code == 0, done.log
    assert done.delivered == blows
    assert_same(job, calm)
    # Of the first three no answer is lost; of the last what was in flight, without suspicion.
    before, notice, after = done.log.partition("is about to be taken away: its replicas leave it")
    assert notice
    assert "is lost" not in before
    lost = [line for line in after.splitlines() if "is lost" in line]
    # None where others had answered its samples, as the last of a job, before Ray missed it.
    assert len(lost) <= 2, done.log
    assert all(line.endswith(": ActorDiedError: its machine is gone") for line in lost)
    rows = Store(str(job["store"])).rows(columns=["attempt", "replica"])
    assert set(rows["attempt"].to_pylist()) <= {1, 2}
    assert len(set(rows["replica"].to_pylist())) > 2
    place.assert_nothing_left()


def test_everything_at_once(tmp_path: Path, calm: str, tiny: Path, place: Machines) -> None:
    """A short sample of ``make soak``."""
    met = one_run(place, tmp_path, calm, tiny, seed=1)
    assert met.keys() == set(KINDS_OF_A_RUN)
    place.assert_nothing_left()
