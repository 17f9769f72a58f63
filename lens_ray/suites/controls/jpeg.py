"""Damage as cameras and web sites do it: images coded as JPEG and decoded again.

Another version of the JPEG library may give other pixels, and so another digest of the suite.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

from lens_ray.suites.controls.frame import Control, Option, pixels_of, same
from lens_ray.suites.images import Pixels, decode_png
from lens_ray.suites.suite import Suite


def recoded(pixels: Pixels, quality: int) -> Pixels:
    """What JPEG of a quality (1 to 95) leaves of an image."""
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, format="JPEG", quality=quality)
    return decode_png(sink.getvalue(), "coded as JPEG")


def _picture(suite: Suite, settings: Mapping[str, Any]) -> Callable[[str], Pixels]:
    return lambda image: recoded(pixels_of(suite, image), settings["quality"])


JPEG = Control(
    name="jpeg",
    about="images are coded as JPEG of low quality: how much an ability suffers from its traces",
    label=lambda settings: f"jpeg{settings['quality']}",
    variants=same,
    picture=_picture,
    options={"quality": Option(20, "of the JPEG, 1 to 95", low=1, high=95)},
)
