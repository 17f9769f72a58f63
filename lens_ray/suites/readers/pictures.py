"""Encoded images from strangers, checked: `Picture`, `check_picture`.

What a suite stores is what the data set holds, byte for byte, where every decoder reads the same
pixels from it: PNG, JPEG and WebP of one frame, upright, without transparency. Anything else that
can be read (the first frame of a GIF, a photo turned by EXIF, CMYK, transparency) is decoded and
stored as PNG. Hashes are of the decoded pixels either way.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lens_ray.errors import SuiteError
from lens_ray.suites.images import MAX_PIXELS, STORED_FORMATS, encode_png, image_hash

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

#: Decoders that may look at a stranger's bytes.
READ_FORMATS: tuple[str, ...] = (*STORED_FORMATS, "GIF", "BMP")
#: An encoded image may not be larger (bytes).
MAX_ENCODED = 128 * 2**20
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that was looked at.

    Attributes:
        hash: Of its pixels, `lens_ray.suites.images.image_hash`.
        data: PNG, JPEG or WebP bytes that decode to these pixels.
        width: In pixels.
        height: In pixels.
    """

    hash: str
    data: bytes
    width: int
    height: int


def check_picture(data: bytes, where: str) -> Picture:
    """Decode an image once, and hash it.

    Raises:
        SuiteError: It is no image of `READ_FORMATS`, is damaged, or has too many pixels.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    if len(data) > MAX_ENCODED:
        raise SuiteError(f"{where}: the image has {len(data)} bytes, more than {MAX_ENCODED}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data), formats=READ_FORMATS)
        with opened as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise SuiteError(
                    f"{where}: the image has {width}x{height} pixels, "
                    f"more than {MAX_PIXELS} (decompression bomb?)"
                )
            plain = _is_plain(image)
            upright = image if plain else _upright(image)
            coloured = upright if upright.mode == "RGB" else upright.convert("RGB")
            pixels = np.asarray(coloured, dtype=np.uint8)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SuiteError(
            f"{where}: the image has more than {MAX_PIXELS} pixels (decompression bomb?)"
        ) from error
    except UnidentifiedImageError as error:
        said = f"{len(data)} bytes, {data[:8]!r}..." if data else "no bytes"
        raise SuiteError(
            f"{where}: the image cannot be read ({said}); PNG, JPEG, WebP, GIF or BMP is needed"
        ) from error
    except (OSError, ValueError, SyntaxError, IndexError, struct.error, zlib.error) as error:
        # Pillow's decoders raise all of these for damaged files.
        said = " ".join(str(error).split())[:100] or type(error).__name__
        raise SuiteError(f"{where}: the image is damaged ({said})") from error
    height, width = pixels.shape[:2]
    kept = data if plain else encode_png(pixels)
    return Picture(image_hash(pixels), kept, width, height)


def _is_plain(image: PillowImage) -> bool:
    return (
        image.format in STORED_FORMATS
        and image.mode in ("RGB", "L", "P", "1")
        and "transparency" not in image.info
        and getattr(image, "n_frames", 1) == 1
        and image.getexif().get(_ORIENTATION, 1) == 1
    )


def _upright(image: PillowImage) -> PillowImage:
    from PIL import ImageOps

    image.seek(0)
    if image.mode.startswith("I;16"):
        # Pillow's conversion would cut 16 bits off at 255; the upper eight are the picture.
        import numpy as np
        from PIL import Image

        return Image.fromarray((np.asarray(image, dtype=np.uint16) >> 8).astype(np.uint8))
    return ImageOps.exif_transpose(image)
