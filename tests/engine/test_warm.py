"""`WarmEvaluator` under a real Ray: replicas stay from one checkpoint to the next."""

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

from lens_ray import ModelSpec, Store
from lens_ray.engine.cluster import Cluster
from lens_ray.engine.settings import EngineSettings
from lens_ray.engine.warm import WarmEvaluator
from lens_ray.errors import SuiteError
from lens_ray.online.checkpoint import Checkpoint, Depth
from lens_ray.online.evaluator import Answered, Question
from lens_ray.testing.processes import descendants
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from tests.chaos.harness import TITLES, title

ANCHOR, ALL = 121, 612
SETTINGS = EngineSettings(run_ttl_s=2.0, flush_s=0.2, flip_samples=4)


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


def ask(
    warm: WarmEvaluator, step: int, depth: Depth = "anchor", path: str = "", **given: Any
) -> Answered:
    [answer] = warm.evaluate([question(step, depth, path, **given)])
    return answer


def question(step: int, depth: Depth = "anchor", path: str = "", **given: Any) -> Question:
    backend = "transformers" if path else "fake"
    path = path or f"weights-{step}"
    spec = ModelSpec(
        name=f"run@{step}", backend=backend, path=path, step=step, replicas=1, options=given
    )
    return Question(Checkpoint("run", step, path, "mark", "now"), spec, depth)


def replicas() -> list[int]:
    return [pid for pid in descendants(os.getpid()) if title(pid).startswith(TITLES["replica"])]


def test_one_replica_takes_each_checkpoint_by_a_swap(
    warm: WarmEvaluator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = ask(warm, 100)
    there = replicas()
    assert len(there) == 1
    second, third = warm.evaluate([question(200), question(300, "full")])
    assert replicas() == there
    assert [one.swapped for one in (first, second, third)] == [False, True, True]
    assert [one.status for one in (first, second, third)] == ["complete"] * 3
    assert [one.asked for one in (first, second, third)] == [ANCHOR, ANCHOR, ALL]
    # The rest of a checkpoint that was asked the anchor split, and then nothing more.
    rest, again = ask(warm, 200, "full"), ask(warm, 200, "full")
    assert (rest.asked, rest.resumed, rest.run_id) == (ALL - ANCHOR, ANCHOR, second.run_id)
    assert (again.status, again.asked, again.resumed, again.swapped) == ("complete", 0, ALL, None)
    assert not [record for record in caplog.records if "lost" in record.message]
    assert not [record for record in caplog.records if "cold start" in record.message]
    # Each row names the weights that its run was registered with: no answer is of another's.
    store = Store(str(tmp_path / "store"))
    assert store.check() == []
    weights = {header.run_id: header.weights_digest for header in store.runs()}
    rows = store.rows(columns=["run_id", "weights_digest"]).to_pylist()
    assert {(row["run_id"], row["weights_digest"]) for row in rows} == set(weights.items())
    assert len(set(weights.values())) == 3


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
        _until(lambda: not replicas())
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
        until = time.monotonic() + 15
        while not ray.wait([waiting], timeout=0.2)[0]:
            assert time.monotonic() < until
            one.idle()
        _until(lambda: not replicas())
        assert any(f"{total:g} CPU waits for room" in r.message for r in caplog.records)
    finally:
        one.close()


def test_a_suite_without_the_split_is_one_clear_line(tmp_path: Path) -> None:
    one = WarmEvaluator(str(tmp_path / "store"), "mini:quick", abilities=("smell",))
    with pytest.raises(SuiteError, match="smell"):
        ask(one, 100)
    one.close()


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lens_ray.engine")


def _until(true: Any) -> None:
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)
