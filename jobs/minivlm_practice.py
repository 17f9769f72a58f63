"""Practice for `minivlm`: pictures and questions that teach one thing at a time. No suite has them.

`tiles` teaches to look where a question points, `names` and `signs` what is there, `letters` and
`checks` the forms of the suite on what is easy to see. Each was learned in some 5,000 questions
where it was half of a batch, and in none of 10,000 where everything was asked at once. `things` and
`writing` (many questions about one picture) taught no faster; they are in the vocabulary only.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lens_ray.suites.mini.entity import BRANDS, emblem
from lens_ray.suites.mini.item import GRAIN, LETTERS
from lens_ray.suites.mini.ocr import PLACES
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
#: Left, top, width, height in pixels.
Box = tuple[int, int, int, int]


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


def _draw(rng: random.Random, image: Image, thing: _Thing, wide: int, high: int, level: int) -> Box:
    """Draw a thing into its cell; returns where it is."""
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
    return x, y, broad, tall


@dataclass(frozen=True)
class _Scene:
    image: Image
    things: list[_Thing]
    boxes: list[Box]
    grid: tuple[int, int]


def _scene(rng: random.Random) -> _Scene:
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
    boxes = [_draw(rng, image, thing, SIDE // columns, SIDE // rows, level) for thing in things]
    return _Scene(grain(image, rng, GRAIN[level]), things, boxes, (columns, rows))


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
    scene = _scene(rng)
    things = scene.things
    turns = [
        _about_all(rng, things) if len(things) > 1 and rng.randrange(3) == 0
        else _about_one(rng, things, scene.grid)
        for _ in range(7)
    ]  # fmt: skip
    return scene.image, turns


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


def _tile_grid(rng: random.Random) -> tuple[Image, list[str], list[Box]]:
    """Four or nine plain tiles, their colours, and where they are."""
    side = rng.choice((2, 2, 3))
    image, pitch = canvas(rng), SIDE // side
    worn = [rng.choice(list(COLOURS)) for _ in range(side * side)]
    boxes = [(cell % side * pitch, cell // side * pitch, pitch, pitch) for cell in range(side**2)]
    for name, box in zip(worn, boxes, strict=True):
        rect(image, *box, shade(rng, COLOURS[name]))
    return image, worn, boxes


def _a_tile(rng: random.Random) -> tuple[Image, str, str]:
    """A picture of plain tiles, one of its cells, and the colour there."""
    image, worn, boxes = _tile_grid(rng)
    side = math.isqrt(len(boxes))
    asked = rng.randrange(side * side)
    return image, "ABC"[asked // side] + "123"[asked % side], worn[asked]


def _a_thing(rng: random.Random) -> tuple[Image, str, str]:
    """A picture of things, the cell of one of them, and its name."""
    scene = _scene(rng)
    thing = rng.choice(scene.things)
    return scene.image, "ABC"[thing.row] + "123"[thing.column], thing.name


def _tiles(rng: random.Random) -> tuple[Image, list[Turn]]:
    """Plain tiles and one question: the first that is learned is to look there."""
    image, cell, colour = _a_tile(rng)
    return image, [_briefly(f"what colour is cell {cell}?", colour)]


def _names(rng: random.Random) -> tuple[Image, list[Turn]]:
    """Things in the cells, and what one of them is: to find a thing it must be known first."""
    image, cell, name = _a_thing(rng)
    return image, [_briefly(f"what is in cell {cell}?", name)]


def _in_a_cell(rng: random.Random) -> tuple[Image, str, str, list[str]]:
    """A picture, a question about one cell of it, the answer, and what the answer might be."""
    if rng.randrange(3):
        image, cell, colour = _a_tile(rng)
        return image, f"what colour is cell {cell}?", colour, list(COLOURS)
    image, cell, name = _a_thing(rng)
    return image, f"what is in cell {cell}?", name, [*_SHAPES, *ICONS, *BRANDS]


def _letters(rng: random.Random, aloud: bool) -> tuple[Image, list[Turn]]:
    """What is easy to see, asked as multiple choice: the form is learned by itself."""
    image, question, answer, others = _in_a_cell(rng)
    asked, letter = _letter(rng, question, answer, others)
    return image, [(asked, f"{answer} {letter}" if aloud else letter)]


def _checks(rng: random.Random, aloud: bool) -> tuple[Image, list[Turn]]:
    """What is easy to see, asked as a yes/no question."""
    image, question, answer, others = _in_a_cell(rng)
    cell = question.removesuffix("?").split()[-1]
    truth = rng.randrange(2) == 0
    named = answer if truth else rng.choice([other for other in others if other != answer])
    asked, verdict = _yes_no(f"is cell {cell} {named}?", truth)
    return image, [(asked, f"{answer} {verdict}" if aloud else verdict)]


def _sign_grid(rng: random.Random) -> tuple[Image, list[str], list[Box], int]:
    """A picture with a letter or a digit in every cell, what they are, where, and the columns."""
    side, dark = rng.choice((1, 2, 2, 3)), rng.randrange(2) == 0
    image, level, pitch = canvas(rng, dark=dark), rng.randrange(4), SIDE // side
    shown = [rng.choice(_SIGNS) for _ in range(side * side)]
    ink = rng.randrange(150, 250) if dark else rng.randrange(10, 90)
    boxes = []
    for cell, sign in enumerate(shown):
        scale = 2 if side > 1 or rng.randrange(2) else rng.randrange(1, 5)
        x = cell % side * pitch + rng.randrange(pitch - 5 * scale)
        y = cell // side * pitch + rng.randrange(pitch - 7 * scale)
        text(image, sign, x, y, (ink, ink, ink), scale)
        boxes.append((x, y, 5 * scale, 7 * scale))
    return grain(image, rng, GRAIN[level]), shown, boxes, side


def _signs(rng: random.Random) -> tuple[Image, list[Turn]]:
    """A letter or a digit in every cell, and which one it is."""
    image, shown, _, side = _sign_grid(rng)
    asked = rng.randrange(side * side)
    label = "ABC"[asked // side] + "123"[asked % side]
    return image, [_briefly(f"read cell {label}.", shown[asked])]


def sight(rng: random.Random) -> tuple[Image, list[tuple[tuple[str, ...], Box]]]:
    """A picture, and what there is to see in it: the words for each thing, and where it is."""
    kind = rng.randrange(6)
    if kind < 3:
        scene = _scene(rng)
        words = [
            (thing.name, thing.colour, *((thing.pattern,) if thing.name in _SHAPES else ()))
            for thing in scene.things
        ]
        return scene.image, list(zip(words, scene.boxes, strict=True))
    if kind < 5:
        image, shown, boxes, _ = _sign_grid(rng)
        return image, [((sign,), box) for sign, box in zip(shown, boxes, strict=True)]
    image, worn, boxes = _tile_grid(rng)
    return image, [((colour,), box) for colour, box in zip(worn, boxes, strict=True)]


#: Every word of `sight`.
SEEN: tuple[str, ...] = (*_SHAPES, *ICONS, *BRANDS, *COLOURS, *_PATTERNS, *_SIGNS)

_KINDS: dict[str, Callable[[random.Random], tuple[Image, list[Turn]]]] = {
    "tiles": _tiles,
    "names": _names,
    "signs": _signs,
    "things": _things,
    "writing": _writing,
}


def _word(rng: random.Random) -> str:
    point = rng.random()
    if point < 0.6:
        return rng.choice([*_SHAPES, *ICONS, *BRANDS, *COLOURS, *_PATTERNS])
    if point < 0.75:
        return str(rng.randrange(10))
    if point < 0.85:
        return rng.choice(_ZONES[3, 2])
    return "".join(rng.choice(signs) for signs in PLACES)


def verdict(rng: random.Random) -> Turn:
    """A question without a picture, and what was seen (any word) with the verdict that follows."""
    seen = _word(rng)
    if rng.random() < 0.4:
        truth = rng.randrange(2) == 0
        named = seen if truth else _word(rng)
        question = rng.choice(("is the {} {}?", "is cell {} {}?", "does the {} show {}?"))
        thing = rng.choice(("mug", "vase", "lamp", "panel", "A1", "B2", "C3"))
        asked, said = _yes_no(question.format(thing, named), named == seen)
        return asked, f"{seen} {said}"
    asked, letter = _letter(rng, "what is it?", seen, [_word(rng) for _ in range(5)])
    return asked, f"{seen} {letter}"


_FORMS: dict[str, Callable[[random.Random, bool], tuple[Image, list[Turn]]]] = {
    "letters": _letters,
    "checks": _checks,
}


def practice(kind: str, rng: random.Random, *, aloud: bool = False) -> tuple[Image, list[Turn]]:
    """A picture of 64 by 64 pixels, and questions with their answers.

    Args:
        kind: A key of `_KINDS` or `_FORMS`.
        rng: What is drawn.
        aloud: Whether an answer says what is seen before the letter or the yes or no.
    """
    picture, turns = _FORMS[kind](rng, aloud) if kind in _FORMS else _KINDS[kind](rng)
    return picture, list(dict(turns).items())  # a question that is asked twice answers itself
