"""Integer rasteriser on 64 by 64 RGB: the same pixels on every machine, well under 1 ms an image.

Masks are cached and blitted by slices; no floating point is involved anywhere.
"""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lens_ray.suites.mini.font import HEIGHT, WIDTH, Mask, glyph, text_width

Image = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

SIDE = 64

COLOURS: dict[str, Colour] = {
    "red": (214, 44, 44),
    "green": (40, 156, 60),
    "blue": (46, 84, 214),
    "yellow": (238, 214, 50),
    "purple": (146, 56, 184),
    "orange": (242, 134, 26),
}

#: Hand-drawn 7 by 7 pictures.
_ICONS: dict[str, tuple[str, ...]] = {
    "star": ("...#...", "...#...", "#######", ".#####.", "..###..", ".##.##.", "#.....#"),
    "house": ("...#...", "..###..", ".#####.", "#######", ".##.##.", ".##.##.", ".##.##."),
    "tree": ("...#...", "..###..", ".#####.", "..###..", ".#####.", "#######", "...#..."),
    "key": (".###...", ".#.#...", ".###...", "..#....", "..#....", "..###..", "..##..."),
    "fish": ("......#", ".###.##", "#####.#", "#.#####", "#####.#", ".###.##", "......#"),
    "cup": ("#####..", "#####.#", "#######", "#####.#", "#####..", ".###...", "#####.."),
    "car": (".......", "..###..", ".#.#.#.", "#######", "#######", ".#...#.", "......."),
    "moon": ("..###..", ".##....", "##.....", "##.....", "##.....", ".##....", "..###.."),
    "heart": (".......", ".##.##.", "#######", "#######", ".#####.", "..###..", "...#..."),
    "flag": ("##.....", "#####..", "######.", "#####..", "##.....", "#......", "#......"),
}
ICONS: tuple[str, ...] = tuple(_ICONS)


