"""A cluster of several machines: work on all of them, and one that is lost in the middle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lens_ray import JobSpec, Store, evaluate
from lens_ray.engine.progress import Progress
from lens_ray.engine.settings import EngineSettings
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from tests.chaos.harness import assert_same, calm_run, job

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]
LIMIT = 240


@pytest.fixture
def nodes() -> Iterator[Any]:
    """A head without room for a replica, and two nodes with room for one each."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_machine_is_lost_in_the_middle(tmp_path: Path, nodes: Any) -> None:
    tiny = {
        "name": "tiny",
        "path": make_tiny_checkpoint(tmp_path / "tiny"),
        "options": {"batch_size": 1},
        "replicas": 2,
    }
    quiet = job(tmp_path / "unused", [tiny], limit=LIMIT)
    calm = calm_run(quiet, tmp_path)
    settings = EngineSettings(**quiet.pop("settings"))
    lost: list[threading.Thread] = []
    replicas: list[int] = []

    def lose_one(progress: Progress) -> None:
        replicas.append(progress.replicas)
        done = sum(done for model in progress.models for done, _ in model.abilities.values())
        if done > LIMIT // 4 and progress.replicas == 2 and not lost:
            node = sorted(nodes.worker_nodes, key=id)[0]
            lost.append(threading.Thread(target=nodes.remove_node, args=(node, False)))
            lost[0].start()

    store = str(tmp_path / "store")
    spec = JobSpec.model_validate({**quiet, "store": store})
    report = evaluate(spec, address=nodes.address, on_progress=lose_one, settings=settings)
    assert report.exit_code == 0, report
    assert len(lost) == 1
    lost[0].join()
    assert replicas[-1] <= 1
    assert len(set(Store(store).rows(columns=["replica"])["replica"].to_pylist())) >= 2
    assert_same(store, calm)
