"""Entities: made-up brands and creatures that a model knows only from training."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lens_ray.suites.mini.item import (
    GRAIN,
    LETTERS,
    Dealer,
    Item,
    Question,
    SubtaskSpec,
    choose,
    yes_no,
)
from lens_ray.suites.mini.raster import (
    COLOURS,
    Colour,
    Image,
    Mask,
    canvas,
    darker,
    frame,
    grain,
    line,
    rect,
    shade,
    shape_mask,
    stamp,
)

#: Brand to emblem: the left half of a 7 by 7 mirror-symmetric bitmap, four bits a row.
BRANDS: dict[str, int] = {
    "bori": 0x4164D83, "daxo": 0xBDE5C09, "elim": 0x5BC8FBB, "fyra": 0xCB91CE3,
    "gomu": 0xB0C11FD, "hesk": 0xF1446BE, "jorn": 0xD76D433, "kepa": 0xEC1D7DA,
    "lumo": 0x87B0B12, "nark": 0x77330BD,
}  # fmt: skip
#: Creature to its head, ears, eyes and mouth; each differs from its likeliest twin in one trait.
CREATURES: dict[str, tuple[str, str, str, str]] = {
    "tobb": ("circle", "none", "two", "smile"),
    "miru": ("circle", "round", "two", "smile"),
    "zeld": ("circle", "round", "one", "flat"),
    "pimo": ("circle", "antennae", "one", "smile"),
    "quon": ("circle", "pointed", "two", "flat"),
    "raxi": ("square", "none", "visor", "flat"),
    "silu": ("square", "antennae", "visor", "teeth"),
    "veka": ("square", "pointed", "two", "teeth"),
    "wumo": ("square", "round", "two", "flat"),
    "yggi": ("square", "antennae", "one", "smile"),
}


@lru_cache(maxsize=64)
def emblem(brand: str, scale: int) -> Mask:
    """The mask of a brand's emblem, every dot ``scale`` pixels wide."""
    bits = BRANDS[brand]
    half = np.array(
        [[(bits >> (4 * row + column)) & 1 for column in range(4)] for row in range(7)], dtype=bool
    )
    whole = np.concatenate([half, half[:, 2::-1]], axis=1)
    mask: Mask = np.repeat(np.repeat(whole, scale, axis=0), scale, axis=1)
    mask.setflags(write=False)
    return mask


def _worn(dealer: Dealer, brand: str, scale: int, wear: int) -> Mask:
    """The emblem with ``wear`` of its 49 dots turned over."""
    mask = emblem(brand, scale)
    if wear:
        mask = mask.copy()
        for _ in range(wear):
            row, column = dealer.rng.randrange(7) * scale, dealer.rng.randrange(7) * scale
            mask[row : row + scale, column : column + scale] ^= True
    return mask


def _colour(dealer: Dealer) -> Colour:
    return shade(dealer.rng, dealer.pick(list(COLOURS.values())), 20)


