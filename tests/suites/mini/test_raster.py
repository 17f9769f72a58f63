from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.suites.mini import raster
from lens_ray.suites.mini.entity import BRANDS, CREATURES, emblem
from lens_ray.suites.mini.font import glyph, text_width
from lens_ray.suites.mini.ocr import NEIGHBOURS, PLACES, WORDS

KINDS = ("circle", "ring", "square", "triangle", "diamond", "cross")


def blank() -> raster.Image:
    return np.zeros((raster.SIDE, raster.SIDE, 3), dtype=np.uint8)


@given(st.sampled_from(KINDS), st.integers(4, 30), st.integers(-40, 90), st.integers(-40, 90))
def test_stamp_equals_a_pixel_by_pixel_oracle(kind: str, size: int, x: int, y: int) -> None:
    image, mask = blank(), raster.shape_mask(kind, size)
    raster.stamp(image, mask, x, y, (1, 2, 3))
    expected = blank()
    for row in range(size):
        for column in range(size):
            if mask[row, column] and 0 <= y + row < 64 and 0 <= x + column < 64:
                expected[y + row, x + column] = (1, 2, 3)
    assert np.array_equal(image, expected)


@given(st.integers(-20, 80), st.integers(-20, 80), st.integers(0, 70), st.integers(0, 70))
def test_rect_is_cut_at_the_border(x: int, y: int, width: int, height: int) -> None:
    image = blank()
    raster.rect(image, x, y, width, height, (9, 9, 9))
    inside = max(0, min(64, x + width) - max(0, x)) * max(0, min(64, y + height) - max(0, y))
    assert np.count_nonzero(image[:, :, 0]) == inside


@given(*(st.integers(0, 63) for _ in range(4)))
def test_line_joins_its_ends_without_a_gap(x0: int, y0: int, x1: int, y1: int) -> None:
    image = blank()
    raster.line(image, (x0, y0), (x1, y1), (5, 5, 5))
    assert image[y0, x0, 0] == image[y1, x1, 0] == 5
    assert np.count_nonzero(image[:, :, 0]) == max(abs(x1 - x0), abs(y1 - y0)) + 1


def test_shapes_differ_and_are_mirror_symmetric() -> None:
    for size in (6, 9, 14, 25):
        masks = [raster.shape_mask(kind, size) for kind in KINDS]
        assert len({mask.tobytes() for mask in masks}) == len(KINDS)
        assert all(np.array_equal(mask, mask[:, ::-1]) for mask in masks)


def test_an_unknown_shape_is_a_bug() -> None:
    with pytest.raises(KeyError):
        raster.shape_mask("blob", 9)


def test_glyphs_are_all_different_and_fill_their_box() -> None:
    chars = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    masks = {char: glyph(char, 2) for char in chars}
    assert all(mask.shape == (14, 10) for mask in masks.values())
    assert len({mask.tobytes() for mask in masks.values()}) == len(chars)
    assert all(mask[0].any() and mask[-1].any() for mask in masks.values())
    assert text_width("ABC", 2) == 34
    t = glyph("T", 1)
    assert t[0].all()
    assert t[:, 2].all()
    assert t.sum() == 5 + 6


def test_grain_stays_within_its_amplitude_and_has_no_bias() -> None:
    image = np.full((64, 64, 3), 100, dtype=np.uint8)
    noisy = raster.grain(image, random.Random(1), 16).astype(int)
    assert noisy.min() >= 84
    assert noisy.max() <= 116
    assert abs(noisy.mean() - 100) < 0.7


def test_what_is_to_be_told_apart_differs() -> None:
    masks = {name: emblem(name, 1) for name in BRANDS}
    for one in BRANDS:
        for other in BRANDS:
            assert one == other or np.count_nonzero(masks[one] != masks[other]) >= 12
    assert len(set(CREATURES.values())) == len(CREATURES)
    assert not set(BRANDS) & set(CREATURES)
    icons = {raster.icon_mask(name, 1).tobytes() for name in raster.ICONS}
    assert len(icons) == len(raster.ICONS)


def test_alphabets_of_a_code_are_disjoint_and_every_word_has_a_neighbour() -> None:
    assert all(len(set(place)) == 8 for place in PLACES)
    assert len(set("".join(PLACES))) == 24
    assert {one for one, _ in NEIGHBOURS} == set(WORDS)
    assert all((other, one) in NEIGHBOURS for one, other in NEIGHBOURS)
