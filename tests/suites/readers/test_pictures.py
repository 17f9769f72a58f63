"""Images of strangers: kept as they are where that is safe, decoded once, refused in one line."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from lens_ray.errors import SuiteError
from lens_ray.suites.images import decode_png, image_hash
from lens_ray.suites.readers import pictures
from lens_ray.suites.readers.pictures import check_picture
from tests.suites.makers import pixels
from tests.suites.readers.makers import bomb, png


def saved(image: Image.Image, form: str, **more: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, form, **more)
    return sink.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_plain_images_are_kept_byte_for_byte(form: str) -> None:
    data = png(1, form)
    picture = check_picture(data, "here")
    assert picture.data == data
    assert (picture.width, picture.height) == (7, 5)
    assert picture.hash == image_hash(decode_png(data, "x"))


def test_grey_and_palette_images_are_kept() -> None:
    for image in (
        Image.fromarray(pixels(1)).convert("L"),
        Image.fromarray(pixels(1)).convert("P", palette=Image.Palette.ADAPTIVE),
    ):
        data = saved(image, "PNG")
        picture = check_picture(data, "here")
        assert picture.data == data
        assert picture.hash == image_hash(np.asarray(image.convert("RGB")))


def test_a_turned_photo_is_stored_upright() -> None:
    upright = pixels(1, 8, 16)
    turned = Image.Exif()
    turned[0x0112] = 6
    lying = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90)
    data = saved(lying, "PNG", exif=turned)
    picture = check_picture(data, "here")
    assert (picture.width, picture.height) == (16, 8)
    assert picture.hash == image_hash(upright)
    assert image_hash(decode_png(picture.data, "x")) == picture.hash


def test_other_images_become_png() -> None:
    colour = Image.fromarray(pixels(1))
    clear = colour.convert("RGBA")
    clear.putalpha(90)
    deep = Image.fromarray(np.arange(35, dtype=np.uint16).reshape(5, 7) * 1800)
    frames = saved(colour, "GIF", save_all=True, append_images=[Image.fromarray(pixels(2))])
    for data in (
        saved(clear, "PNG"), saved(colour.convert("CMYK"), "JPEG"), saved(deep, "PNG"), frames,
        saved(colour, "BMP"),
    ):  # fmt: skip
        picture = check_picture(data, "here")
        assert picture.data[:4] == b"\x89PNG"
        assert image_hash(decode_png(picture.data, "x")) == picture.hash
    assert check_picture(saved(colour, "BMP"), "x").hash == image_hash(pixels(1))
    assert check_picture(saved(clear, "PNG"), "x").hash == image_hash(pixels(1))
    shown = decode_png(check_picture(saved(deep, "PNG"), "x").data, "x")[..., 0]
    assert shown.tolist() == [[(7 * y + x) * 1800 >> 8 for x in range(7)] for y in range(5)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be read (no bytes)"),
        (b"not an image at all", "cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be read"),
        (bomb(), "decompression bomb?"),
        (bomb(9_000, 9_000), "the image has 9000x9000 pixels, more than 64000000"),
        (bomb(10, 10), "the image is damaged"),
        (png(1)[:-30], "the image is damaged"),
        (png(3, "JPEG")[:200], "the image"),
    ],
)
def test_bad_images_are_named(data: bytes, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        check_picture(data, "f.parquet, row 3, column 'image'")
    assert str(caught.value).startswith("f.parquet, row 3, column 'image': ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_huge_file_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_ENCODED", 10)
    with pytest.raises(SuiteError, match="more than 10"):
        check_picture(png(1), "here")
