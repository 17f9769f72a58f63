"""Less to see: images made smaller and, unless told otherwise, brought back to their size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from lens_ray.errors import SuiteError
from lens_ray.suites.controls.frame import Control, Option, Variant, pixels_of, same
from lens_ray.suites.images import MAX_PIXELS, Pixels
from lens_ray.suites.sample import FORMATS
from lens_ray.suites.suite import Suite


def resized(pixels: Pixels, factor: float, *, back: bool) -> Pixels:
    """The image scaled by a factor and, where wanted, back to the size it had.

    Raises:
        SuiteError: It would have too many pixels.
    """
    from PIL import Image

    height, width, _ = pixels.shape
    size = max(1, round(width * factor)), max(1, round(height * factor))
    if size[0] * size[1] > MAX_PIXELS:
        raise SuiteError(
            f"control resize: an image of {width}x{height} would have {size[0]}x{size[1]} pixels, "
            f"more than {MAX_PIXELS} allowed; give a smaller factor"
        )
    image = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    if back:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)


def _picture(suite: Suite, settings: Mapping[str, Any]) -> Callable[[str], Pixels]:
    factor, back = settings["factor"], settings["size"] == "same"
    if factor == 1 or (back and factor > 1):
        raise SuiteError(
            f"control resize: factor {factor:g} with size={settings['size']} changes nothing that "
            "can be seen; give a factor below 1, or one above 1 with size=scaled"
        )
    return lambda image: resized(pixels_of(suite, image), factor, back=back)


def _variants(suite: Suite, settings: Mapping[str, Any], label: str) -> Iterable[Variant]:
    made = same(suite, settings, label)
    if settings["size"] == "same":
        return made
    # Answers of other formats may be places in the image, in pixels.
    return [one for one in made if one.base.format in FORMATS]


def _label(settings: Mapping[str, Any]) -> str:
    return f"resize{settings['factor']:g}" + ("" if settings["size"] == "same" else "-scaled")


RESIZE = Control(
    name="resize",
    about="images lose detail, or come in another size: how much resolution an ability needs",
    label=_label,
    variants=_variants,
    picture=_picture,
    options={
        "factor": Option(0.5, "of width and height", low=0.01, high=8),
        "size": Option(
            "same", "same: back to the size it had; scaled: left", values=("same", "scaled")
        ),
    },
)
