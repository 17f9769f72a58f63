"""Tokens of an image as OpenAI's guide "Images and vision" counts them, for a scripted server.

Written from the guide (stored copies of 2026, read on 2026-11-27) and not from the adapter's
estimate, so that a test of one against the other means something.
"""

from __future__ import annotations

import math
import re

from lens_ray.testing.provider.wire import Picture

_PATCH = 32
_TILE = 512
#: Name, then tokens of any image and of a tile. The first that fits counts; others are 4o's.
_BY_TILES = (
    (r"gpt-4o-mini", 2833, 5667),
    (r"o[13](-|$)", 75, 150),
    (r"gpt-5(\.1)?(-|$)", 70, 140),
    (r"computer-use", 65, 129),
    (r"", 85, 170),
)
#: Name, then tokens of a patch. They come before the above; the newer ones look closer.
_BY_PATCHES = (
    (r"(gpt-4\.1|gpt-5[.\d]*)-(codex-)?mini", 1.62),
    (r"(gpt-4\.1|gpt-5[.\d]*)-nano", 2.46),
    (r"o4-mini", 1.72),
    (r"gpt-(5\.[2-9]|[6-9])", 1.2),
)


def image_tokens(model: str, image: Picture) -> int:
    """Tokens of an image at its detail; ``auto`` is the closest look."""
    for name, factor in _BY_PATCHES:
        if re.match(name, model):
            most, side = _closeness(model, image.detail) if factor == 1.2 else (1536, 2048)
            patches = _fitted(image.width, image.height, most, side)
            return math.ceil(round(patches * factor, 6))
    base, tile = next((base, tile) for name, base, tile in _BY_TILES if re.match(name, model))
    return base if image.detail == "low" else base + tile * _tiles(image.width, image.height)


def _closeness(model: str, detail: str) -> tuple[float, float]:
    """Patches and pixels of a side at most."""
    if re.match(r"gpt-5\.[23]", model):
        return 1536, 2048
    newest = re.match(r"gpt-(5\.[6-9]|[6-9])", model) is not None
    if detail == "low":
        return 256, 512
    if detail == "high":
        return 2500, 65_535 if newest else 2048
    return (math.inf, math.inf) if newest else (10_000, 6000)


def _fitted(width: int, height: int, most: float, side: float) -> int:
    """Patches of an image that is scaled down to both bounds."""
    longer = max(width, height)
    if longer > side:
        width, height = (max(1, round(edge * side / longer)) for edge in (width, height))
    columns, rows = math.ceil(width / _PATCH), math.ceil(height / _PATCH)
    if columns * rows <= most:
        return columns * rows
    shrink = math.sqrt(_PATCH**2 * most / (width * height))
    wide, high = width * shrink / _PATCH, height * shrink / _PATCH
    if wide < 1 or high < 1:
        return int(most)
    shrink *= min(math.floor(wide) / wide, math.floor(high) / high)
    columns = math.ceil(int(round(width * shrink, 6)) / _PATCH)
    rows = math.ceil(int(round(height * shrink, 6)) / _PATCH)
    return min(int(most), columns * rows)


def _tiles(width: float, height: float) -> int:
    shrink = min(1.0, 2048 / max(width, height))
    width, height = width * shrink, height * shrink
    shrink = min(1.0, 768 / min(width, height))
    width, height = round(width * shrink, 6), round(height * shrink, 6)
    return math.ceil(width / _TILE) * math.ceil(height / _TILE)
