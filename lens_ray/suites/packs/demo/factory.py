"""Pictures of the pack `manufacturing`."""

from __future__ import annotations

from lens_ray.suites.mini.item import Dealer
from lens_ray.suites.mini.raster import (
    Image,
    canvas,
    darker,
    line,
    rect,
    shade,
    shape_mask,
    stamp,
)
from lens_ray.suites.packs.demo.drawing import code, dial, finish, label, metal, scatter

KINDS: tuple[str, ...] = ("scratch", "dent", "stain", "crack")
#: Side of the square that a marked defect fills.
REGION = 20


def _defect(image: Image, dealer: Dealer, kind: str) -> None:
    x, y = dealer.between(20, 38), dealer.between(20, 38)
    if kind == "scratch":
        line(image, (x - 8, y - 6), (x + 8, y + 6), (232, 234, 238))
    elif kind == "dent":
        stamp(image, shape_mask("circle", 13), x - 6, y - 6, (112, 116, 124))
        stamp(image, shape_mask("circle", 7), x - 2, y - 2, (186, 190, 196))
    elif kind == "stain":
        stamp(image, shape_mask("diamond", 15), x - 7, y - 7, (132, 92, 44))
    else:
        line(image, (x - 8, y), (x - 2, y - 5), (24, 24, 28), 2)
        line(image, (x - 2, y - 5), (x + 3, y + 4), (24, 24, 28), 2)
        line(image, (x + 3, y + 4), (x + 9, y - 1), (24, 24, 28), 2)


def plate(dealer: Dealer) -> dict[str, object]:
    """A plate with a defect or without: ``NOK`` or ``OK``."""
    bad = dealer.deal("bit", 2)
    image = metal(dealer)
    if bad:
        _defect(image, dealer, dealer.pick(KINDS))
    return {"image": finish(image, dealer), "verdict": "NOK" if bad else "OK"}


def plate_kind(dealer: Dealer) -> dict[str, object]:
    """A plate with a defect of one of `KINDS`."""
    kind = KINDS[dealer.deal("kind", len(KINDS))]
    image = metal(dealer)
    _defect(image, dealer, kind)
    return {"image": finish(image, dealer), "kind": kind}


def plate_region(dealer: Dealer) -> dict[str, object]:
    """A plate with a rust mark that fills a square, and where it is."""
    x, y = dealer.between(0, 64 - REGION), dealer.between(0, 64 - REGION)
    image = metal(dealer)
    rect(image, x, y, REGION, REGION, shade(dealer.rng, (150, 74, 32), 10))
    box = f"{x}, {y}, {x + REGION}, {y + REGION}"
    return {"image": finish(image, dealer), "box": box}


def gauge(dealer: Dealer) -> dict[str, object]:
    """A pressure gauge at one of 21 values, half a bar apart."""
    tenths = 5 * dealer.deal("value", 21)
    return {"image": finish(dial(dealer, tenths), dealer), "reading": f"{tenths / 10:g} bar"}


def parts(dealer: Dealer) -> dict[str, object]:
    """Two to nine nuts in a tray."""
    count = 2 + dealer.deal("count", 8)
    image = canvas(dealer.rng, dark=True)
    scatter(image, dealer, count, "ring", 11, (206, 208, 214))
    return {"image": finish(image, dealer), "count": count}


def part_label(dealer: Dealer) -> dict[str, object]:
    """A part with a code on a label."""
    string = code(dealer)
    image = canvas(dealer.rng, dark=True)
    rect(image, 0, 0, 64, 64, darker(shade(dealer.rng, (70, 110, 150), 20)))
    label(image, string, dealer.between(5, 22), dealer.between(8, 40))
    return {"image": finish(image, dealer), "code": string}
