from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lens_ray.models.images import BOMB_PIXELS, ImageError, decode_image
from tests.models.helpers import png


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes that claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IEND", b"")


def test_pixels_are_kept_as_they_are() -> None:
    image = decode_image(png(3, 50, 20), 1000)
    expected = np.random.default_rng(3).integers(0, 256, (20, 50, 3), dtype=np.uint8)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), expected)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (8, 6)).save(out, "PNG")
    assert decode_image(out.getvalue(), 1000).mode == "RGB"


@pytest.mark.parametrize(("width", "height"), [(8001, 8001), (60_000, 60_000), (2**31 - 1, 9)])
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    assert width * height > BOMB_PIXELS
    with pytest.raises(ImageError, match="pixels"):
        decode_image(bomb(width, height), 1000)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(64, 20_000))
def test_size_is_kept_or_scaled_into_the_cap(width: int, height: int, cap: int) -> None:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "PNG")
    new = decode_image(out.getvalue(), cap).size
    if width * height <= cap:
        assert new == (width, height)
    else:
        assert new[0] * new[1] <= cap or 1 in new
        if min(new) > 8:
            assert abs(new[0] / new[1] - width / height) < 0.2 * width / height


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_the_one_error(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode_image(data, 1000)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_damaged_files_decode_or_raise_the_one_error(at: int, junk: bytes) -> None:
    data = bytearray(png(1, 16, 16))
    at %= len(data)
    data[at : at + len(junk)] = junk
    with contextlib.suppress(ImageError):
        assert decode_image(bytes(data), 1000).mode == "RGB"
