"""A whole job with vLLM whose engine and whose replica are killed in the middle."""

from __future__ import annotations

import json

import pytest

from lens_ray import Store
from tests.vllm.conftest import KilledJob
from tests.vllm.killed_job import LIMIT

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default"), pytest.mark.timeout(400)]


def test_engine_and_replica_are_replaced(killed_job: KilledJob) -> None:
    assert killed_job.process.wait() == 0, killed_job.log.read_text()[-3000:]
    ended = json.loads(killed_job.out.read_text().splitlines()[-1])
    assert ended["exit"] == 0, ended
    assert ended["killed"] == ["VLLM::EngineCore", "ray::ReplicaActor"]
    assert ended["left"] == 0
    store = Store(ended["store"])
    rows = store.rows(columns=["model", "sample_id", "text", "replica"]).to_pylist()
    texts = {(row["model"], row["sample_id"]): row["text"] for row in rows}
    assert len(texts) == len(rows) == 2 * LIMIT
    assert len({row["replica"] for row in rows if row["model"] == "vllm"}) >= 2
    ids = [sample for model, sample in texts if model == "vllm"]
    same = sum(texts["vllm", one] == texts["transformers", one] for one in ids)
    assert same >= 0.99 * LIMIT
    assert store.check() == []
