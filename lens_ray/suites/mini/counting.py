"""Counting: coloured shapes, parcels on shelves, crates in a yard."""

from __future__ import annotations

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
)

_KINDS = ("circle", "square", "triangle", "diamond", "cross")
_MOST = 6


def _shapes(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    names = dealer.some(list(COLOURS), 4)
    counts = [dealer.deal("first", _MOST) + 1, dealer.deal("second", _MOST) + 1]
    counts += [dealer.between(0, 1 + level), dealer.between(0, level)]
    image = canvas(dealer.rng, dark=dealer.rng.randrange(4) == 0)
    cells = dealer.some(range(36), sum(counts))
    owners = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    for cell, name in zip(cells, owners, strict=True):
        size = dealer.between(9 - level, 9)
        x = 2 + cell % 6 * 10 + dealer.between(0, 10 - size)
        y = 2 + cell // 6 * 10 + dealer.between(0, 10 - size)
        mask = shape_mask(dealer.pick(_KINDS), size)
        stamp(image, mask, x, y, shade(dealer.rng, COLOURS[name], 8 + 2 * level))
    questions = tuple(
        Question(spec.ask(dealer, colour=name), str(count), 1 / _MOST)
        for name, count in zip(names[:2], counts[:2], strict=True)
    )
    return Item((grain(image, dealer.rng, GRAIN[level]),), questions, level)


def _parcel(image: Image, dealer: Dealer, x: int, floor: int, level: int) -> None:
    width, height = dealer.between(9 - level // 2, 13), dealer.between(8, 15)
    brown = shade(dealer.rng, (178, 128, 74), 22)
    rect(image, x, floor - height, width, height, brown)
    frame(image, x, floor - height, width, height, darker(brown))
    rect(image, x + width // 2 - 1, floor - height, 2, height, shade(dealer.rng, (222, 196, 140)))


def _can(image: Image, dealer: Dealer, x: int, floor: int) -> None:
    grey = shade(dealer.rng, (120, 140, 150), 20)
    rect(image, x + 3, floor - 12, 7, 12, grey)
    rect(image, x + 3, floor - 9, 7, 4, shade(dealer.rng, (60, 150, 90), 20))


def _shelf(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    start = dealer.between(1, 4)
    options = dealer.some(range(start, start + 6 - level // 2), 4)
    count, place = choose(dealer, options)
    image = canvas(dealer.rng)
    wood = shade(dealer.rng, (110, 84, 62), 14)
    slots = dealer.some(range(12), 12)
    for board in range(3):
        rect(image, 0, 19 + 21 * board, SIDE, 2, wood)
    for index, slot in enumerate(slots[: count + (0, 1, 2, 3)[level]]):
        x, floor = 2 + slot % 4 * 15 + dealer.between(0, 2), 19 + 21 * (slot // 4)
        if index < count:
            _parcel(image, dealer, x, floor, level)
        else:
            _can(image, dealer, x, floor)
    question = Question(
        spec.ask(dealer), LETTERS[place], 1 / 4, tuple(str(option) for option in options)
    )
    return Item((grain(image, dealer.rng, GRAIN[level]),), (question,), level)


def _thing(image: Image, dealer: Dealer, kind: str, x: int, y: int) -> None:
    if kind == "crates":
        wood = shade(dealer.rng, (190, 140, 80), 18)
        rect(image, x, y, 10, 10, wood)
        frame(image, x, y, 10, 10, darker(wood))
        line(image, (x, y), (x + 9, y + 9), darker(wood))
        line(image, (x + 9, y), (x, y + 9), darker(wood))
    elif kind == "barrels":
        blue = shade(dealer.rng, (70, 110, 160), 22)
        stamp(image, shape_mask("circle", 10), x, y, blue)
        stamp(image, shape_mask("circle", 6), x + 2, y + 2, darker(blue))
    else:
        stamp(image, shape_mask("triangle", 10), x, y, shade(dealer.rng, (236, 110, 40), 16))
        rect(image, x + 2, y + 6, 6, 2, (245, 240, 235))


def _yard(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    first, second, third = dealer.some(("crates", "barrels", "cones"), 3)
    bit = dealer.deal("bit", 2)
    if dealer.rng.randrange(2):
        high = dealer.between(3, 7)
        low = high - (dealer.between(2, 3) if level < 2 else 1)
        counts = [high, low] if bit else [low, high]
        text = spec.templates[0].format(first=first, second=second)
        shown = f"{counts[0]} {counts[1]}"
    else:
        number = dealer.between(2, 6)
        gap = 2 if level == 0 else 1
        miss = number + (gap if dealer.rng.randrange(2) else -gap)
        counts = [number if bit else miss, dealer.between(0, 5)]
        text = spec.templates[1].format(number=number, first=first)
        shown = str(counts[0])
    counts.append(dealer.between(0, level))
    image = canvas(dealer.rng)
    owners = [k for k, n in zip((first, second, third), counts, strict=True) for _ in range(n)]
    for cell, kind in zip(dealer.some(range(25), len(owners)), owners, strict=True):
        x = 1 + cell % 5 * 12 + dealer.between(0, 3)
        y = 1 + cell // 5 * 12 + dealer.between(0, 3)
        _thing(image, dealer, kind, x, y)
    question = Question(text, yes_no(bit), 1 / 2, shown=shown)
    return Item((grain(image, dealer.rng, GRAIN[level]),), (question,), level)


SPECS: tuple[SubtaskSpec, ...] = (
    SubtaskSpec(
        "counting_shapes", "counting", "open", "shapes", "exact", "scatter",
        ("how many {colour} shapes are there?", "count the {colour} shapes."), _shapes,
    ),
    SubtaskSpec(
        "counting_shelf", "counting", "multiple_choice", "shelf", "exact", "shelf",
        ("how many parcels are on the shelves?", "count the parcels."), _shelf,
    ),
    SubtaskSpec(
        "counting_yard", "counting", "true_false", "yard", "exact", "yard",
        ("are there more {first} than {second}?", "are there exactly {number} {first}?"), _yard,
    ),
)  # fmt: skip