@lru_cache(maxsize=512)
def shape_mask(kind: str, size: int) -> Mask:
    """The mask of a geometric shape that fills a square of ``size`` pixels."""
    axis = 2 * np.arange(size, dtype=np.int64) - (size - 1)
    x, y = axis[None, :], axis[:, None]
    disk = x * x + y * y <= size * size
    mask: Mask
    if kind == "circle":
        mask = disk
    elif kind == "ring":
        inner = size - 2 * max(2, size // 4)
        mask = disk & (x * x + y * y > inner * inner)
    elif kind == "square":
        mask = np.ones((size, size), dtype=bool)
    elif kind == "triangle":
        mask = 2 * np.abs(x) <= y + size
    elif kind == "diamond":
        mask = np.abs(x) + np.abs(y) <= size
    elif kind == "cross":
        mask = (3 * np.abs(x) <= size) | (3 * np.abs(y) <= size)
    else:
        raise KeyError(kind)
    mask = np.ascontiguousarray(mask)
    mask.setflags(write=False)
    return mask


@lru_cache(maxsize=256)
def icon_mask(name: str, scale: int) -> Mask:
    """The mask of one of `ICONS`, every drawn pixel ``scale`` pixels wide."""
    return bitmap(_ICONS[name], scale)


def bitmap(rows: tuple[str, ...], scale: int) -> Mask:
    """The mask of a picture drawn with ``#``."""
    bits = np.array([[char == "#" for char in row] for row in rows], dtype=bool)
    mask = np.repeat(np.repeat(bits, scale, axis=0), scale, axis=1)
    mask.setflags(write=False)
    return mask


@lru_cache(maxsize=256)
def _pattern(pattern: str, height: int, width: int) -> Mask:
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    if pattern == "striped":
        mask: Mask = ((rows + columns) % 6 < 3) & (columns >= 0)
    elif pattern == "dotted":
        mask = (rows % 5 > 2) & (columns % 5 > 2)
    else:
        mask = np.zeros((height, width), dtype=bool)
    return mask


def canvas(rng: random.Random, *, dark: bool = False) -> Image:
    """A near-grey background with a gentle ramp in a random direction."""
    low = 22 if dark else 196
    base = np.array([low + rng.randrange(36) for _ in range(3)], dtype=np.int16)
    ramp = (np.arange(SIDE, dtype=np.int16) * (rng.randrange(41) - 20)) // SIDE
    field = ramp[:, None] if rng.randrange(2) else ramp[None, :]
    plane = np.broadcast_to(field, (SIDE, SIDE))[:, :, None] + base
    return plane.clip(0, 255).astype(np.uint8)


def shade(rng: random.Random, colour: Colour, spread: int = 10) -> Colour:
    """The colour with a small random shift a channel."""
    red, green, blue = (
        min(255, max(0, value + rng.randrange(2 * spread + 1) - spread)) for value in colour
    )
    return red, green, blue


def darker(colour: Colour) -> Colour:
    """The colour at a bit more than half its brightness."""
    return colour[0] * 9 // 16, colour[1] * 9 // 16, colour[2] * 9 // 16


def rect(image: Image, x: int, y: int, width: int, height: int, colour: Colour) -> None:
    """Fill a rectangle, cut at the border."""
    image[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = colour


def frame(image: Image, x: int, y: int, width: int, height: int, colour: Colour) -> None:
    """Draw the outline of a rectangle, one pixel wide."""
    rect(image, x, y, width, 1, colour)
    rect(image, x, y + height - 1, width, 1, colour)
    rect(image, x, y, 1, height, colour)
    rect(image, x + width - 1, y, 1, height, colour)


def stamp(image: Image, mask: Mask, x: int, y: int, colour: Colour, pattern: str = "plain") -> None:
    """Paint a mask with its top left corner at ``x``, ``y``, cut at the border."""
    height, width = mask.shape
    left, top = max(0, -x), max(0, -y)
    right, bottom = min(width, SIDE - x), min(height, SIDE - y)
    if left >= right or top >= bottom:
        return
    window = image[y + top : y + bottom, x + left : x + right]
    window[mask[top:bottom, left:right]] = colour
    if pattern != "plain":
        marks = mask & _pattern(pattern, height, width)
        light = (250, 250, 250) if pattern == "striped" else (20, 20, 24)
        window[marks[top:bottom, left:right]] = light


def text(image: Image, string: str, x: int, y: int, colour: Colour, scale: int = 1) -> None:
    """Write a string with its top left corner at ``x``, ``y``."""
    for index, char in enumerate(string):
        stamp(image, glyph(char, scale), x + index * (WIDTH + 1) * scale, y, colour)


def line(
    image: Image, start: tuple[int, int], end: tuple[int, int], colour: Colour, thick: int = 1
) -> None:
    """Draw a straight line (Bresenham) with a square pen."""
    (x, y), (end_x, end_y) = start, end
    run, rise = abs(end_x - x), -abs(end_y - y)
    step_x, step_y = (1 if x < end_x else -1), (1 if y < end_y else -1)
    error, back = run + rise, thick // 2
    while True:
        rect(image, x - back, y - back, thick, thick, colour)
        if (x, y) == (end_x, end_y):
            return
        doubled = 2 * error
        if doubled >= rise:
            error += rise
            x += step_x
        if doubled <= run:
            error += run
            y += step_y


def grain(image: Image, rng: random.Random, amplitude: int) -> Image:
    """The image with uniform grey noise of at most ``amplitude`` either way."""
    raw = np.frombuffer(rng.randbytes(SIDE * SIDE), dtype=np.uint8).astype(np.int16)
    noise = ((raw * (2 * amplitude + 1)) >> 8) - amplitude
    noisy = image + noise.reshape(SIDE, SIDE, 1)
    return noisy.clip(0, 255).astype(np.uint8)


__all__ = [
    "COLOURS", "HEIGHT", "ICONS", "SIDE", "WIDTH", "Colour", "Image", "Mask", "bitmap", "canvas",
    "darker", "frame", "grain", "icon_mask", "line", "rect", "shade", "shape_mask", "stamp",
    "text", "text_width",
]  # fmt: skip