def _badge(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    names = list(BRANDS)
    brand = names[dealer.deal("brand", len(names))]
    image = canvas(dealer.rng, dark=dealer.rng.randrange(2) == 0)
    scale = (5, 4, dealer.between(3, 5), dealer.between(2, 4))[level]
    room = (50, 50, 46, 40)[level] if scale > 3 else 32
    x, y = dealer.between(1, 63 - room), dealer.between(1, 63 - room)
    kind = dealer.pick(("square", "circle")) if 7 * scale * 3 < room * 2 else "square"
    stamp(image, shape_mask(kind, room), x, y, darker(_colour(dealer)))
    ink = shade(dealer.rng, (240, 236, 220), 14)
    side = 7 * scale
    mask = _worn(dealer, brand, scale, (0, 1, 3, 5)[level])
    stamp(image, mask, x + (room - side) // 2, y + (room - side) // 2, ink)
    question = Question(spec.ask(dealer), brand, 1 / len(names))
    return Item((grain(image, dealer.rng, GRAIN[level]),), (question,), level)


def _ears(image: Image, ears: str, x: int, y: int, side: int, tint: Colour) -> None:
    if ears == "round":
        stamp(image, shape_mask("circle", 12), x - 4, y - 5, tint)
        stamp(image, shape_mask("circle", 12), x + side - 8, y - 5, tint)
    elif ears == "pointed":
        stamp(image, shape_mask("triangle", 14), x - 1, y - 10, tint)
        stamp(image, shape_mask("triangle", 14), x + side - 13, y - 10, tint)
    elif ears == "antennae":
        for near, far in ((x + side // 3, x + 2), (x + side - side // 3, x + side - 2)):
            line(image, (near, y + 3), (far, y - 8), tint, 2)
            stamp(image, shape_mask("circle", 5), far - 2, y - 11, tint)


def _eyes(image: Image, eyes: str, x: int, y: int, side: int) -> None:
    white, black = (248, 248, 248), (16, 16, 20)
    middle, top = x + side // 2, y + side // 4
    if eyes == "visor":
        rect(image, x + 4, top, side - 8, 7, black)
        rect(image, x + 6, top + 2, side - 12, 2, (120, 220, 240))
        return
    wide = 12 if eyes == "one" else 9
    for centre in (middle,) if eyes == "one" else (middle - 7, middle + 7):
        stamp(image, shape_mask("circle", wide), centre - wide // 2, top - 1, white)
        stamp(image, shape_mask("circle", 5), centre - 2, top + wide // 2 - 3, black)


def _mouth(image: Image, mouth: str, x: int, y: int, side: int) -> None:
    black, middle, low = (16, 16, 20), x + side // 2, y + side * 11 // 16
    if mouth == "flat":
        rect(image, middle - 7, low + 1, 14, 2, black)
    elif mouth == "smile":
        rect(image, middle - 5, low + 3, 10, 2, black)
        rect(image, middle - 7, low, 2, 4, black)
        rect(image, middle + 5, low, 2, 4, black)
    else:
        rect(image, middle - 8, low - 1, 16, 6, black)
        for tooth in range(4):
            rect(image, middle - 7 + 4 * tooth, low, 2, 4, (248, 248, 248))


def _faces(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    options = dealer.some(list(CREATURES), 3 + dealer.rng.randrange(3))
    name, place = choose(dealer, options)
    head, ears, eyes, mouth = CREATURES[name]
    image = canvas(dealer.rng)
    side = dealer.between(32, 38) - 2 * (level // 2)
    slack = (1, 3, 6, 9)[level]
    x = (64 - side) // 2 + dealer.between(-slack, slack)
    y = (74 - side) // 2 + dealer.between(-min(slack, 4), slack // 2)
    tint = _colour(dealer)
    _ears(image, ears, x, y, side, darker(tint))
    stamp(image, shape_mask(head, side), x, y, tint)
    _eyes(image, eyes, x, y, side)
    _mouth(image, mouth, x, y, side)
    if level >= 2:
        bar = dealer.between(0, 58)
        box = (bar, 0, level, 64) if dealer.rng.randrange(2) else (0, bar, 64, level)
        rect(image, *box, _colour(dealer))
    question = Question(spec.ask(dealer), LETTERS[place], 1 / len(options), tuple(options))
    return Item((grain(image, dealer.rng, GRAIN[level]),), (question,), level)


def _crate(dealer: Dealer, brand: str, level: int) -> Image:
    image = canvas(dealer.rng)
    wood = shade(dealer.rng, (196, 156, 100), 18)
    rect(image, 2, 4, 60, 58, wood)
    for plank in (22, 42):
        rect(image, 2, plank, 60, 1, darker(wood))
    frame(image, 2, 4, 60, 58, darker(wood))
    scale = dealer.between(4, 5) if level < 2 else dealer.between(3, 6)
    slack = (1, 4, 6, 8)[level]
    x = 32 - 7 * scale // 2 + dealer.between(-slack, slack)
    y = 33 - 7 * scale // 2 + dealer.between(-slack, slack)
    ink = dealer.between(20, 50 + 20 * level)
    mask = _worn(dealer, brand, scale, (0, 0, 1, 3)[level])
    stamp(image, mask, x, y, (ink, ink, ink + 6))
    return grain(image, dealer.rng, GRAIN[level])


def _pair(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    first, other = dealer.some(list(BRANDS), 2)
    bit = dealer.deal("bit", 2)
    images = (_crate(dealer, first, level), _crate(dealer, first if bit else other, level))
    shown = f"{first} {first if bit else other}"
    return Item(images, (Question(spec.ask(dealer), yes_no(bit), 1 / 2, shown=shown),), level)


SPECS: tuple[SubtaskSpec, ...] = (
    SubtaskSpec(
        "entity_badge", "entity", "open", "badge", "exact", "badge",
        ("which brand is this?", "name the brand."), _badge,
    ),
    SubtaskSpec(
        "entity_faces", "entity", "multiple_choice", "creatures", "exact", "face",
        ("who is this?",), _faces,
    ),
    SubtaskSpec(
        "entity_pair", "entity", "true_false", "crates", "exact", "crate",
        ("do both images show the same brand?",), _pair,
    ),
)  # fmt: skip
