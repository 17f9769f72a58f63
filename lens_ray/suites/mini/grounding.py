"""Grounding: where a named thing is."""

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
    ICONS,
    canvas,
    grain,
    icon_mask,
    rect,
    shade,
    stamp,
    text,
)

_ZONES = ("top left", "top middle", "top right", "bottom left", "bottom middle", "bottom right")
_FIELDS = ("house", "tree", "car", "flag", "fish", "moon")


def _where(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    options = dealer.some(_ZONES, 2 + dealer.rng.randrange(5))
    zone, place = choose(dealer, options)
    names = dealer.some(ICONS, 2 + level)
    home = _ZONES.index(zone)
    zones = [home, *dealer.some([index for index in range(6) if index != home], 1 + level)]
    image = canvas(dealer.rng)
    for name, index in zip(names, zones, strict=True):
        scale = 2 if level < 3 or dealer.rng.randrange(2) else 1
        side = 7 * scale
        x = 1 + index % 3 * 21 + dealer.between(0, 20 - side)
        y = 2 + index // 3 * 31 + dealer.between(0, 28 - side)
        tint = shade(dealer.rng, dealer.pick(list(COLOURS.values())), 14)
        stamp(image, icon_mask(name, scale), x, y, tint)
    question = Question(
        spec.ask(dealer, thing=names[0]), LETTERS[place], 1 / len(options), tuple(options)
    )
    return Item((grain(image, dealer.rng, GRAIN[level]),), (question,), level)


def _cells(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    names = dealer.some(ICONS, 2 + level)
    home, step = divmod(dealer.deal("cells", 72), 8)
    second = (home + 1 + step) % 9
    free = [cell for cell in range(9) if cell not in (home, second)]
    cells = [home, second, *dealer.some(free, level)]
    image = canvas(dealer.rng)
    grey = dealer.between(60, 120)
    for index in range(4):
        rect(image, 9 + index * 18, 9, 1, 55, (grey, grey, grey))
        rect(image, 9, 9 + index * 18, 55, 1, (grey, grey, grey))
    for index in range(3):
        text(image, "123"[index], 16 + index * 18, 1, (30, 30, 36))
        text(image, "ABC"[index], 2, 15 + index * 18, (30, 30, 36))
    for name, cell in zip(names, cells, strict=True):
        x = 10 + cell % 3 * 18 + dealer.between(0, 3)
        y = 10 + cell // 3 * 18 + dealer.between(0, 3)
        tint = shade(dealer.rng, dealer.pick(list(COLOURS.values())), 14)
        stamp(image, icon_mask(name, 2), x, y, tint)
    questions = tuple(
        Question(spec.ask(dealer, thing=name), "ABC"[cell // 3] + "123"[cell % 3], 1 / 9)
        for name, cell in zip(names[:2], cells[:2], strict=True)
    )
    return Item((grain(image, dealer.rng, GRAIN[level]),), questions, level)


def _gap(dealer: Dealer, level: int) -> int:
    return dealer.between(*((18, 30), (14, 24), (10, 18), (6, 12))[level])


def _map(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    first, second, *others = dealer.some(_FIELDS, 2 + level)
    bits = dealer.deal("bits", 4)
    # A second icon must not cover the first, so one of the gaps is at least an icon wide.
    gap_x, gap_y = _gap(dealer, level), _gap(dealer, level)
    if max(gap_x, gap_y) < 14:
        gap_x, gap_y = (15, gap_y) if dealer.rng.randrange(2) else (gap_x, 15)
    x, y = dealer.between(1, 48 - gap_x), dealer.between(1, 48 - gap_y)
    left, right, top, bottom = x, x + gap_x, y, y + gap_y
    spots = [
        (left if bits & 1 else right, top if bits & 2 else bottom),
        (right if bits & 1 else left, bottom if bits & 2 else top),
    ]
    image = canvas(dealer.rng)
    rect(image, 0, 0, 64, 64, shade(dealer.rng, (196, 214, 170), 12))
    road = dealer.between(4, 54)
    rect(image, 0, road, 64, 5, (206, 200, 190))
    for name in others:
        spot = (dealer.between(0, 54), dealer.between(0, 54))
        if all(abs(spot[0] - x) > 13 or abs(spot[1] - y) > 13 for x, y in spots):
            spots.append(spot)
            stamp(image, icon_mask(name, 2), *spot, shade(dealer.rng, (110, 110, 110), 40))
    for name, spot in zip((first, second), spots[:2], strict=True):
        tint = shade(dealer.rng, dealer.pick(list(COLOURS.values())), 14)
        stamp(image, icon_mask(name, 2), *spot, tint)
    words = {"first": first, "second": second}
    questions = (
        Question(
            spec.templates[0].format(**words), yes_no(bits & 1), 1 / 2,
            shown=f"{spots[0][0] // 8} {spots[1][0] // 8}",
        ),
        Question(
            spec.templates[1].format(**words), yes_no(bits & 2), 1 / 2,
            shown=f"{spots[0][1] // 8} {spots[1][1] // 8}",
        ),
    )  # fmt: skip
    return Item((grain(image, dealer.rng, GRAIN[level]),), questions, level)


SPECS: tuple[SubtaskSpec, ...] = (
    SubtaskSpec(
        "grounding_where", "grounding", "multiple_choice", "icons", "exact", "zones",
        ("where is the {thing}?", "in which part is the {thing}?"), _where,
    ),
    SubtaskSpec(
        "grounding_cell", "grounding", "open", "board", "exact", "board",
        ("which cell holds the {thing}?", "in which cell is the {thing}?"), _cells,
    ),
    SubtaskSpec(
        "grounding_map", "grounding", "true_false", "map", "all_right", "map",
        ("is the {first} left of the {second}?", "is the {first} above the {second}?"), _map,
        grouped=True,
    ),
)  # fmt: skip
