"""Dense practice for `minivlm`: pictures whose answer names everything in them.

A question of `mini` gives two or three bits a picture. A caption of nine cells gives some fifty,
so that what colours, shapes, icons, emblems and letters look like, and where they are, is learned
in a fraction of the steps. No suite has these pictures or these questions.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from lens_ray.suites.mini.entity import BRANDS, emblem
from lens_ray.suites.mini.item import GRAIN
from lens_ray.suites.mini.raster import (
    COLOURS,
    ICONS,
    SIDE,
    Image,
    canvas,
    grain,
    icon_mask,
    rect,
    shade,
    shape_mask,
    stamp,
    text,
)

_SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring")
_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_LOOKS = ("plain", "plain", "striped", "dotted")

Caption = tuple[str, str, Image]


def _sheet(rng: random.Random) -> tuple[Image, int]:
    level = rng.randrange(4)
    image = canvas(rng, dark=rng.randrange(4) == 0)
    if rng.randrange(3) == 0:
        tint = shade(rng, (170, 140, 100), 40)
        rect(image, 0, rng.randrange(40), SIDE, rng.randrange(4, 24), tint)
    return image, level


def _cells(rng: random.Random) -> Caption:
    """Two by two or three by three cells, each with one thing, none, or an emblem."""
    image, level = _sheet(rng)
    side = rng.choice((2, 3))
    pitch = SIDE // side
    words = []
    for cell in range(side * side):
        colour = rng.choice(list(COLOURS))
        tint = shade(rng, COLOURS[colour], 8 + 4 * level)
        kind = rng.randrange(8)
        if kind == 0:
            words.append("none")
            continue
        if kind <= 3:
            size = rng.randrange(9, pitch - 1)
            name, look = rng.choice(_SHAPES), rng.choice(_LOOKS) if size > 12 else "plain"
            mask = shape_mask(name, size)
            word = f"{colour} {name}" if look == "plain" else f"{colour} {look} {name}"
        elif kind <= 5:
            name, look = rng.choice(ICONS), "plain"
            mask, word = icon_mask(name, 2), f"{colour} {name}"
        elif kind == 6:
            name, look = rng.choice(list(BRANDS)), "plain"
            mask, word = emblem(name, 2 if side == 3 else rng.choice((2, 3, 4))), f"{colour} {name}"
        else:
            sign = rng.choice(_SIGNS)
            x = cell % side * pitch + rng.randrange(pitch - 10)
            y = cell // side * pitch + rng.randrange(pitch - 14)
            text(image, sign, x, y, tint, 2)
            words.append(f"{colour} {sign}")
            continue
        high, wide = mask.shape
        x = cell % side * pitch + rng.randrange(max(1, pitch - wide))
        y = cell // side * pitch + rng.randrange(max(1, pitch - high))
        stamp(image, mask, x, y, tint, look)
        words.append(word)
    return "name every cell.", ", ".join(words), grain(image, rng, GRAIN[level])


def _writing(rng: random.Random) -> Caption:
    """Up to four lines of small signs, or one of large ones."""
    image, level = _sheet(rng)
    large = rng.randrange(2) == 0
    scale, longest = (2, 5) if large else (1, 9)
    words = []
    rows = rng.randrange(1, 4)
    for row in range(rows):
        word = "".join(rng.choice(_SIGNS) for _ in range(rng.randrange(1, longest)))
        room_x, room_y = SIDE - len(word) * 6 * scale, SIDE // rows - 7 * scale
        x, y = rng.randrange(max(1, room_x)), row * (SIDE // rows) + rng.randrange(max(1, room_y))
        paper = rng.randrange(150, 250) if rng.randrange(2) else rng.randrange(10, 60)
        ink = paper - 110 if paper > 120 else paper + 140
        rect(image, x - 2, y - 2, len(word) * 6 * scale + 3, 7 * scale + 4, (paper, paper, paper))
        text(image, word, x, y, (ink, ink, ink), scale)
        words.append(word)
    return "read every line.", " ".join(words), grain(image, rng, GRAIN[level])


def _heap(rng: random.Random) -> Caption:
    """Scattered shapes, counted by colour."""
    image, level = _sheet(rng)
    places = list(range(36))
    rng.shuffle(places)
    counts = {name: rng.randrange(6) for name in rng.sample(list(COLOURS), 3)}
    for name, count in counts.items():
        for _ in range(count):
            cell, size = places.pop(), rng.randrange(6, 10)
            x, y = 2 + cell % 6 * 10 + rng.randrange(2), 2 + cell // 6 * 10 + rng.randrange(2)
            stamp(image, shape_mask(rng.choice(_SHAPES[:5]), size), x, y,
                  shade(rng, COLOURS[name], 8 + 2 * level))  # fmt: skip
    words = [f"{name} {counts[name]}" for name in COLOURS if counts.get(name)]
    return "count every colour.", ", ".join(words) or "none", grain(image, rng, GRAIN[level])


_KINDS: tuple[Callable[[random.Random], Caption], ...] = (_cells, _cells, _cells, _writing, _heap)


def caption(rng: random.Random) -> Caption:
    """A question, its answer, and a picture of 64 by 64 pixels."""
    return rng.choice(_KINDS)(rng)
