"""Whether others of a cluster wait for room: `others_wait`."""

from __future__ import annotations

from typing import Any

from ray.exceptions import RayError


def others_wait() -> str | None:
    """What waits for resources of the cluster, in words; None where nothing does.

    Ray tells its autoscaler what is pending, and does not say whose it is: ask while nothing of
    this driver is being started. It is known within 2 s. An actor that has its resources and is
    slow to start is not among them; one that no machine could ever hold is.
    """
    from ray._private import worker
    from ray.autoscaler.v2.sdk import get_cluster_resource_state

    here: Any = worker.global_worker
    try:
        state = get_cluster_resource_state(here.gcs_client)
    except RayError:
        return None
    for one in state.pending_resource_requests:
        needs = dict(one.request.resources_bundle)
        return ", ".join(f"{amount:g} {name}" for name, amount in sorted(needs.items())) or "a task"
    return "a placement group" if state.pending_gang_resource_requests else None
