"""Engines that die of a sample, hang, run out of memory or cannot be loaded, in one job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lens_ray.store import Store
from lens_ray.suites.suite import load_suite
from tests.chaos.harness import job, start

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]
LIMIT = 60


def model(name: str, **options: Any) -> dict[str, Any]:
    script = {"batch": 2, "parallel": 2, "latency_s": 0.02, **options}
    return {"name": name, "backend": "fake", "path": name, "replicas": 1, "options": script}


def test_each_ends_as_it_must_and_spoils_nothing_else(tmp_path: Path) -> None:
    ids = [sample.sample_id for sample in load_suite("mini:quick").select(None, LIMIT)]
    poison, hung, memory, error = ids[5], ids[15], ids[25], ids[35]
    once = str(tmp_path / "counters")
    models = [
        model("crash", crash_ids=[poison]),
        model("crash-once", crash_ids=[poison], times=1, state_dir=once),
        model("hang", hang_ids=[hung]),
        model("memory", oom_ids=[memory], fail_ids=[error]),
        model("missing", start_error="no weights in missing"),
        model("good"),
    ]
    bad = job(tmp_path / "store", models, limit=LIMIT)
    bad["settings"]["lease_timeout_s"] = 2.0
    ended = start(bad, tmp_path)
    assert ended.code == 6
    assert any(reason == "no weights in missing" for reason in ended.last["reasons"])
    store = Store(str(tmp_path / "store"))
    rows = store.rows().to_pylist()
    found = {
        (row["model"], row["sample_id"]): row for row in rows if row["status"] == "infra_error"
    }
    assert found.keys() == {
        ("crash", poison), ("hang", hung), ("memory", memory), ("memory", error)
    }  # fmt: skip
    crashed = found["crash", poison]
    assert "2 engines died while it was alone in them: ActorDiedError" in crashed["cause"]
    assert crashed["attempt"] == 3
    assert "no answer for 2 s (hung)" in found["hang", hung]["cause"]
    assert "OutOfMemoryError" in found["memory", memory]["cause"]
    assert found["memory", error]["cause"] == "scripted failure"
    by_model = {
        name: [r for r in rows if r["model"] == name] for name in {r["model"] for r in rows}
    }
    assert {name: len(its) for name, its in by_model.items()} == {
        "crash": LIMIT, "crash-once": LIMIT, "hang": LIMIT, "memory": LIMIT, "good": LIMIT
    }  # fmt: skip
    again = {r["sample_id"]: r["attempt"] for r in by_model["crash-once"]}
    assert again[poison] == 2
