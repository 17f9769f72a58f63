"""A whole job with vLLM whose engine and whose replica are killed in the middle."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lens_ray import JobSpec, ModelSpec, Store
from lens_ray.engine.progress import Progress
from lens_ray.engine.settings import EngineSettings
from lens_ray.evaluate import evaluate
from tests.chaos.harness import descendants
from tests.vllm.hosts import OPTIONS

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default"), pytest.mark.timeout(400)]
LIMIT = 360
PATH = "builtin:minivlm-b/step-6950"


def processes(title: bytes) -> list[int]:
    """Below this one, by the start of how they call themselves."""
    found = []
    for pid in descendants(os.getpid()):
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(title):
                found.append(pid)
        except OSError:
            continue
    return found


def test_engine_and_replica_are_replaced(tmp_path: Path) -> None:
    due = [(LIMIT // 6, b"VLLM::EngineCore"), (LIMIT // 2, b"ray::ReplicaActor")]
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        (done,) = [sum(n for n, _ in one.abilities.values()) for one in progress.models[:1]]
        if due and done >= due[0][0]:
            found = processes(due[0][1])
            if found:
                os.kill(found[0], signal.SIGKILL)
                killed.append(found[0])
                due.pop(0)

    # Slow enough that both kills find it at work.
    options = {**OPTIONS, "max_num_seqs": 1}
    models = (
        ModelSpec(name="vllm", backend="vllm", path=PATH, replicas=1, options=options),
        ModelSpec(name="transformers", path=PATH, replicas=1),
    )
    store = str(tmp_path / "store")
    job = JobSpec(name="kills", suite="mini:quick", store=store, models=models, limit=LIMIT)
    settings = EngineSettings(flush_s=0.5, flush_rows=16)
    report = evaluate(job, on_progress=kill, settings=settings)
    assert report.exit_code == 0, report.models
    assert len(killed) == 2
    assert processes(b"VLLM::") == []
    rows = Store(store).rows(columns=["model", "sample_id", "text", "replica"]).to_pylist()
    texts = {(row["model"], row["sample_id"]): row["text"] for row in rows}
    assert len(texts) == len(rows) == 2 * LIMIT
    assert len({row["replica"] for row in rows if row["model"] == "vllm"}) >= 2
    ids = [sample for model, sample in texts if model == "vllm"]
    same = sum(texts["vllm", one] == texts["transformers", one] for one in ids)
    assert same >= 0.99 * LIMIT
    assert Store(store).check() == []
