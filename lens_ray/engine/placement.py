"""What one replica of a model needs, and whether the cluster has it."""

from __future__ import annotations

from collections.abc import Sequence

from lens_ray.engine.planner import Need, Room, impossible
from lens_ray.errors import ClusterError
from lens_ray.models import backend_entry
from lens_ray.models.spec import ModelSpec

#: A backend that computes nothing itself leaves the core to others most of the time.
_IDLE_CPUS = 0.2


def may_use_gpu(spec: ModelSpec) -> bool:
    """Whether a replica takes GPUs where the cluster has some."""
    if not backend_entry(spec.backend).needs_checkpoint:
        return False
    return getattr(spec.parsed_options(), "device", "auto") != "cpu"


def need_of(spec: ModelSpec, *, gpu: bool) -> Need:
    """What one replica occupies.

    Args:
        spec: The model.
        gpu: Whether the cluster has GPUs.
    """
    options = spec.parsed_options()
    if not backend_entry(spec.backend).needs_checkpoint:
        return Need(_IDLE_CPUS)
    insists = getattr(options, "device", "auto") == "cuda"
    if may_use_gpu(spec) and (gpu or insists or spec.tensor_parallel > 1):
        return Need(1.0, float(spec.tensor_parallel))
    return Need(float(getattr(options, "threads", 1)))


def check_fits(spec: ModelSpec, need: Need, rooms: Sequence[Room]) -> None:
    """Refuse a model that no machine of the cluster can host.

    Raises:
        ClusterError: There is none.
    """
    if not impossible(need, rooms):
        return
    what = f"{need.cpus:g} CPUs" + (f" and {need.gpus:g} GPUs" if need.gpus else "")
    best = max(rooms, key=lambda room: (room.gpus, room.cpus), default=Room(0.0))
    has = f"{best.cpus:g} CPUs and {best.gpus:g} GPUs"
    hint = (
        "lower tensor_parallel, write options: {device: cpu}, or name a larger cluster by --address"
        if need.gpus
        else "lower options: {threads: ...}, or name a larger cluster by --address"
    )
    raise ClusterError(
        f"model {spec.name}: one replica needs {what} on one machine, and the largest has {has}; "
        f"{hint}"
    )
