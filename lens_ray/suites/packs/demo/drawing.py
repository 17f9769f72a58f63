"""Parts that several demonstration pictures share."""

from __future__ import annotations

import math

from lens_ray.suites.mini.item import GRAIN, Dealer
from lens_ray.suites.mini.ocr import PLACES
from lens_ray.suites.mini.raster import (
    SIDE,
    Image,
    canvas,
    darker,
    frame,
    grain,
    line,
    rect,
    shade,
    shape_mask,
    stamp,
    text,
    text_width,
)

STEEL = (150, 156, 164)
CARDBOARD = (186, 138, 84)
INK = (28, 28, 32)


def finish(image: Image, dealer: Dealer) -> Image:
    """The picture with noise of a random level."""
    return grain(image, dealer.rng, GRAIN[dealer.level()])


def metal(dealer: Dealer) -> Image:
    """A steel plate with four holes."""
    image = canvas(dealer.rng)
    steel = shade(dealer.rng, STEEL, 12)
    rect(image, 4, 4, 56, 56, steel)
    frame(image, 4, 4, 56, 56, darker(steel))
    for x, y in ((8, 8), (50, 8), (8, 50), (50, 50)):
        stamp(image, shape_mask("circle", 6), x, y, (60, 62, 68))
    return image


def code(dealer: Dealer) -> str:
    """Three characters, each of an alphabet of its own; a guess earns 1/8 in similarity."""
    return "".join(
        alphabet[dealer.deal(f"place{index}", len(alphabet))]
        for index, alphabet in enumerate(PLACES)
    )


def label(image: Image, string: str, x: int, y: int, scale: int = 2) -> None:
    """A white label with a string."""
    rect(image, x - 3, y - 3, text_width(string, scale) + 6, 7 * scale + 6, (240, 240, 236))
    text(image, string, x, y, INK, scale)


def dial(dealer: Dealer, tenths: int) -> Image:
    """A round gauge from 0 to 10 whose needle stands at so many tenths; 0 at the left end."""
    image = canvas(dealer.rng, dark=bool(dealer.rng.randrange(2)))
    x, y, reach = 32 + dealer.between(-2, 2), 42 + dealer.between(-3, 3), 28
    stamp(image, shape_mask("circle", 2 * reach + 1), x - reach, y - reach, (238, 238, 232))
    for tick in range(0, 101, 5):
        near = reach - (6 if tick % 50 == 0 else 4 if tick % 10 == 0 else 2)
        line(image, _rim(x, y, near, tick), _rim(x, y, reach - 1, tick), (50, 50, 56))
    rect(image, 0, y + 5, SIDE, SIDE, (90, 90, 96))
    text(image, "0", x - reach + 3, y + 8, (236, 236, 236))
    text(image, "10", x + reach - 13, y + 8, (236, 236, 236))
    line(image, (x, y), _rim(x, y, reach - 5, tenths), (200, 40, 40), 2)
    stamp(image, shape_mask("circle", 7), x - 3, y - 3, (40, 40, 46))
    return image


def _rim(x: int, y: int, reach: int, tenths: int) -> tuple[int, int]:
    """The point of a dial in the direction of a value, 180 degrees from 0 to 100 tenths."""
    angle = math.pi * tenths / 100
    return x - round(reach * math.cos(angle)), y - round(reach * math.sin(angle))


def scatter(
    image: Image, dealer: Dealer, count: int, kind: str, size: int, colour: tuple[int, int, int]
) -> None:
    """So many shapes on a grid of nine by nine pixels' distance, none over another."""
    step = size + 4
    across = (SIDE - 4) // step
    for cell in dealer.some(range(across * across), count):
        x, y = 3 + cell % across * step, 3 + cell // across * step
        stamp(image, shape_mask(kind, size), x + dealer.between(0, 2), y + dealer.between(0, 2),
              shade(dealer.rng, colour, 14))  # fmt: skip
