"""Which samples stand or fall together: `join_clusters`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lens_ray.suites.sample import Sample


def join_clusters(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Give samples that share an image one cluster, over sources too.

    A source knows its pairs, rotations and twins; that two of its questions show the same image,
    or that another source has the image too, is known only when the images are read. Intervals
    that took such samples for independent would be too narrow.

    Args:
        samples: All of a suite, with their images.

    Returns:
        The samples in their order; a joined cluster has the least of its parts' names.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    first: dict[str, str] = {}
    for sample in samples:
        for image in sample.images:
            one, other = root(sample.cluster_id), root(first.setdefault(image, sample.cluster_id))
            parent[max(one, other)] = min(one, other)
    return tuple(
        sample
        if root(sample.cluster_id) == sample.cluster_id
        else dataclasses.replace(sample, cluster_id=root(sample.cluster_id))
        for sample in samples
    )
