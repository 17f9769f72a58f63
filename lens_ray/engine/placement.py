"""What one replica of a model needs, and whether the cluster has it."""

from __future__ import annotations

from collections.abc import Sequence

from lens_ray.engine.planner import Need, Room, impossible
from lens_ray.errors import ClusterError, UserError
from lens_ray.models import backend_entry
from lens_ray.models.spec import ModelSpec

#: A backend that computes nothing itself leaves the core to others most of the time.
_IDLE_CPUS = 0.2
#: Backends whose replica may lie on several machines.
_SPANNING = frozenset({"vllm"})
#: Of a GPU's memory, what vLLM takes by default; the rest is the context's.
_MEMORY_SHARE = 0.9


def may_use_gpu(spec: ModelSpec) -> bool:
    """Whether a replica takes GPUs where the cluster has some."""
    if not backend_entry(spec.backend).needs_checkpoint:
        return False
    return getattr(spec.parsed_options(), "device", "auto") != "cpu"


def need_of(spec: ModelSpec, *, gpu: bool, rooms: Sequence[Room] = ()) -> Need:
    """What one replica occupies.

    Args:
        spec: The model.
        gpu: Whether the cluster has GPUs.
        rooms: Its machines; a replica with more GPUs than any of them has lies in several equal
            parts, where its backend can do that.
    """
    options = spec.parsed_options()
    entry = backend_entry(spec.backend)
    if entry.attached:
        return Need(0.0)  # it waits for its provider, so it need not wait for a core before that
    if not entry.needs_checkpoint:
        return Need(_IDLE_CPUS)
    insists = getattr(options, "device", "auto") == "cuda"
    if may_use_gpu(spec) and (gpu or insists or spec.tensor_parallel > 1):
        return _spread(spec, Need(1.0, float(spec.tensor_parallel)), rooms)
    return Need(float(getattr(options, "threads", 1)))


def _spread(spec: ModelSpec, need: Need, rooms: Sequence[Room]) -> Need:
    """In as few parts as fit, one core each; in one where none fit, which is said in its words."""
    if spec.backend not in _SPANNING or not rooms or not impossible(need, rooms):
        return need
    for parts in range(2, spec.tensor_parallel + 1):
        spread = Need(float(parts), need.gpus, parts)
        if spec.tensor_parallel % parts == 0 and not impossible(spread, rooms):
            return spread
    return need


def check_memory(spec: ModelSpec, weights: float, need: Need, memory: float) -> None:
    """Refuse a model whose weights alone are too much for its GPUs.

    Args:
        spec: The model.
        weights: Bytes of its weights.
        need: What one replica occupies.
        memory: Bytes of one GPU.

    Raises:
        UserError: They are.
    """
    if not need.gpus or weights <= _MEMORY_SHARE * memory * need.gpus:
        return
    enough = next(n for n in (1 << k for k in range(20)) if weights <= _MEMORY_SHARE * memory * n)
    raise UserError(
        f"model {spec.name}: its weights take {weights / 1e9:.4g} GB, and {need.gpus:g} GPUs of "
        f"{memory / 1e9:.3g} GB have {_MEMORY_SHARE:.0%} of that for them; "
        f"write tensor_parallel: {enough}"
    )


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
    if spec.backend in _SPANNING and need.gpus > sum(room.gpus for room in rooms):
        total = sum(room.gpus for room in rooms)
        raise ClusterError(
            f"model {spec.name}: one replica needs {what}, and the whole cluster has {total:g} "
            "GPUs; lower tensor_parallel, or name a larger cluster by --address"
        )
    hint = (
        "lower tensor_parallel, write options: {device: cpu}, or name a larger cluster by --address"
        if need.gpus
        else "lower options: {threads: ...}, or name a larger cluster by --address"
    )
    raise ClusterError(
        f"model {spec.name}: one replica needs {what} on one machine, and the largest has {has}; "
        f"{hint}"
    )
