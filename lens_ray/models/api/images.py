"""How an image reaches a provider: `encode`, within a provider's `ImageLimits`.

The policy. A PNG or JPEG that is small enough is sent byte for byte. A larger one is scaled down,
aspect ratio kept, with Pillow's Lanczos filter, and encoded again: as JPEG (quality 95, no chroma
subsampling) if it was one, else as PNG; where a PNG has too many bytes, as JPEG of quality 95,
then 90, 80, 70. WebP is sent as PNG, so that the pixels stay the same. What a suite stores is
upright, opaque and of one frame (`lens_ray.suites.readers.pictures`), so nothing else is changed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from lens_ray.models.api.adapter import ApiFailure, EncodedImage, Kind
from lens_ray.models.api.options import ApiOptions
from lens_ray.models.images import BOMB_PIXELS, ImageError, decode_image

if TYPE_CHECKING:
    from PIL.Image import Image

PNG = "image/png"
JPEG = "image/jpeg"

_QUALITIES = (95, 90, 80, 70)
#: More images than this, and Anthropic takes none over `_MANY_SIDE` pixels.
_MANY = 20
_MANY_SIDE = 2000


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a provider takes.

    Attributes:
        max_side: Pixels of an image's longer side; None is any.
        max_bytes: Of one encoded image, before base64.
        max_images: Of one question.
        max_total: Bytes of all images of a question together, before base64.
        form: ``auto`` sends PNG and JPEG as they are; ``png`` and ``jpeg`` allow only that.
    """

    max_side: int | None
    max_bytes: int
    max_images: int
    max_total: int
    form: Literal["auto", "png", "jpeg"] = "auto"


def _before_base64(encoded: int) -> int:
    return encoded // 4 * 3


#: Read on 2026-11-27 in stored copies of these pages; where pages differ, the smaller number.
#: openai: "Images and vision", image input requirements: 20 MB an image, 500 images, 50 MB of
#: images a request.
#: anthropic: platform.claude.com/docs/en/build-with-claude/vision, general limits: 8000 pixels
#: (2000 where there are more than 20 images), 600 images (100 with a window of 200,000 tokens, as
#: the server says itself), 32 MB a request, of which 1 MB is left to the text. The server refuses
#: more than 5,242,880 bytes of base64 (github.com/anthropics/claude-code, issues 14887 and 20021).
#: gemini: firebase.google.com/docs/vertex-ai/input-file-requirements: 20 MB a request with inline
#: data, of which 1 MB is left to the text; 3000 images; no limit of pixels. (The Gemini API has
#: raised the first: blog.google, "Increased file size limits".)
_PROVIDERS: Mapping[str, ImageLimits] = {
    "openai": ImageLimits(None, 20_000_000, 500, 50_000_000),
    "anthropic": ImageLimits(
        8000, _before_base64(5 * 2**20), 600, _before_base64(31_000_000)
    ),
    "gemini": ImageLimits(None, _before_base64(19_000_000), 3000, _before_base64(19_000_000)),
}  # fmt: skip


def limits_for(provider: str, options: ApiOptions, images: int = 1) -> ImageLimits:
    """What a provider takes in a question of so many images, and what the user wants.

    Args:
        provider: ``openai``, ``anthropic`` or ``gemini``.
        options: `ApiOptions.image_max_side` and `ApiOptions.image_format` count.
        images: Of the question.
    """
    limits = _PROVIDERS[provider]
    sides = [limits.max_side, options.image_max_side]
    if provider == "anthropic" and images > _MANY:
        sides.append(_MANY_SIDE)
    side = min((side for side in sides if side is not None), default=None)
    return replace(limits, max_side=side, form=options.image_format)


def policy(limits: ImageLimits) -> str:
    """What is done with images, in one line for a run's facts."""
    kept = {"auto": "PNG and JPEG", "png": "PNG", "jpeg": "JPEG"}[limits.form]
    side = "of any size" if limits.max_side is None else f"of up to {limits.max_side} pixels a side"
    return f"{kept} {side} and up to {limits.max_bytes} bytes as they are; else Lanczos, re-encoded"


def encode_all(images: Sequence[bytes], limits: ImageLimits) -> tuple[EncodedImage, ...]:
    """All images of a question, in order. Pure and slow: call it in a thread.

    Raises:
        ApiFailure: Of `Kind.IMAGE`: there are too many, or together too large; or see `encode`.
    """
    if len(images) > limits.max_images:
        raise _refused(f"{len(images)} images, and the provider takes {limits.max_images}")
    encoded = tuple(encode(data, limits) for data in images)
    total = sum(len(image.data) for image in encoded)
    if total > limits.max_total:
        raise _refused(
            f"the {len(images)} images have {total} bytes together, and the provider takes "
            f"{limits.max_total}; image_max_side scales them down"
        )
    return encoded


def encode(data: bytes, limits: ImageLimits) -> EncodedImage:
    """One image as it is sent. Pure and slow: call it in a thread.

    Args:
        data: PNG, JPEG or WebP.
        limits: What the provider takes.

    Raises:
        ApiFailure: Of `Kind.IMAGE`: it cannot be decoded, has over 64 million pixels, or stays
            too large.
    """
    try:
        media_type, width, height = _header(data)
        small = limits.max_side is None or max(width, height) <= limits.max_side
        wanted = {"auto": (PNG, JPEG), "png": (PNG,), "jpeg": (JPEG,)}[limits.form]
        if small and media_type in wanted and len(data) <= limits.max_bytes:
            return EncodedImage(data, media_type, width, height)
        image = decode_image(data, BOMB_PIXELS)
    except ImageError as error:
        raise _refused(str(error)) from error
    if limits.max_side is not None:
        image = _within(image, limits.max_side)
    lossy = limits.form == "jpeg" or (limits.form == "auto" and media_type == JPEG)
    if not lossy:
        encoded = _as_png(image)
        if len(encoded.data) <= limits.max_bytes:
            return encoded
    if limits.form != "png":
        for quality in _QUALITIES:
            encoded = _as_jpeg(image, quality)
            if len(encoded.data) <= limits.max_bytes:
                return encoded
    raise _refused(
        f"an image of {width}x{height} pixels stays over {limits.max_bytes} bytes; "
        "image_max_side scales it down"
    )


def _header(data: bytes) -> tuple[str, int, int]:
    """Media type, width and height, by what the header says."""
    import struct

    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            width, height = image.size
            media_type = image.get_format_mimetype() or ""
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"image is over {BOMB_PIXELS} pixels") from error
    except (OSError, ValueError, SyntaxError, struct.error, IndexError) as error:
        # Pillow's decoders raise all of these for damaged files.
        raise ImageError("image cannot be decoded: PNG, JPEG or WebP is needed") from error
    if width * height > BOMB_PIXELS:
        raise ImageError(f"image of {width}x{height} pixels is over {BOMB_PIXELS}")
    return media_type, width, height


def _within(image: Image, side: int) -> Image:
    from PIL.Image import Resampling

    longer = max(image.size)
    if longer <= side:
        return image
    width, height = (max(1, round(pixels * side / longer)) for pixels in image.size)
    return image.resize((width, height), Resampling.LANCZOS)


def _as_png(image: Image) -> EncodedImage:
    out = io.BytesIO()
    image.save(out, "PNG")
    return EncodedImage(out.getvalue(), PNG, image.width, image.height)


def _as_jpeg(image: Image, quality: int) -> EncodedImage:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, subsampling=0)
    return EncodedImage(out.getvalue(), JPEG, image.width, image.height)


def _refused(line: str) -> ApiFailure:
    return ApiFailure(Kind.IMAGE, line)
