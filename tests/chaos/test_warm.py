"""Warm replicas that swap, that die, that are refused, that others want: no checkpoint is lost.

The tests share one Ray and, where that is no matter, one evaluator: what a job costs here is a
coordinator's start (2 s), not its answers.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lens_ray import Store
from lens_ray.engine.cluster import Cluster
from lens_ray.merging.materialise import path_of
from lens_ray.merging.recipe import Parent
from lens_ray.models.identity import identify
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from lens_ray.warm import WarmEvaluator
from tests.cli.stores import make_suite
from tests.merging.stage import mixture
from tests.warm_stage import ALL, ANCHOR, SETTINGS, ask, fakes, question, replicas, until

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


def said(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.message for record in caplog.records if text in record.message]


def test_merges_of_two_suites_are_asked_by_one_replica(
    warm: WarmEvaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search asks one suite and confirms on another one; each merge comes by a hot swap."""
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    suite = make_suite(tmp_path / "suite")
    paths = [make_tiny_checkpoint(tmp_path / f"step-{seed}", seed=seed) for seed in (1, 2)]
    parents = [Parent(name=f"s{place}", path=path) for place, path in enumerate(paths)]
    half, more = (path_of(mixture("m", parents, (1 - b, b)).recipe) for b in (0.5, 0.75))
    other = warm.beside(str(tmp_path / "suite"))
    first, second = warm.evaluate([question(1, path=paths[0]), question(2, path=half)])
    assert warm.replicas == 1
    there = replicas()
    [third] = other.evaluate([question(3, "full", path=more)])
    other.close()  # not its replica
    assert [one.swapped for one in (first, second, third)] == [False, True, True]
    assert [one.asked for one in (first, second, third)] == [ANCHOR, ANCHOR, len(suite.samples)]
    assert replicas() == there
    store = Store(str(tmp_path / "store"))
    for answer, path in ((second, half), (third, more)):
        header = store.run(str(answer.run_id)).header
        versions = set(store.rows([header.run_id])["weight_version"].to_pylist())
        assert versions == {header.weights_digest}
        assert header.weights_digest == identify(answer.question.spec).weights_digest
        assert header.backend_path == path


def test_one_replica_takes_each_checkpoint_by_a_swap_until_it_dies(
    warm: WarmEvaluator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = warm.evaluate([question(100), question(200, "full")])  # two jobs
    [there] = replicas()
    assert [one.swapped for one in (first, second)] == [False, True]
    assert [one.status for one in (first, second)] == ["complete"] * 2
    assert [one.asked for one in (first, second)] == [ANCHOR, ALL]
    again = ask(warm, 200, "full")
    assert (again.status, again.asked, again.resumed, again.swapped) == ("complete", 0, ALL, None)
    assert replicas() == [there]
    assert not said(caplog, "cold start")
    os.kill(there, signal.SIGKILL)
    # The rest of a checkpoint that was asked the anchor split: a dead replica is no error.
    rest = ask(warm, 100, "full")
    assert (rest.asked, rest.resumed, rest.run_id) == (ALL - ANCHOR, ANCHOR, first.run_id)
    assert (rest.status, rest.swapped) == ("complete", False)
    assert there not in replicas()
    assert not said(caplog, "lost")
    # Each row names the weights that its run was registered with: no answer is of another's.
    store = Store(str(tmp_path / "store"))
    assert store.check() == []
    weights = {header.run_id: header.weights_digest for header in store.runs()}
    rows = store.rows(columns=["run_id", "sample_id", "text", "weights_digest"]).to_pylist()
    assert {(row["run_id"], row["weights_digest"]) for row in rows} == set(weights.items())
    assert len(set(weights.values())) == 2
    # A backend that was started with these weights, here and cold, says the same.
    for step, answer in ((100, first), (200, second)):
        mine = {row["sample_id"]: row["text"] for row in rows if row["run_id"] == answer.run_id}
        assert mine == fakes(step, mine)


def test_another_family_and_a_refused_swap_are_cold_starts_and_said_so(
    warm: WarmEvaluator, caplog: pytest.LogCaptureFixture
) -> None:
    ask(warm, 100)
    other = ask(warm, 200, load_error="no")
    assert (other.status, other.swapped) == ("complete", False)
    found = said(caplog, "cold start")
    assert len(found) == 1
    assert "run@200: cold start: the warm replicas are of another" in found[0]
    refused = ask(warm, 300, load_error="no")
    assert (refused.status, refused.asked, refused.swapped) == ("complete", ANCHOR, False)
    assert said(caplog, "cold start instead of a swap: no")
    assert len(replicas()) <= 2  # cores of this machine that Ray was given, one each


def test_who_does_not_bear_a_swap_is_not_kept(warm: WarmEvaluator) -> None:
    ask(warm, 100, stale=True)
    assert ask(warm, 200, stale=True).swapped is False


def test_a_checkpoint_that_is_gone_or_broken_fails_alone(
    warm: WarmEvaluator, tmp_path: Path
) -> None:
    away = str(tmp_path / "step-2")
    short = make_tiny_checkpoint(tmp_path / "step-3")
    weights = Path(short) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    ask(warm, 1)
    there = replicas()
    gone, cut, whole = warm.evaluate([question(2, path=away), question(3, path=short), question(4)])
    assert [one.status for one in (gone, cut, whole)] == ["failed", "failed", "complete"]
    assert "no checkpoint folder" in str(gone.reason)
    assert "truncated" in str(cut.reason)
    assert (gone.run_id, gone.swapped, whole.swapped) == (None, None, True)
    assert replicas() == there
    # Alone in its call it is no error either.
    assert ask(warm, 2, path=away).status == "failed"


def test_replicas_are_given_back_to_who_waits_and_when_idle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import ray

    one = WarmEvaluator(
        str(tmp_path / "store"), "mini:quick", settings=SETTINGS, give_way=True,
        idle_release_s=2.0,
    )  # fmt: skip
    try:
        ask(one, 100)
        one.idle()
        assert len(replicas()) == 1  # nobody waits
        total = ray.cluster_resources()["CPU"]
        work: Any = ray.remote(lambda: 1)
        waiting = work.options(num_cpus=total).remote()
        limit = time.monotonic() + 15
        while not ray.wait([waiting], timeout=0.1)[0]:
            assert time.monotonic() < limit
            one.idle()
        until(lambda: not replicas())
        assert said(caplog, f"{total:g} CPU waits for room")
        assert ask(one, 200).swapped is False
        time.sleep(2.0)
        one.idle()
        until(lambda: not replicas())
        assert said(caplog, "nothing was asked for 2 s")
    finally:
        one.close()
