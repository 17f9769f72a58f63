from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lens_ray.models.api.adapter import ApiFailure, Kind
from lens_ray.models.api.images import ImageLimits, encode, encode_all, limits_for, policy
from lens_ray.models.api.options import AnthropicOptions, GeminiOptions, OpenAIOptions
from tests.models.helpers import png
from tests.models.test_images import bomb

LIMITS = ImageLimits(max_side=100, max_bytes=50_000, max_images=3, max_total=120_000)


def jpeg(seed: int, width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(png(seed, width, height))).save(out, "JPEG", quality=90)
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize(
    ("data", "media_type"), [(png(1, 100, 40), "image/png"), (jpeg(1, 40, 100), "image/jpeg")]
)
def test_a_small_image_is_sent_byte_for_byte(data: bytes, media_type: str) -> None:
    sent = encode(data, LIMITS)
    assert sent.data is data
    assert sent.media_type == media_type
    assert (sent.height, sent.width) == pixels(data).shape[:2]


@pytest.mark.parametrize(
    ("data", "media_type"), [(png(1, 200, 50), "image/png"), (jpeg(1, 200, 50), "image/jpeg")]
)
def test_a_long_image_is_scaled_by_lanczos_in_its_own_format(data: bytes, media_type: str) -> None:
    sent = encode(data, LIMITS)
    assert (sent.media_type, sent.width, sent.height) == (media_type, 100, 25)
    expected = Image.open(io.BytesIO(data)).convert("RGB")
    scaled = np.asarray(expected.resize((100, 25), Image.Resampling.LANCZOS))
    apart = np.abs(pixels(sent.data).astype(int) - scaled)
    assert apart.max() == 0 if media_type == "image/png" else apart.mean() < 4


def test_webp_becomes_png_of_the_same_pixels() -> None:
    out = io.BytesIO()
    Image.open(io.BytesIO(png(1))).save(out, "WEBP", lossless=True)
    sent = encode(out.getvalue(), LIMITS)
    assert sent.media_type == "image/png"
    assert np.array_equal(pixels(sent.data), pixels(png(1)))


def test_a_png_of_too_many_bytes_becomes_jpeg_that_fits() -> None:
    data = png(1, 100, 100)  # noise: 30 kB
    assert len(data) > 25_000
    sent = encode(data, ImageLimits(100, 25_000, 1, 25_000))
    assert sent.media_type == "image/jpeg"
    assert len(sent.data) <= 25_000


@pytest.mark.parametrize("form", ["auto", "png", "jpeg"])
def test_what_stays_too_large_is_refused_in_one_line(form: str) -> None:
    limits = ImageLimits(100, 500, 1, 500, form)  # type: ignore[arg-type]
    with pytest.raises(ApiFailure) as failure:
        encode(png(1, 100, 100), limits)
    assert failure.value.kind is Kind.IMAGE
    assert "100x100 pixels stays over 500 bytes" in failure.value.line
    assert "image_max_side" in failure.value.line


def test_a_wanted_format_is_kept_to() -> None:
    as_png = encode(jpeg(1, 50, 50), ImageLimits(100, 50_000, 1, 50_000, "png"))
    assert as_png.media_type == "image/png"
    assert np.array_equal(pixels(as_png.data), pixels(jpeg(1, 50, 50)))
    as_jpeg = encode(png(1, 50, 50), ImageLimits(100, 50_000, 1, 50_000, "jpeg"))
    assert as_jpeg.media_type == "image/jpeg"


@pytest.mark.parametrize(
    "data", [bomb(8001, 8001), bomb(60_000, 60_000), b"", b"no image", png(1)[:20]]
)
def test_bombs_and_junk_are_refused(data: bytes) -> None:
    with pytest.raises(ApiFailure) as failure:
        encode(data, LIMITS)
    assert failure.value.kind is Kind.IMAGE
    assert "\n" not in failure.value.line


def test_a_damaged_image_that_must_be_scaled_is_refused() -> None:
    with pytest.raises(ApiFailure) as failure:
        encode(png(1, 200, 200)[:2000], LIMITS)
    assert failure.value.kind is Kind.IMAGE


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(16, 120))
def test_no_side_is_over_the_limit_and_the_shape_is_kept(
    width: int, height: int, side: int
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "PNG")
    sent = encode(out.getvalue(), ImageLimits(side, 10**6, 1, 10**6))
    assert max(sent.width, sent.height) == min(side, max(width, height))
    assert pixels(sent.data).shape[:2] == (sent.height, sent.width)
    scale = max(sent.width, sent.height) / max(width, height)
    assert abs(sent.width - width * scale) <= 1
    assert abs(sent.height - height * scale) <= 1


def test_images_are_counted_and_weighed_together() -> None:
    small = png(1, 8, 8)
    assert [image.data for image in encode_all([small] * 3, LIMITS)] == [small] * 3
    with pytest.raises(ApiFailure, match="4 images, and the provider takes 3"):
        encode_all([small] * 4, LIMITS)
    large = png(1, 100, 100)  # 30 kB each
    with pytest.raises(ApiFailure, match="bytes together"):
        encode_all([large] * 3, ImageLimits(100, 50_000, 3, 80_000))


def test_anthropic_takes_smaller_images_where_there_are_more_than_twenty() -> None:
    assert limits_for("anthropic", AnthropicOptions(), 20).max_side == 8000
    assert limits_for("anthropic", AnthropicOptions(), 21).max_side == 2000
    assert limits_for("anthropic", AnthropicOptions(image_max_side=512), 21).max_side == 512


def test_base64_of_the_largest_image_fits_what_the_provider_counts() -> None:
    largest = limits_for("anthropic", AnthropicOptions()).max_bytes
    assert -(-largest // 3) * 4 <= 5 * 2**20


def test_options_narrow_what_the_provider_takes() -> None:
    limits = limits_for("openai", OpenAIOptions(image_max_side=300, image_format="jpeg"))
    assert (limits.max_side, limits.form) == (300, "jpeg")
    assert limits_for("gemini", GeminiOptions()).max_side is None
    assert policy(limits).startswith("JPEG of up to 300 pixels a side")
