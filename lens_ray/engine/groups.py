"""Room for a replica that spans machines: one placement group each, made and removed by the driver.

Ray gives such a group back only with the driver that made it, so each is removed with its replica.
vLLM takes the group that its actor is in, and wants one GPU in each bundle.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ray.exceptions import RayError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from lens_ray.engine.rooms import Need

PREFIX = "lens-ray-"


def bundles_of(need: Need) -> list[dict[str, float]]:
    """One bundle a GPU, with its share of the CPUs."""
    count = round(need.gpus)
    return [{"GPU": 1.0, "CPU": need.cpus / count} for _ in range(count)]


def make_group(need: Need, seat: int) -> Any:
    """A group that spans as few machines as it can.

    Args:
        need: Of the replica, with whole GPUs.
        seat: Its number, for the group's name.
    """
    # STRICT_PACK would forbid what this is for.
    return placement_group(bundles_of(need), strategy="PACK", name=f"{PREFIX}{seat}")


def inside(group: Any) -> Any:
    """The scheduling strategy of a replica that lies in the first bundle of its group."""
    return PlacementGroupSchedulingStrategy(
        placement_group=group,
        placement_group_bundle_index=0,
        placement_group_capture_child_tasks=True,
    )


def remove_group(group: Any) -> None:
    """Give its resources back; what still runs in it is ended."""
    with suppress(RayError):
        remove_placement_group(group)
