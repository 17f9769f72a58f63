"""Small images for questions."""

from __future__ import annotations

import io

from PIL import Image


def _encoded(width: int, height: int, shade: int, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (shade, 40, 90)).save(buffer, kind)
    return buffer.getvalue()


def png(width: int, height: int, shade: int = 10) -> bytes:
    return _encoded(width, height, shade, "PNG")


def jpeg(width: int, height: int, shade: int = 10) -> bytes:
    return _encoded(width, height, shade, "JPEG")
