"""Several machines: what must lose nothing at all, and everything together."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.store import Store
from tests.chaos.harness import SAMPLES, Blow, assert_same, fake_job, start
from tests.chaos.machines import Machines
from tests.chaos.soak import KINDS_OF_A_RUN, one_run

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]


def test_slow_cut_off_for_a_moment_and_drained_in_time(
    tmp_path: Path, calm: str, place: Machines
) -> None:
    job = fake_job(place.bucket(), latency_s=0.6)
    blows = [
        Blow(kind, SAMPLES * (number + 1) // 5)
        for number, kind in enumerate(("slow", "cut", "drain"))
    ]
    done = start(job, tmp_path, blows, place=place)
    assert done.code == 0, done.log
    assert done.delivered == blows
    assert_same(job, calm)
    # No answer was given twice, and no replica was lost.
    rows = Store(str(job["store"])).rows(columns=["attempt", "replica"])
    assert set(rows["attempt"].to_pylist()) == {1}
    assert done.log.count("is about to be taken away: its replicas leave it") == 1
    assert "is lost" not in done.log
    assert len(set(rows["replica"].to_pylist())) > 2
    place.assert_nothing_left()


def test_everything_at_once(tmp_path: Path, calm: str, tiny: Path, place: Machines) -> None:
    """A short sample of ``make soak``."""
    met = one_run(place, tmp_path, calm, tiny, seed=1)
    assert met.keys() == set(KINDS_OF_A_RUN)
    place.assert_nothing_left()
