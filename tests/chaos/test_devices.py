"""Logical GPUs: who sees which, replicas that span machines, and that all of it is given back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lens_ray.engine.driver import drive
from lens_ray.engine.planner import Need, Room
from lens_ray.engine.progress import Progress
from lens_ray.store import Store
from tests.engine.stage import fake, make_plan, small_suite

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Two machines of two GPUs, and a head without any."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    for _ in range(2):
        cluster.add_node(num_cpus=4, num_gpus=2)
    ray.init(address=cluster.address, log_to_driver=False)
    yield ray
    ray.shutdown()
    cluster.shutdown()


def rooms(ray: Any) -> tuple[Room, ...]:
    return tuple(
        Room(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0), node["NodeID"])
        for node in ray.nodes()
    )


def groups() -> dict[str, Any]:
    from ray.util import placement_group_table

    table: dict[str, Any] = placement_group_table()
    return {key: one for key, one in table.items() if one["state"] != "REMOVED"}


def wait_for_all_gpus(ray: Any) -> None:
    """Ray gives back what a killed actor had a little later; the test's limit is the patience."""
    while ray.available_resources().get("GPU", 0) < 4:
        time.sleep(0.05)


def test_replicas_on_one_machine_see_devices_of_their_own(tmp_path: Path, ray: Any) -> None:
    # Each waits for an answer of the others' in its own way: all four are up at the same time.
    models = [fake(f"m{n}", seed=n, replicas=1, latency_s=0.2) for n in range(4)]
    plan = make_plan(
        tmp_path, small_suite(tmp_path, 30), *models, need=Need(0.5, 1.0), rooms=rooms(ray),
        flip_samples=1,
    )  # fmt: skip
    most = []
    outcomes = drive(
        plan, lambda progress: most.append(progress.replicas), lambda: None, lambda: rooms(ray)
    )
    assert [one.status for one in outcomes] == ["complete"] * 4
    assert max(most) == 4
    found = []
    for model in plan.models:
        commit = Store(plan.store).run(model.run_id).refresh().commit
        assert commit is not None
        found.append(str(commit.facts["visible_devices"]))
    assert sorted(found) == ["0", "0", "1", "1"]
    wait_for_all_gpus(ray)


def test_a_replica_that_spans_machines_has_a_group_that_is_removed(
    tmp_path: Path, ray: Any
) -> None:
    need = Need(2.0, 4.0, parts=2)
    plan = make_plan(
        tmp_path, small_suite(tmp_path, 20), fake("wide", replicas=1, latency_s=0.1), need=need,
        rooms=rooms(ray), flip_samples=1,
    )  # fmt: skip
    seen: list[Any] = []

    def look(progress: Progress) -> None:
        if progress.models[0].state == "running":
            seen.extend(groups().values())

    (outcome,) = drive(plan, look, lambda: None, lambda: rooms(ray))
    assert outcome.status == "complete"
    assert seen
    for group in seen:
        assert group["strategy"] == "PACK"
        assert sorted(group["bundles"].values(), key=str) == [{"GPU": 1.0, "CPU": 0.5}] * 4
        assert len(set(group["bundles_to_node_id"].values())) == 2
    assert groups() == {}
    wait_for_all_gpus(ray)


def test_a_driver_that_fails_leaves_no_group(tmp_path: Path, ray: Any) -> None:
    need = Need(2.0, 4.0, parts=2)
    plan = make_plan(
        tmp_path, small_suite(tmp_path), fake("wide", replicas=1, latency_s=5.0), need=need,
        rooms=rooms(ray),
    )  # fmt: skip

    def fail(progress: Progress) -> None:
        if progress.models[0].state == "running":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(plan, fail, lambda: None, lambda: rooms(ray))
    assert groups() == {}
    wait_for_all_gpus(ray)
