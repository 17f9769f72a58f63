from __future__ import annotations

import dataclasses

from lens_ray.suites.clusters import join_clusters
from lens_ray.suites.sample import Sample
from tests.suites.makers import OPEN


def asked(name: str, *images: str) -> Sample:
    return dataclasses.replace(OPEN, sample_id=name, cluster_id=name.split("/")[0], images=images)


def clusters(*samples: Sample) -> list[str]:
    return [sample.cluster_id for sample in join_clusters(samples)]


def test_a_shared_image_joins_two_clusters_under_the_lesser_name() -> None:
    assert clusters(asked("b/1", "x"), asked("a/1", "y", "x"), asked("c/1", "z")) == ["a", "a", "c"]


def test_all_of_a_cluster_follows() -> None:
    chained = [asked("c/1", "x"), asked("c/2", "y"), asked("b/1", "y"), asked("a/1", "x")]
    assert clusters(*chained) == ["a"] * 4


def test_nothing_shared_changes_nothing() -> None:
    samples = (asked("b/1", "x"), asked("b/2", "x"), asked("a/1"))
    assert join_clusters(samples) == samples
