"""Practice for `minivlm`: pictures full of things, and many questions about each.

A picture of `mini` has one to four questions. What is slow to learn is to look where a question
points, and a picture with eight questions teaches that several times faster. No suite has these
pictures.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lens_ray.suites.mini.entity import BRANDS, emblem
from lens_ray.suites.mini.item import GRAIN, LETTERS
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
_PATTERNS = ("plain", "striped", "dotted")
_ZONES = {
    (2, 2): ("top left", "top right", "bottom left", "bottom right"),
    (3, 2): ("top left", "top middle", "top right", "bottom left", "bottom middle", "bottom right"),
}

Turn = tuple[str, str]


def _briefly(question: str, answer: str) -> Turn:
    return f"{question}\nAnswer briefly.", answer


def _yes_no(question: str, truth: bool) -> Turn:
    return f"{question}\nAnswer yes or no.", "yes" if truth else "no"


def _letter(rng: random.Random, question: str, right: str, wrong: Sequence[str]) -> Turn:
    """Multiple choice of two to six options."""
    others = [option for option in wrong if option != right]
    options = [right, *rng.sample(others, min(len(others), rng.randrange(1, 6)))]
    rng.shuffle(options)
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([question, *lines, "Answer with the letter."]), LETTERS[options.index(right)]


@dataclass(frozen=True)
class _Thing:
    name: str
    colour: str
    pattern: str
    row: int
    column: int


def _draw(
    rng: random.Random, image: Image, thing: _Thing, wide: int, high: int, level: int
) -> None:
    if thing.name in _SHAPES:
        smallest = 13 if thing.pattern != "plain" else 9
        mask = shape_mask(thing.name, rng.randrange(smallest, max(smallest + 1, min(wide, high))))
    elif thing.name in ICONS:
        mask = icon_mask(thing.name, 2)
    else:
        mask = emblem(thing.name, rng.randrange(2, 5) if min(wide, high) > 28 else 2)
    tall, broad = mask.shape
    x = thing.column * wide + rng.randrange(max(1, wide - broad))
    y = thing.row * high + rng.randrange(max(1, high - tall))
    tint = shade(rng, COLOURS[thing.colour], 8 + 4 * level)
    stamp(image, mask, x, y, tint, thing.pattern)


def _scene(rng: random.Random) -> tuple[Image, list[_Thing], tuple[int, int]]:
    columns, rows = rng.choice(((2, 2), (3, 2), (3, 3), (3, 3)))
    image, level = canvas(rng, dark=rng.randrange(5) == 0), rng.randrange(4)
    names = [*_SHAPES, *_SHAPES, *ICONS, *BRANDS]
    rng.shuffle(names)
    cells = [(row, column) for row in range(rows) for column in range(columns)]
    palette = rng.sample(list(COLOURS), rng.randrange(2, 7))
    things: list[_Thing] = []
    for row, column in rng.sample(cells, rng.randrange(2, len(cells) + 1)):
        name = names.pop()
        if any(other.name == name for other in things):
            continue
        pattern = rng.choice(_PATTERNS) if name in _SHAPES and SIDE // columns > 20 else "plain"
        things.append(_Thing(name, rng.choice(palette), pattern, row, column))
    for thing in things:
        _draw(rng, image, thing, SIDE // columns, SIDE // rows, level)
    return grain(image, rng, GRAIN[level]), things, (columns, rows)


def _about_one(rng: random.Random, things: Sequence[_Thing], grid: tuple[int, int]) -> Turn:
    """Colour, pattern, name or place of one thing."""
    thing = rng.choice(things)
    kind = rng.randrange(7)
    if kind == 0 or (kind == 1 and thing.name not in _SHAPES):
        question = rng.choice(("what colour is the {}?", "name the colour of the {}."))
        question = question.format(thing.name)
        if rng.randrange(2):
            return _letter(rng, question, thing.colour, list(COLOURS))
        return _briefly(question, thing.colour)
    if kind == 1:
        question = f"what pattern has the {thing.name}?"
        return _letter(rng, question, thing.pattern, _PATTERNS)
    cell = "ABC"[thing.row] + "123"[thing.column]
    if kind == 2:
        look = rng.choice((thing.colour, rng.choice(list(COLOURS))))
        return _yes_no(f"is the {thing.name} {look}?", look == thing.colour)
    if kind == 3:
        if rng.randrange(2):
            return _briefly(f"what is in cell {cell}?", thing.name)
        others = [*ICONS, *_SHAPES, *BRANDS]
        return _letter(rng, f"what is in cell {cell}?", thing.name, others)
    if kind == 4 and grid in _ZONES:
        zones = _ZONES[grid]
        place = zones[thing.row * grid[0] + thing.column]
        question = rng.choice(("where is the {}?", "in which part is the {}?"))
        return _letter(rng, question.format(thing.name), place, zones)
    question = rng.choice(("which cell holds the {}?", "in which cell is the {}?"))
    return _briefly(question.format(thing.name), cell)


def _about_all(rng: random.Random, things: Sequence[_Thing]) -> Turn:
    """Numbers, and how two things lie to each other."""
    counts = {name: sum(thing.colour == name for thing in things) for name in COLOURS}
    shown = [name for name, count in counts.items() if count]
    colour, other = rng.choice(shown), rng.choice(list(COLOURS))
    kind = rng.randrange(5)
    if kind == 0:
        question = rng.choice(("how many {} shapes are there?", "count the {} shapes."))
        return _briefly(question.format(colour), str(counts[colour]))
    if kind == 1:
        number = counts[colour] + rng.choice((0, 0, 1, -1))
        return _yes_no(f"are there exactly {number} {colour}?", number == counts[colour])
    if kind == 2 and other != colour:
        truth = counts[colour] > counts[other]
        return _yes_no(f"are there more {colour} than {other}?", truth)
    first, second = rng.sample(list(things), 2)
    if kind == 3 and first.column != second.column:
        question = f"is the {first.name} left of the {second.name}?"
        return _yes_no(question, first.column < second.column)
    if first.row != second.row:
        return _yes_no(f"is the {first.name} above the {second.name}?", first.row < second.row)
    return _briefly("how many shapes are there?", str(len(things)))


def _things(rng: random.Random) -> tuple[Image, list[Turn]]:
    image, things, grid = _scene(rng)
    turns = [
        _about_all(rng, things) if len(things) > 1 and rng.randrange(3) == 0
        else _about_one(rng, things, grid)
        for _ in range(7)
    ]  # fmt: skip
    return image, turns


def _near(rng: random.Random, word: str) -> str:
    """The word with one sign changed."""
    place = rng.randrange(len(word))
    return word[:place] + rng.choice(_SIGNS.replace(word[place], "")) + word[place + 1 :]


def _writing(rng: random.Random) -> tuple[Image, list[Turn]]:
    """One to three lines, small or large."""
    image, level = canvas(rng, dark=rng.randrange(2) == 0), rng.randrange(4)
    scale, longest = rng.choice(((2, 4), (2, 4), (1, 7)))
    words = []
    rows = rng.randrange(1, 4)
    for row in range(rows):
        word = "".join(rng.choice(_SIGNS) for _ in range(rng.randrange(1, longest + 1)))
        room_x, room_y = SIDE - len(word) * 6 * scale, SIDE // rows - 7 * scale
        x, y = rng.randrange(max(1, room_x)), row * (SIDE // rows) + rng.randrange(max(1, room_y))
        paper = rng.randrange(150, 250) if rng.randrange(2) else rng.randrange(10, 60)
        ink = paper - 110 if paper > 120 else paper + 140
        rect(image, x - 2, y - 2, len(word) * 6 * scale + 3, 7 * scale + 4, (paper, paper, paper))
        text(image, word, x, y, (ink, ink, ink), scale)
        words.append(word)
    turns = []
    for _ in range(5):
        row = rng.randrange(rows)
        word = words[row]
        line = f"line {row + 1}" if rows > 1 else rng.choice(("the label", "line 1"))
        kind = rng.randrange(4)
        if kind <= 1:
            turns.append(_briefly(f"read {line}.", word))
        elif kind == 2:
            asked = rng.choice((word, _near(rng, word)))
            turns.append(_yes_no(f"does {line} show {asked}?", asked == word))
        else:
            wrong = [_near(rng, word) for _ in range(5)]
            turns.append(_letter(rng, f"which code is {line}?", word, list(dict.fromkeys(wrong))))
    return grain(image, rng, GRAIN[level]), turns


def _tiles(rng: random.Random) -> tuple[Image, list[Turn]]:
    """Four or nine plain tiles and one question: the first that is learned is to look there."""
    side = rng.choice((2, 2, 3))
    image, pitch = canvas(rng), SIDE // side
    worn = [rng.choice(list(COLOURS)) for _ in range(side * side)]
    for cell, name in enumerate(worn):
        x, y = cell % side * pitch, cell // side * pitch
        rect(image, x, y, pitch, pitch, shade(rng, COLOURS[name]))
    asked = rng.randrange(side * side)
    label = "ABC"[asked // side] + "123"[asked % side]
    return image, [_briefly(f"what colour is cell {label}?", worn[asked])]


_KINDS: dict[str, Callable[[random.Random], tuple[Image, list[Turn]]]] = {
    "tiles": _tiles,
    "things": _things,
    "writing": _writing,
}


def practice(kind: str, rng: random.Random) -> tuple[Image, list[Turn]]:
    """A picture of 64 by 64 pixels, and questions with their answers.

    Args:
        kind: ``tiles``, ``things`` or ``writing``.
        rng: What is drawn.
    """
    picture, turns = _KINDS[kind](rng)
    return picture, list(dict(turns).items())  # a question that is asked twice answers itself
