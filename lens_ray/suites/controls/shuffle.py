"""Another image: what is left of a score when there is something else to see.

A sample gets the images of a sample that it has nothing in common with (no image, cluster or
group), of the same ability, split and number of images. Samples that belong together get the
images of samples that belong together, so no image comes to lie in two splits.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from lens_ray.suites.controls.frame import Control, Option, Variant
from lens_ray.suites.sample import Sample
from lens_ray.suites.splits import tied
from lens_ray.suites.suite import Suite

_Images = tuple[str, ...]


def _variants(suite: Suite, settings: Mapping[str, Any], label: str) -> Iterable[Variant]:
    """Whoever finds no other set in its stratum is left out."""
    sets: dict[tuple[str, str, int], dict[int, list[_Images]]] = defaultdict(dict)
    home: dict[str, int] = {}
    for number, members in enumerate(tied(suite.samples)):
        for index in members:
            sample = suite.samples[index]
            home[sample.sample_id] = number
            if sample.images:
                held = sets[_stratum(sample)].setdefault(number, [])
                if sample.images not in held:
                    held.append(sample.images)
    given: dict[tuple[tuple[str, str, int], int, _Images], _Images] = {}
    for stratum, held_by in sets.items():
        if len(held_by) > 1:
            order = sorted(held_by, key=lambda one: _key(settings["seed"], held_by[one]))
            # Each set takes the images of the next in the order, the last of the first.
            for taker, giver in zip(order, [*order[1:], order[0]], strict=True):
                theirs = held_by[giver]
                for place, own in enumerate(held_by[taker]):
                    given[stratum, taker, own] = theirs[place % len(theirs)]
    for sample in suite.samples:
        other = given.get((_stratum(sample), home[sample.sample_id], sample.images))
        if other is not None:
            yield Variant(sample, label, {"images": other})


def _stratum(sample: Sample) -> tuple[str, str, int]:
    return sample.ability, sample.split, len(sample.images)


def _key(seed: int, images: list[_Images]) -> str:
    return hashlib.sha256(f"{seed}/{min(images)}".encode()).hexdigest()


def _label(settings: Mapping[str, Any]) -> str:
    return f"shuffle{settings['seed'] or ''}"


SHUFFLE = Control(
    name="shuffle",
    about="every sample has the image of another, of the same ability: a score above chance "
    "comes from the text or from what all images share",
    label=_label,
    variants=_variants,
    options={"seed": Option(0, "which shuffle")},
)
