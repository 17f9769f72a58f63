"""Attributes: colour, pattern and size of things that are named."""

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
    Image,
    canvas,
    frame,
    grain,
    rect,
    shade,
    shape_mask,
    stamp,
)

_KINDS = ("circle", "square", "triangle", "diamond", "cross", "ring")
_PATTERNS = ("plain", "striped", "dotted")
_SIZES = ("small", "large")


def _rotations(text: str, options: list[str], right: str) -> tuple[Question, ...]:
    count = len(options)
    questions = []
    for turn in range(count):
        shown = options[turn:] + options[:turn]
        letter = LETTERS[shown.index(right)]
        questions.append(Question(text, letter, 1 / count, tuple(shown), f"rot{turn}"))
    return tuple(questions)


def _shapes(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    kinds = dealer.some(_KINDS, 2 + (level + 1) // 2)
    looks = [
        [dealer.pick(list(COLOURS)), dealer.pick(_PATTERNS), dealer.pick(_SIZES)] for _ in kinds
    ]
    trait = dealer.rng.randrange(3)
    pool = (dealer.some(list(COLOURS), 4), dealer.some(_PATTERNS, 3), dealer.some(_SIZES, 2))
    right, _ = choose(dealer, pool[trait])
    looks[0][trait] = right
    image = canvas(dealer.rng)
    quadrants = dealer.some(range(4), len(kinds))
    for kind, (colour, pattern, size), quadrant in zip(kinds, looks, quadrants, strict=True):
        side = dealer.between(13, 15) if size == "small" else dealer.between(23, 26)
        x = 2 + quadrant % 2 * 31 + dealer.between(0, 28 - side)
        y = 2 + quadrant // 2 * 31 + dealer.between(0, 28 - side)
        tint = shade(dealer.rng, COLOURS[colour], 8 + 3 * level)
        stamp(image, shape_mask(kind, side), x, y, tint, pattern)
    question = spec.templates[trait].format(shape=kinds[0])
    questions = _rotations(question, pool[trait], right)
    return Item((grain(image, dealer.rng, GRAIN[level]),), questions, level)


def _truck(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    parts = ("cargo", "cab", "window", "flag")
    asked = dealer.some(parts, 2)
    names = list(COLOURS)
    worn = {part: dealer.pick(names) for part in parts}
    for index, part in enumerate(asked):
        worn[part] = names[dealer.deal(f"colour{index}", len(names))]
    image = canvas(dealer.rng)
    tint = {part: shade(dealer.rng, COLOURS[name], 8 + 4 * level) for part, name in worn.items()}
    x, floor, black = dealer.between(2, 12), dealer.between(44, 58), (26, 26, 30)
    rect(image, 0, floor, 64, 64 - floor, shade(dealer.rng, (120, 120, 124), 12))
    wide, high = dealer.between(24, 30), dealer.between(16, 22)
    for part, box in {
        "cargo": (x, floor - 4 - high, wide, high),
        "cab": (x + wide + 1, floor - 18, 15, 14),
        "window": (x + wide + 7, floor - 16, 7, 6),
        "flag": (x + 4, floor - 14 - high, 9 - level, 6),
    }.items():
        rect(image, *box, tint[part])
        frame(image, box[0] - 1, box[1] - 1, box[2] + 2, box[3] + 2, black)
    rect(image, x + 2, floor - 14 - high, 2, 10, black)
    for wheel in (x + 4, x + wide - 8, x + wide + 5):
        stamp(image, shape_mask("circle", 8), wheel, floor - 5, black)
    questions = tuple(
        Question(spec.ask(dealer, part=part), worn[part], 1 / len(names)) for part in asked
    )
    return Item((grain(image, dealer.rng, GRAIN[level]),), questions, level)


def _vessel(
    image: Image, dealer: Dealer, kind: str, x: int, look: tuple[str, str], level: int
) -> None:
    tint = shade(dealer.rng, COLOURS[look[0]], 8 + 3 * level)
    y = dealer.between(14, 28)
    if kind == "mug":
        stamp(image, shape_mask("ring", 12), x + 11, y + 4, tint)
        stamp(image, shape_mask("square", 18), x, y, tint, look[1])
    elif kind == "vase":
        rect(image, x + 6, y - 6, 8, 10, tint)
        stamp(image, shape_mask("circle", 22), x, y, tint, look[1])
    else:
        stamp(image, shape_mask("triangle", 22), x, y - 4, tint, look[1])
        rect(image, x + 10, y + 18, 3, 8, (60, 50, 44))
        rect(image, x + 5, y + 25, 13, 2, (60, 50, 44))


def _kitchen(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    kinds = dealer.some(("mug", "vase", "lamp"), 2)
    bits = dealer.deal("bits", 4)
    colour, other = dealer.some(list(COLOURS), 2)
    patterns = ("plain", "striped")
    pattern = dealer.pick(patterns)
    shown = pattern if bits & 2 else patterns[1 - patterns.index(pattern)]
    painted = colour if bits & 1 else other
    same = dealer.rng.randrange(2) == 0
    looks = {kind: (dealer.pick(list(COLOURS)), dealer.pick(patterns)) for kind in kinds}
    first, second = kinds[0], kinds[0] if same else kinds[1]
    looks[first] = (painted, looks[first][1])
    looks[second] = (looks[second][0], shown)
    image = canvas(dealer.rng)
    rect(image, 0, 46, 64, 18, shade(dealer.rng, (150, 120, 90), 16))
    for place, kind in zip(dealer.some((3, 35), 2), kinds, strict=True):
        _vessel(image, dealer, kind, place + dealer.between(0, 5), looks[kind], level)
    questions = (
        Question(
            spec.templates[0].format(thing=first, look=colour), yes_no(bits & 1), 1 / 2,
            shown=looks[first][0],
        ),
        Question(
            spec.templates[0].format(thing=second, look=pattern), yes_no(bits & 2), 1 / 2,
            shown=looks[second][1],
        ),
    )  # fmt: skip
    return Item((grain(image, dealer.rng, GRAIN[level]),), questions, level)


SPECS: tuple[SubtaskSpec, ...] = (
    SubtaskSpec(
        "attribute_shapes", "attribute", "multiple_choice", "shapes", "exact", "quadrants",
        ("what colour is the {shape}?", "what pattern has the {shape}?", "how big is the {shape}?"),
        _shapes, grouped=True,
    ),
    SubtaskSpec(
        "attribute_truck", "attribute", "open", "vehicles", "exact", "truck",
        ("what colour is the {part} of the truck?", "name the colour of the {part}."), _truck,
    ),
    SubtaskSpec(
        "attribute_kitchen", "attribute", "true_false", "kitchen", "all_right", "kitchen",
        ("is the {thing} {look}?",), _kitchen, grouped=True,
    ),
)  # fmt: skip
