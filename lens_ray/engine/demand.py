"""Whether others of a cluster wait for room: `others_wait`."""

from __future__ import annotations

from typing import Any

import ray
from ray.exceptions import RayError


def others_wait() -> str | None:
    """What waits for resources of the cluster, in words; None where nothing does.

    Ray tells its autoscaler what is pending, and does not say whose it is: ask while nothing of
    this driver is being started. It is known within 2 s. An actor that has its resources and is
    slow to start is not among them; one that no machine could ever hold is.
    """
    from ray.autoscaler.v2.sdk import get_cluster_resource_state

    gcs: Any = ray.get_runtime_context()
    try:
        state = get_cluster_resource_state(_client(gcs.gcs_address))
    except RayError:
        return None
    for one in state.pending_resource_requests:
        needs = dict(one.request.resources_bundle)
        return ", ".join(f"{amount:g} {name}" for name, amount in sorted(needs.items())) or "a task"
    return "a placement group" if state.pending_gang_resource_requests else None


def _client(address: str) -> Any:
    from ray._raylet import GcsClient

    return GcsClient(address)
