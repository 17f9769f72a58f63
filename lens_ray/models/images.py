"""Encoded image bytes to pixels, with untrusted input in mind: `decode_image`."""

from __future__ import annotations

import io
import math
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

#: No image is decoded beyond this; it is refused by what its header says, before decoding.
BOMB_PIXELS = 64_000_000
_FORMATS = ("PNG", "JPEG", "WEBP")


class ImageError(ValueError):
    """An image of a request cannot be decoded; `str()` is the cause of that one request."""


def decode_image(data: bytes, max_pixels: int) -> Image:
    """Decode one image as RGB, at its own size unless it has more than `max_pixels`.

    Raises:
        ImageError: The bytes are no PNG, JPEG or WebP, are truncated, or would be too large.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as encoded:
            width, height = encoded.size
            if width * height > BOMB_PIXELS:
                raise ImageError(f"image of {width}x{height} pixels is over {BOMB_PIXELS}")
            image = encoded.convert("RGB")
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"image is over {BOMB_PIXELS} pixels") from error
    except (OSError, ValueError, SyntaxError, struct.error, IndexError) as error:
        # Pillow's decoders raise all of these for damaged files.
        raise ImageError(f"image cannot be decoded: {_first_line(error)}") from error
    if width * height <= max_pixels:
        return image
    scale = math.sqrt(max_pixels / (width * height))
    smaller = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    return image.resize(smaller, Image.Resampling.LANCZOS)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
