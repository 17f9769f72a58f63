"""Whether every node of a cluster has the keys that a job needs: `keys_on_nodes`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lens_ray.errors import LensError
from lens_ray.models import ModelSpec
from lens_ray.models.api.access import read_access

_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """What the nodes say of one model's key.

    Attributes:
        model: Its name in the job.
        ok: Whether all of them have the same one.
        found: What was found.
        advice: What to type where they do not.
    """

    model: str
    ok: bool
    found: str
    advice: str = ""


def keys_on_nodes(models: Sequence[ModelSpec]) -> Iterator[Held]:
    """Ask each node that is alive for the fingerprints of the keys in its environment.

    Args:
        models: Behind a provider's interface. Ray is started.
    """
    if not models:
        return
    nodes: Any = ray.nodes  # untyped
    asked: dict[str, Any] = {}
    for node in nodes():
        if not node["Alive"]:
            continue
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = _fingerprints.options(num_cpus=0, scheduling_strategy=here)
        asked[node["NodeManagerAddress"]] = task.remote(tuple(models))
    told = {address: _answer(reference) for address, reference in asked.items()}
    for number, model in enumerate(models):
        found = {
            address: said if isinstance(said, str) else said[number]
            for address, said in told.items()
        }
        yield verdict(model, found)


@ray.remote(max_retries=0)
def _fingerprints(models: Sequence[ModelSpec]) -> tuple[str, ...]:
    """In the environment of a node: the fingerprint of each model's key, or why there is none."""
    return tuple(_fingerprint(model) for model in models)


def _fingerprint(model: ModelSpec) -> str:
    try:
        return f"key {read_access(model).key.fingerprint}"
    except LensError as error:
        return str(error)


def _answer(reference: Any) -> tuple[str, ...] | str:
    try:
        said: tuple[str, ...] = ray.get(reference, timeout=_PATIENCE_S)
    except RayError as error:
        return f"it does not answer: {type(error).__name__}"
    return said


def verdict(model: ModelSpec, found: Mapping[str, str]) -> Held:
    """What to say of one model, by address what its node said."""
    keys = Counter(said for said in found.values() if said.startswith("key "))
    lacking = [(address, said) for address, said in found.items() if not said.startswith("key ")]
    if lacking:
        address, said = lacking[0]
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        return Held(model.name, False, f"{address}{more}: {said}")
    if len(keys) > 1:
        said = ", ".join(f"{name} on {count}" for name, count in keys.most_common(3))
        return Held(model.name, False, f"{len(keys)} different keys: {said}", "the same on all")
    return Held(model.name, True, f"the same key on all {len(found)}")
