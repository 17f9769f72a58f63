"""Another image: what is left of a score when there is something else to see.

A sample gets the images of a sample that it has nothing in common with (no image, cluster or
group), of the same ability and split, so no image comes to lie in two splits. Samples that belong
together get images of samples that belong together, and each set of images is given once, where
there are two or more sets with the same number of images; else the first ones of a larger set are
given.
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
#: Ability, split, number of images.
_Stratum = tuple[str, str, int]


def _variants(suite: Suite, settings: Mapping[str, Any], label: str) -> Iterable[Variant]:
    """Whoever finds no other set is left out."""
    sets: dict[_Stratum, dict[int, list[_Images]]] = defaultdict(dict)
    home: dict[str, int] = {}
    for number, members in enumerate(tied(suite.samples)):
        for index in members:
            sample = suite.samples[index]
            home[sample.sample_id] = number
            if sample.images:
                held = sets[_stratum(sample)].setdefault(number, [])
                if sample.images not in held:
                    held.append(sample.images)
    given: dict[tuple[_Stratum, int, _Images], _Images] = {}
    for stratum, held_by in sets.items():
        order = sorted(held_by, key=lambda one: _key(settings["seed"], held_by[one]))
        if len(order) > 1:
            # Each set takes the images of the next in the order, the last of the first.
            partners = {taker: held_by[order[n - len(order) + 1]] for n, taker in enumerate(order)}
        else:
            partners = {order[0]: _larger(sets, stratum, order[0], settings["seed"])}
        for taker, theirs in partners.items():
            for place, own in enumerate(held_by[taker]):
                if theirs:
                    given[stratum, taker, own] = theirs[place % len(theirs)]
    for sample in suite.samples:
        other = given.get((_stratum(sample), home[sample.sample_id], sample.images))
        if other is not None:
            yield Variant(sample, label, {"images": other})


def _larger(
    sets: Mapping[_Stratum, Mapping[int, list[_Images]]], stratum: _Stratum, taker: int, seed: int
) -> list[_Images]:
    """The beginnings of the images of another set that has more of them."""
    ability, split, size = stratum
    found = [
        [images[:size] for images in held]
        for (name, part, count), held_by in sets.items()
        if (name, part) == (ability, split) and count > size
        for giver, held in held_by.items()
        if giver != taker
    ]
    return min(found, key=lambda held: _key(seed, held), default=[])


def _stratum(sample: Sample) -> _Stratum:
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
