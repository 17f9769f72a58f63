"""The size of the images as a facet of the units: `with_image_size`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lens_ray.stats.marks import Facet, Marks
from lens_ray.stats.units import Floats
from lens_ray.suites.suite import Suite

NAME = "image_size"
#: Into how many parts of equal numbers of units the sizes are cut.
_PARTS = 3


def with_image_size(marks: Marks, suite: Suite) -> Marks:
    """Add the facet ``image_size``: thirds of the units by the pixels of their largest image.

    Args:
        marks: Of that suite.
        suite: The suite that was asked.

    Returns:
        The marks with the facet; a suite of one size, or without images, has one value.
    """
    pixels = {image: width * height for image, (width, height) in suite.image_sizes().items()}
    size = np.zeros(len(marks.ids))
    for place, sample_id in enumerate(marks.ids):
        sample = suite.by_id.get(sample_id)
        images = sample.images if sample is not None else ()
        size[place] = max((pixels.get(image, 0) for image in images), default=0)
    cuts = np.unique(size)[:-1]
    if len(cuts) >= _PARTS:
        cuts = np.unique(np.quantile(size, [part / _PARTS for part in range(1, _PARTS)]))
    # A cut belongs to the part below it, so that images of one size stay together.
    part = np.searchsorted(cuts, size, side="left")
    present, code = np.unique(part, return_inverse=True)
    labels = tuple(_label(size[part == number]) for number in present.tolist())
    facet = Facet(labels, code.reshape(-1).astype(np.int64))
    return replace(marks, facets={**marks.facets, NAME: facet})


def _label(size: Floats) -> str:
    least, most = (f"{value / 1e6:.3g}" for value in (size.min(), size.max()))
    return f"{least} megapixels" if least == most else f"{least} to {most} megapixels"
