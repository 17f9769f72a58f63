"""Pictures of the pack `logistics`."""

from __future__ import annotations

from lens_ray.suites.mini.item import Dealer
from lens_ray.suites.mini.raster import (
    COLOURS,
    Colour,
    Image,
    canvas,
    darker,
    frame,
    line,
    rect,
    shade,
    shape_mask,
    stamp,
    text,
    text_width,
)
from lens_ray.suites.packs.demo.drawing import CARDBOARD, INK, code, finish, label

DAMAGE: tuple[str, ...] = ("tear", "dent", "wet")


def _parcel(dealer: Dealer) -> Image:
    image = canvas(dealer.rng)
    brown = shade(dealer.rng, CARDBOARD, 14)
    rect(image, 3, 3, 58, 58, brown)
    frame(image, 3, 3, 58, 58, darker(brown))
    return image


def parcel_label(dealer: Dealer) -> dict[str, object]:
    """A parcel with a code on its label."""
    string = code(dealer)
    image = _parcel(dealer)
    rect(image, dealer.between(6, 50), 3, 6, 58, (222, 196, 142))
    label(image, string, dealer.between(8, 22), dealer.between(10, 38))
    return {"image": finish(image, dealer), "code": string}


def barcode(dealer: Dealer) -> dict[str, object]:
    """Bars with eight digits printed below them."""
    digits = "".join(str(dealer.between(0, 9)) for _ in range(8))
    image = _parcel(dealer)
    rect(image, 5, 16, 54, 34, (242, 242, 240))
    x = 8
    while x < 55:
        width = dealer.between(1, 2)
        rect(image, x, 19, width, 18, INK)
        x += width + dealer.between(1, 2)
    text(image, digits, 32 - text_width(digits, 1) // 2, 40, INK)
    return {"image": finish(image, dealer), "digits": digits}


def parcel_damage(dealer: Dealer) -> dict[str, object]:
    """A parcel with any of three kinds of damage, every choice of them equally likely."""
    chosen = dealer.deal("kinds", 8)
    image = _parcel(dealer)
    found = [kind for at, kind in enumerate(DAMAGE) if chosen >> at & 1]
    if "wet" in found:
        rect(image, 4, dealer.between(44, 50), 56, 10, (96, 76, 58))
    if "dent" in found:
        x = dealer.between(34, 42)
        stamp(image, shape_mask("circle", 15), x, 8, (118, 82, 44))
        stamp(image, shape_mask("circle", 7), x + 5, 13, (216, 172, 118))
    if "tear" in found:
        x = dealer.between(8, 14)
        for step in range(4):
            start = (x + 3 * (step % 2), 8 + 7 * step)
            line(image, start, (x + 3 * ((step + 1) % 2), 15 + 7 * step), (250, 246, 238), 2)
    return {"image": finish(image, dealer), "damage": ", ".join(found) or "none"}


def pallet(dealer: Dealer) -> dict[str, object]:
    """Two to nine boxes in layers of three on a pallet."""
    count = 2 + dealer.deal("count", 8)
    image = canvas(dealer.rng)
    rect(image, 4, 56, 56, 3, (120, 84, 48))
    for x in (6, 29, 52):
        rect(image, x, 59, 6, 4, (96, 66, 38))
    for box in range(count):
        x, y = 6 + box % 3 * 18, 40 - box // 3 * 17
        brown = shade(dealer.rng, CARDBOARD, 18)
        rect(image, x, y, 16, 15, brown)
        frame(image, x, y, 16, 15, darker(brown))
        rect(image, x + 6, y, 3, 15, (222, 196, 142))
    return {"image": finish(image, dealer), "count": count}


def _marked(dealer: Dealer, band: Colour, mark: str, string: str) -> Image:
    image = _parcel(dealer)
    rect(image, 4, 12, 56, 9, band)
    stamp(image, shape_mask(mark, 15), 8, 30, INK)
    label(image, string, 32, 32, 1)
    return finish(image, dealer)


def parcel_pair(dealer: Dealer) -> dict[str, object]:
    """A parcel at the gate and one at the ramp: the same, or with one thing changed."""
    same = dealer.deal("bit", 2)
    bands, marks = list(COLOURS), ["circle", "triangle", "cross", "diamond"]
    band, mark, string = dealer.pick(bands), dealer.pick(marks), code(dealer)
    reference = _marked(dealer, COLOURS[band], mark, string)
    if not same:
        change = dealer.rng.randrange(3)
        if change == 0:
            band = dealer.pick([other for other in bands if other != band])
        elif change == 1:
            mark = dealer.pick([other for other in marks if other != mark])
        else:
            string = string[::-1]
    specimen = _marked(dealer, COLOURS[band], mark, string)
    return {"gate": reference, "ramp": specimen, "same": "yes" if same else "no"}
