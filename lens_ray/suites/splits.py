"""Which samples may be used for what: `anchor`, `search`, `sealed`."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Sequence

from lens_ray.suites.sample import Sample

SHARES: tuple[tuple[str, float], ...] = (("anchor", 0.2), ("search", 0.3), ("sealed", 0.5))


def tied(samples: Sequence[Sample]) -> list[list[int]]:
    """Sets of samples, by index, that share a cluster, a group or an image."""
    parent = list(range(len(samples)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    seen: dict[tuple[str, str], int] = {}
    for index, sample in enumerate(samples):
        ties = [("cluster", sample.cluster_id), *(("image", image) for image in sample.images)]
        if sample.group_id is not None:
            ties.append(("group", sample.group_id))
        for tie in ties:
            first = seen.setdefault(tie, index)
            one, other = root(first), root(index)
            parent[max(one, other)] = min(one, other)
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(len(samples)):
        members[root(index)].append(index)
    return list(members.values())


def assign_splits(samples: Sequence[Sample], seed: int) -> tuple[Sample, ...]:
    """Give every sample its split: 20 % anchor, 30 % search, 50 % sealed of each subtask.

    Samples that share a cluster, a group or an image stay together. The order within a subtask
    is a hash of seed and cluster id, so it depends neither on the order nor on the platform.
    """
    strata: dict[str, list[list[int]]] = defaultdict(list)
    for members in tied(samples):
        strata[min(samples[index].subtask for index in members)].append(members)

    def key(members: list[int]) -> str:
        name = min(samples[index].cluster_id for index in members)
        return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()

    split_of: dict[int, str] = {}
    for stratum in strata.values():
        total = sum(len(members) for members in stratum)
        given = dict.fromkeys((name for name, _ in SHARES), 0)
        for members in sorted(stratum, key=key):
            # The split that is furthest behind its share takes the next cluster.
            name, _ = max(SHARES, key=lambda share: share[1] * total - given[share[0]])
            given[name] += len(members)
            split_of.update(dict.fromkeys(members, name))
    return tuple(
        dataclasses.replace(sample, split=split_of[index]) for index, sample in enumerate(samples)
    )
