"""Models behind a provider's interface, of whom a fifth of the calls fail and whose askers are
killed: every sample one row, the same answers as on a calm day, and nothing paid twice.

The provider is this process'; it counts what it answered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lens_ray import load_suite
from lens_ray.store import Store
from lens_ray.testing.processes import descendants
from lens_ray.testing.provider import (
    BatchScript,
    Latency,
    ProviderServer,
    Script,
    SuiteTruth,
    mixed_faults,
)
from tests.chaos.harness import (
    driver_of,
    kill,
    random_blows,
    start,
    start_until_done,
    title,
    wait_until_gone,
)

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

SUITE = "mini:quick"
#: Of its samples.
LIMIT = 120
CONCURRENCY = 8
#: Calls and answers not yet durable of one live model: see `lens_ray.models.api.backend`.
IN_FLIGHT = CONCURRENCY + CONCURRENCY // 4 + 4
#: Every kind of refusal, error, broken body and lost answer that passes.
FAULTS = mixed_faults(0.2)
SETTINGS = {"run_ttl_s": 2.0, "flush_s": 0.5, "flush_rows": 32}
ANSWER = ("run_id", "sample_id", "status", "text", "extracted", "score", "prompt_hash")


@pytest.fixture(scope="module")
def truth() -> SuiteTruth:
    return SuiteTruth(load_suite(SUITE), 0.8)


def live(server: ProviderServer) -> list[dict[str, Any]]:
    """A model of each protocol, asked one by one."""
    options = {"concurrency": CONCURRENCY, "timeout_s": 10}
    return [
        _model("gpt", "openai", {**options, "base_url": server.openai_url}),
        _model("gemini", "gemini", {**options, "base_url": server.url}),
    ]


def batches(server: ProviderServer) -> list[dict[str, Any]]:
    """Models asked by batches: of a provider that keeps tags, and of one that does not."""
    chat = {"api": "chat", "base_url": server.openai_url, "mode": "batch"}
    return [
        _model("gpt-batch", "openai", chat),
        _model("claude-batch", "anthropic", {"base_url": server.url, "mode": "batch"}),
    ]


def _model(name: str, backend: str, options: Mapping[str, object]) -> dict[str, Any]:
    return {
        "name": name, "backend": backend, "path": f"scripted-{name}", "access": "closed",
        "options": {**options},
    }  # fmt: skip


def job(store: Path, models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "name": "api", "suite": SUITE, "store": str(store), "models": list(models),
        "limit": LIMIT, "settings": SETTINGS,
    }  # fmt: skip


def answers(store: Path) -> pa.Table:
    rows = Store(str(store)).rows(columns=list(ANSWER))
    return rows.sort_by([("run_id", "ascending"), ("sample_id", "ascending")])


def scores(store: Path) -> pa.Table:
    found = Store(str(store)).scores()
    return found.sort_by([("run_id", "ascending"), ("ability", "ascending")])


def test_a_fifth_fails_and_each_is_killed(
    tmp_path: Path, truth: SuiteTruth, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, store = tmp_path / "calm", tmp_path / "store"
    with ProviderServer(Script(truth=truth)) as server:
        models = [*live(server), *batches(server)[1:]]
        done = start(job(calm, models), tmp_path)
        assert done.code == 0, done.last
        port, total = server.port, answers(calm).num_rows
        assert server.counts.answers == server.counts.prompts == total
    script = Script(
        truth=truth,
        faults=FAULTS,
        latency=Latency(median_s=0.08, sigma=0.5),
        batches=BatchScript(takes_s=1.0, cut_results=1),
    )
    with ProviderServer(script, port=port) as server:
        given = job(store, models)
        blows = random_blows(("driver", "replica", "limiter"), total, seed=7, until=0.6)
        starts, delivered = start_until_done(given, tmp_path, blows)
        counts = server.counts
    assert delivered == blows
    assert answers(store).num_rows == total
    assert set(answers(store)["status"].to_pylist()) <= {"ok", "unparsed"}
    assert answers(store).equals(answers(calm))
    assert scores(store).equals(scores(calm))
    assert Store(str(store)).check() == []
    struck = sum(counts.faults.values())
    assert struck > 0.1 * total, counts.faults
    # A driver takes its replicas along, of which two ask live; a batch is never paid twice.
    most = IN_FLIGHT * (len(live(server)) + 1)
    assert counts.paid_again <= most, (counts.paid_again, [one.log for one in starts])


def test_batches_outlive_who_handed_them_in(tmp_path: Path, truth: SuiteTruth) -> None:
    """Killed as soon as they are handed in, while they are waited for, and between two answers."""
    store, file = tmp_path / "store", tmp_path / "job.json"
    script = Script(truth=truth, batches=BatchScript(takes_s=8.0, lose_submits=1))
    with ProviderServer(script) as server:
        models = batches(server)
        file.write_text(json.dumps(job(store, models)))
        _kill_driver_when(file, lambda: server.counts.batches == len(models))
        handed_in = server.counts
        assert handed_in.batches == len(models)
        with driver_of(file) as process:
            _wait_for(lambda: len(_replicas(process.pid)) == len(models), process.pid)
            time.sleep(1.0)  # they take up the batches; whenever they die, nothing is paid twice
            for pid in _replicas(process.pid):
                kill(pid)
            _wait_for(lambda: any(store.glob("runs/*/paid/0*.json")), process.pid)
            _kill_with_all(process.pid)
        done = start(job(store, models), tmp_path)
        assert done.code == 0, done.last
        counts = server.counts
    assert counts.batches == len(models)
    assert counts.answers == counts.prompts == LIMIT * len(models)
    assert counts.paid_again == 0
    rows = Store(str(store)).rows(columns=["status", "cost_usd", "sample_id"])
    assert rows.num_rows == LIMIT * len(models)
    assert set(rows["status"].to_pylist()) <= {"ok", "unparsed"}


def _replicas(driver: int) -> list[int]:
    return [pid for pid in descendants(driver) if title(pid).startswith("ray::ReplicaActor")]


def _wait_for(holds: Callable[[], bool], pid: int, limit_s: float = 60.0) -> None:
    until = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


def _kill_driver_when(file: Path, holds: Callable[[], bool]) -> None:
    with driver_of(file) as process:
        _wait_for(holds, process.pid)
        _kill_with_all(process.pid)


def _kill_with_all(driver: int) -> None:
    """A machine that loses its power."""
    family = descendants(driver)
    for pid in [driver, *family]:
        kill(pid)
    wait_until_gone(family)
