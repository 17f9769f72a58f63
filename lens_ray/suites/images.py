"""Images as a suite knows them: hashed by pixels, stored as PNG, JPEG or WebP."""

from __future__ import annotations

import hashlib
import io
import warnings

import numpy as np
import numpy.typing as npt

from lens_ray.errors import SuiteError

Pixels = npt.NDArray[np.uint8]

#: No image of a suite may decode to more pixels than this.
MAX_PIXELS = 64_000_000
#: What the images of a suite may be encoded as; no other decoder looks at them.
STORED_FORMATS: tuple[str, ...] = ("PNG", "JPEG", "WEBP")


def image_hash(pixels: Pixels) -> str:
    """SHA-256 (hex) of the shape and the raw RGB bytes; how a file encodes them does not count."""
    height, width, _ = pixels.shape
    digest = hashlib.sha256(f"{height}x{width}x3:".encode())
    digest.update(np.ascontiguousarray(pixels).reshape(-1).data)
    return digest.hexdigest()


def encode_png(pixels: Pixels) -> bytes:
    """The image as PNG bytes."""
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, format="PNG", compress_level=1)
    return sink.getvalue()


def decode_png(data: bytes, name: str) -> Pixels:
    """The RGB pixels of an encoded image, PNG or another of `STORED_FORMATS`.

    Raises:
        SuiteError: It cannot be decoded or has more than `MAX_PIXELS` pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        # Pillow only prints that an image is far too large; here it is an error.
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data), formats=STORED_FORMATS)
        with opened as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise SuiteError(
                    f"image {name}: {width}x{height} pixels, more than {MAX_PIXELS} allowed; "
                    "make it smaller and build the suite again"
                )
            return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except (
        UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:  # fmt: skip
        raise SuiteError(
            f"image {name}: cannot be decoded ({type(error).__name__}); build the suite again"
        ) from error
