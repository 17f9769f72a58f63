"""Small suites for the tests of this folder."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from lens_ray.suites.images import Pixels, image_hash
from lens_ray.suites.sample import Sample

OPEN = Sample(
    sample_id="t/0",
    ability="counting",
    source="t",
    subtask="dots",
    format="open",
    domain="shapes",
    images=(),
    question="how many dots?",
    choices=(),
    answers=("3",),
    metric="exact",
    chance=0.25,
    upper=1.0,
    cluster_id="t/0",
)


def pixels(seed: int, height: int = 5, width: int = 7) -> Pixels:
    """A small image that no other seed gives."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return values.astype(np.uint8)


def sample(number: int, **changes: Any) -> tuple[Sample, dict[str, Pixels]]:
    """A sample and its image; ``changes`` replace fields of `OPEN`."""
    image = pixels(number)
    facts = {
        "sample_id": f"t/{number}",
        "cluster_id": f"t/{number}",
        "images": (image_hash(image),),
    } | changes
    return dataclasses.replace(OPEN, **facts), {image_hash(image): image}


def suite_of(count: int, **changes: Any) -> tuple[list[Sample], dict[str, Pixels]]:
    """Several samples, one image each."""
    samples, images = [], {}
    for number in range(count):
        made, image = sample(number, **changes)
        samples.append(made)
        images.update(image)
    return samples, images
