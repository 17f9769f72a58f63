"""Image size as a facet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lens_ray.stats.image_size import with_image_size
from lens_ray.stats.marks import Marks, marks_of
from lens_ray.suites import Suite, write_suite
from lens_ray.suites.images import image_hash
from tests.stats.tables import row, table
from tests.suites.makers import sample


def suite_of(folder: Path, sides: list[int]) -> Suite:
    """A suite with one square image of each side."""
    samples, images = [], {}
    for number, side in enumerate(sides):
        pixels = np.full((side, side, 3), number, dtype=np.uint8)
        made, _ = sample(number, images=(image_hash(pixels),))
        samples.append(made)
        images[image_hash(pixels)] = pixels
    return write_suite("sized", samples, images, folder / "suite", licence="x", revision="1")


def marks(count: int) -> Marks:
    rows = [row(f"t/{number}", "counting", "dots", 1.0) for number in range(count)]
    return marks_of({"m": table(rows)}, weights={})


def test_thirds_by_the_pixels_of_the_image(tmp_path: Path) -> None:
    sides = [100, 200, 300, 400, 500, 600]
    found = with_image_size(marks(6), suite_of(tmp_path, sides)).facets["image_size"]
    assert found.labels == (
        "0.01 to 0.04 megapixels", "0.09 to 0.16 megapixels", "0.25 to 0.36 megapixels",
    )  # fmt: skip
    np.testing.assert_array_equal(found.code, [0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("sides", "codes"), [([64] * 6, [0] * 6), ([64] * 5 + [128], [0] * 5 + [1])]
)
def test_images_of_one_size_stay_together(
    tmp_path: Path, sides: list[int], codes: list[int]
) -> None:
    found = with_image_size(marks(6), suite_of(tmp_path, sides)).facets["image_size"]
    np.testing.assert_array_equal(found.code, codes)
    assert found.labels[0] == "0.0041 megapixels"


def test_a_sample_that_the_suite_lacks_has_no_image(tmp_path: Path) -> None:
    found = with_image_size(marks(4), suite_of(tmp_path, [100, 100, 100])).facets["image_size"]
    np.testing.assert_array_equal(found.code, [1, 1, 1, 0])
    assert found.labels == ("0 megapixels", "0.01 megapixels")
