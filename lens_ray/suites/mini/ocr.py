"""OCR: codes on labels and parcels, words on panels."""

from __future__ import annotations

from lens_ray.suites.mini.font import text_width
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
    text,
)

#: One alphabet a place, disjoint: letters of a guess match only in their own place, so the edit
#: similarity of any guess with the right form is (places matched) / 3, with mean 1 / 8.
PLACES: tuple[str, str, str] = ("ACEHKMPT", "23456789", "BDFJNRXZ")
CODE_CHANCE = 1 / 8

WORDS: tuple[str, ...] = (
    "CASE", "CAGE", "CAVE", "CAKE", "CAPE", "LOAD", "ROAD", "TOAD", "BEAM", "SEAM", "TEAM",
    "BEAD", "HEAD", "LEAD", "READ", "LAMP", "CAMP", "RAMP", "DAMP", "PORT", "SORT", "FORT",
    "PART", "CART", "DART", "MAIN", "RAIN", "PAIN", "GAIN",
)  # fmt: skip
#: Ordered pairs of words that differ in one letter.
NEIGHBOURS: tuple[tuple[str, str], ...] = tuple(
    (one, other)
    for one in WORDS
    for other in WORDS
    if sum(a != b for a, b in zip(one, other, strict=True)) == 1
)


def _place(dealer: Dealer, level: int, string: str, scale: int) -> tuple[int, int]:
    """Where the text goes: near the middle when easy, anywhere when hard."""
    room_x, room_y = SIDE - text_width(string, scale) - 6, SIDE - 7 * scale - 6
    slack = (4, 8, 16, 64)[level]
    x = dealer.between(max(0, (room_x - slack) // 2), min(room_x, (room_x + slack) // 2))
    y = dealer.between(max(0, (room_y - slack) // 2), min(room_y, (room_y + slack) // 2))
    return 3 + x, 3 + y


def _scratches(image: Image, dealer: Dealer, count: int) -> None:
    for _ in range(count):
        start = (dealer.between(0, 20), dealer.between(0, 63))
        end = (dealer.between(44, 63), dealer.between(0, 63))
        line(image, start, end, shade(dealer.rng, (128, 128, 128), 60))


def _label(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    code = "".join(
        alphabet[dealer.deal(f"place{index}", len(alphabet))]
        for index, alphabet in enumerate(PLACES)
    )
    image = canvas(dealer.rng, dark=True)
    hue = shade(dealer.rng, dealer.pick(list(COLOURS.values())), 20)
    rect(image, 0, 0, SIDE, SIDE, darker(hue))
    x, y = _place(dealer, level, code, 2)
    paper = shade(dealer.rng, (236, 234, 226), 16)
    rect(image, x - 3, y - 3, text_width(code, 2) + 6, 20, paper)
    ink = dealer.between(10, (40, 60, 90, 130)[level])
    text(image, code, x, y, (ink, ink, ink), 2)
    _scratches(image, dealer, (0, 0, 1, 2)[level])
    question = Question(spec.ask(dealer), code, CODE_CHANCE)
    return Item((grain(image, dealer.rng, GRAIN[level]),), (question,), level)


def _lookalikes(dealer: Dealer, count: int) -> list[str]:
    base = [dealer.pick(alphabet) for alphabet in PLACES]
    found = {"".join(base)}
    while len(found) < count:
        other = list(base)
        place = dealer.rng.randrange(3)
        other[place] = dealer.pick(PLACES[place])
        found.add("".join(other))
    return dealer.some(sorted(found), count)


def _parcel(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    options = _lookalikes(dealer, 3 + dealer.rng.randrange(3))
    code, place = choose(dealer, options)
    image = canvas(dealer.rng)
    brown = shade(dealer.rng, (186, 138, 84), 18)
    rect(image, 2, 2, 60, 60, brown)
    frame(image, 2, 2, 60, 60, darker(brown))
    tape = dealer.between(6, 50)
    rect(image, tape, 2, 7, 60, shade(dealer.rng, (220, 194, 140), 8))
    x, y = _place(dealer, level, code, 2)
    rect(image, x - 2, y - 2, text_width(code, 2) + 4, 18, shade(dealer.rng, (240, 240, 240), 12))
    ink = dealer.between(10, (40, 60, 90, 130)[level])
    text(image, code, x, y, (ink, ink, ink), 2)
    bars = y + 20 if y < 36 else y - 10
    for offset in range(0, 34, 2):
        if dealer.rng.randrange(3):
            rect(image, x + offset, bars, 1, 7, (30, 26, 24))
    question = Question(spec.ask(dealer), LETTERS[place], 1 / len(options), tuple(options))
    return Item((grain(image, dealer.rng, GRAIN[level]),), (question,), level)


def _panel(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    asked, near = dealer.pick(NEIGHBOURS)
    bit = dealer.deal("bit", 2)
    shown = asked if bit else near
    image = canvas(dealer.rng, dark=True)
    x, y = _place(dealer, level, shown, 2)
    rect(image, x - 3, y - 3, text_width(shown, 2) + 6, 20, (14, 18, 16))
    frame(image, x - 3, y - 3, text_width(shown, 2) + 6, 20, (120, 126, 130))
    led = dealer.pick(((80, 230, 110), (250, 180, 60), (240, 80, 70)))
    dim = (16, 15, 13, 11)[level]
    text(image, shown, x, y, (led[0] * dim // 16, led[1] * dim // 16, led[2] * dim // 16), 2)
    for index in range(dealer.between(0, 4)):
        rect(image, 4 + index * 9, 3 if y > 32 else 56, 4, 4, dealer.pick(list(COLOURS.values())))
    _scratches(image, dealer, (0, 0, 1, 1)[level])
    question = Question(spec.ask(dealer, word=asked), yes_no(bit), 1 / 2, shown=shown)
    return Item((grain(image, dealer.rng, GRAIN[level]),), (question,), level)


SPECS: tuple[SubtaskSpec, ...] = (
    SubtaskSpec(
        "ocr_label", "ocr", "open", "label", "edit_similarity", "label",
        ("what code is on the label?", "read the label."), _label,
    ),
    SubtaskSpec(
        "ocr_parcel", "ocr", "multiple_choice", "parcel", "exact", "parcel",
        ("which code is printed on the parcel?",), _parcel,
    ),
    SubtaskSpec(
        "ocr_panel", "ocr", "true_false", "panel", "exact", "panel",
        ("does the panel show {word}?",), _panel,
    ),
)  # fmt: skip
