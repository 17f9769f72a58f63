"""Warm replicas that die, that are refused, that others want: no checkpoint is lost by it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lens_ray import Store
from lens_ray.engine.cluster import Cluster
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from lens_ray.warm import WarmEvaluator
from tests.warm_stage import ANCHOR, SETTINGS, ask, question, replicas, until

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Cluster]:
    """One Ray for all of them; an evaluator uses the one that its process has."""
    with Cluster() as one:
        one.start()
        yield one


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[WarmEvaluator]:
    one = WarmEvaluator(str(tmp_path / "store"), "mini:quick", settings=SETTINGS)
    yield one
    one.close()


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lens_ray.engine")


def test_a_cold_engine_gives_the_same_answers(warm: WarmEvaluator, tmp_path: Path) -> None:
    for step in (100, 200):
        ask(warm, step, seed=3)
    cold = WarmEvaluator(str(tmp_path / "cold"), "mini:quick", settings=SETTINGS)
    answer = ask(cold, 200, seed=3)
    cold.close()
    columns = ["sample_id", "text", "score"]
    stores = [Store(str(tmp_path / name)) for name in ("store", "cold")]
    one, two = (s.rows([str(answer.run_id)], columns=columns).sort_by("sample_id") for s in stores)
    assert one.num_rows == ANCHOR
    assert one.equals(two)


def test_a_warm_replica_that_died_is_no_error(
    warm: WarmEvaluator, caplog: pytest.LogCaptureFixture
) -> None:
    ask(warm, 100)
    [there] = replicas()
    os.kill(there, signal.SIGKILL)
    answer = ask(warm, 200)
    assert (answer.status, answer.asked, answer.swapped) == ("complete", ANCHOR, False)
    assert there not in replicas()
    assert not [record for record in caplog.records if "lost" in record.message]


def test_another_family_is_a_cold_start_and_said_so(
    warm: WarmEvaluator, caplog: pytest.LogCaptureFixture
) -> None:
    ask(warm, 100)
    ask(warm, 200, answer="hash")
    found = [r.message for r in caplog.records if "cold start" in r.message]
    assert len(found) == 1
    assert "run@200: cold start: the warm replicas are of another" in found[0]
    assert ask(warm, 300, answer="hash").swapped
    assert len(replicas()) <= 2  # cores of this machine that Ray was given, one each


def test_a_refused_swap_ends_as_a_cold_start(
    warm: WarmEvaluator, caplog: pytest.LogCaptureFixture
) -> None:
    ask(warm, 100, load_error="no")
    answer = ask(warm, 200, load_error="no")
    assert (answer.status, answer.asked, answer.swapped) == ("complete", ANCHOR, False)
    assert [r.message for r in caplog.records if "cold start instead of a swap: no" in r.message]


def test_who_does_not_bear_a_swap_is_not_kept(warm: WarmEvaluator) -> None:
    ask(warm, 100, stale=True)
    assert ask(warm, 200, stale=True).swapped is False


def test_a_checkpoint_that_is_gone_or_broken_fails_alone(
    warm: WarmEvaluator, tmp_path: Path
) -> None:
    paths = [make_tiny_checkpoint(tmp_path / f"step-{seed}", seed=seed) for seed in range(1, 5)]
    assert ask(warm, 1, path=paths[0]).status == "complete"
    there = replicas()
    shutil.rmtree(paths[1])
    weights = Path(paths[2]) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    gone, cut, whole = warm.evaluate(
        [question(step, path=path) for step, path in zip((2, 3, 4), paths[1:], strict=True)]
    )
    assert [one.status for one in (gone, cut, whole)] == ["failed", "failed", "complete"]
    assert "no checkpoint folder" in str(gone.reason)
    assert "truncated" in str(cut.reason)
    assert (gone.run_id, gone.swapped, whole.swapped) == (None, None, True)
    assert replicas() == there
    # Alone in its call it is no error either.
    assert ask(warm, 2, path=paths[1]).status == "failed"


def test_replicas_are_given_back_when_idle(tmp_path: Path) -> None:
    one = WarmEvaluator(
        str(tmp_path / "store"), "mini:quick", settings=SETTINGS, idle_release_s=1.0
    )
    try:
        ask(one, 100)
        one.idle()
        assert len(replicas()) == 1
        time.sleep(1.1)
        one.idle()
        until(lambda: not replicas())
        assert ask(one, 200).swapped is False
    finally:
        one.close()


def test_replicas_give_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import ray

    one = WarmEvaluator(str(tmp_path / "store"), "mini:quick", settings=SETTINGS, give_way=True)
    try:
        ask(one, 100)
        one.idle()
        assert len(replicas()) == 1  # nobody waits
        total = ray.cluster_resources()["CPU"]
        work: Any = ray.remote(lambda: 1)
        waiting = work.options(num_cpus=total).remote()
        limit = time.monotonic() + 15
        while not ray.wait([waiting], timeout=0.2)[0]:
            assert time.monotonic() < limit
            one.idle()
        until(lambda: not replicas())
        assert any(f"{total:g} CPU waits for room" in r.message for r in caplog.records)
    finally:
        one.close()
