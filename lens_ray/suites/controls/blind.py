"""No image: what is left of a score when there is nothing to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lens_ray.suites.controls.frame import Control, same
from lens_ray.suites.images import Pixels
from lens_ray.suites.suite import Suite

GREY = 128


def _picture(suite: Suite, settings: Mapping[str, Any]) -> Callable[[str], Pixels]:
    sizes = suite.image_sizes()

    def grey(image: str) -> Pixels:
        width, height = sizes[image]
        return np.full((height, width, 3), GREY, dtype=np.uint8)

    return grey


BLIND = Control(
    name="blind",
    about="every image is grey, of the same size: a score above chance comes from the text",
    label=lambda settings: "blind",
    variants=same,
    picture=_picture,
)
