"""Small drawn pictures, and questions about them whose answers are known."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

COLOURS = {
    "red": (210, 40, 40), "green": (40, 150, 60), "blue": (50, 80, 210), "yellow": (235, 210, 50),
    "purple": (145, 55, 185), "orange": (240, 135, 25),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "diamond")
#: The characters that live in these pictures, by their shape.
NAMES = {"circle": "Oro", "square": "Quadra", "triangle": "Trine", "diamond": "Karo"}
PLACES = ("top left", "top middle", "top right", "bottom left", "bottom middle", "bottom right")
WORDS = (
    "Harbour", "Mint", "Velvet", "Copper", "Juniper", "Saffron", "Beacon", "Willow", "Granite",
    "Falcon", "Meadow", "Cobalt", "Ember", "Linen", "Orchid", "Timber",
)  # fmt: skip
WIDTH, HEIGHT = 96, 72


@dataclass(frozen=True)
class Ask:
    """A question in the forms that the sources need.

    Attributes:
        question: Open form.
        right: Its answer.
        wrong: Three answers that are wrong.
        claim: Yes/no form; ``{}`` takes an answer.
    """

    question: str
    right: str
    wrong: tuple[str, str, str]
    claim: str

    def options(self, rng: random.Random, count: int = 4) -> tuple[list[str], int]:
        """Options in a drawn order, and the place of the right one."""
        options = [self.right, *self.wrong][:count]
        rng.shuffle(options)
        return options, options.index(self.right)

    def yes_no(self, truth: bool, rng: random.Random) -> str:
        """A yes/no question whose answer is `truth`."""
        return self.claim.format(self.right if truth else rng.choice(self.wrong))


class Scene:
    """Shapes on a grid, a label, and three bars; what is drawn is what is asked."""

    def __init__(self, rng: random.Random, stamp: str) -> None:
        """Draw lots.

        Args:
            rng: Decides.
            stamp: Written small into the picture, so that no two are alike.
        """
        self._rng = rng
        self.stamp = stamp
        kinds = [(shape, colour) for shape in SHAPES for colour in COLOURS]
        self.shapes = dict(
            zip(rng.sample(range(6), rng.randint(2, 6)), rng.sample(kinds, 6), strict=False)
        )
        self.word = rng.choice(WORDS)
        self.bars = dict(zip("KLM", rng.sample(range(1, 10), 3), strict=True))

    def ask(self, kind: str) -> Ask:
        """A question of an ability about this picture."""
        rng = self._rng
        place = rng.choice(sorted(self.shapes))
        shape, colour = self.shapes[place]
        if kind == "counting":
            count = len(self.shapes)
            wrong = rng.sample([str(n) for n in range(1, 9) if n != count], 3)
            return _ask("How many shapes are in the picture?", str(count), wrong,
                        "Are there {} shapes in the picture?")  # fmt: skip
        if kind == "ocr":
            wrong = rng.sample([word for word in WORDS if word != self.word], 3)
            return _ask("What is the word at the bottom?", self.word, wrong,
                        'Is the word at the bottom "{}"?')  # fmt: skip
        if kind == "entity":
            wrong = [name for name in NAMES.values() if name != NAMES[shape]]
            where = f"the character at the {PLACES[place]}"
            return _ask(f"Who is {where}?", NAMES[shape], wrong, f"Is {where} {{}}?")
        if kind == "grounding":
            wrong = rng.sample([one for one in PLACES if one != PLACES[place]], 3)
            thing = f"the {colour} {shape}"
            return _ask(f"Where is {thing}?", PLACES[place], wrong, f"Is {thing} at the {{}}?")
        if kind == "structured_data":
            bar = rng.choice(sorted(self.bars))
            height = self.bars[bar]
            wrong = rng.sample([str(n) for n in range(1, 10) if n != height], 3)
            return _ask(f"What is the value of bar {bar}?", str(height), wrong,
                        f"Is the value of bar {bar} {{}}?")  # fmt: skip
        wrong = rng.sample([name for name in COLOURS if name != colour], 3)
        where = f"the shape at the {PLACES[place]}"
        return _ask(f"What colour is {where}?", colour, wrong, f"Is {where} {{}}?")

    def draw(self) -> Image.Image:
        """The picture."""
        shade = 225 + len(self.stamp) % 20
        image = Image.new("RGB", (WIDTH, HEIGHT), (shade, shade, 235))
        pen = ImageDraw.Draw(image)
        for place, (shape, colour) in self.shapes.items():
            left, top = 3 + 20 * (place % 3), 3 + 20 * (place // 3)
            _shape(pen, shape, COLOURS[colour], left, top)
        for number, (name, value) in enumerate(self.bars.items()):
            left = 68 + 9 * number
            pen.rectangle((left, 42 - 4 * value, left + 6, 42), fill=(70, 70, 90))
            pen.text((left, 43), name, fill=(0, 0, 0), font=_font(8))
        pen.text((3, 46), self.word, fill=(0, 0, 0), font=_font(11))
        pen.text((3, 62), self.stamp, fill=(60, 60, 60), font=_font(8))
        return image

    def encoded(self, form: str = "JPEG") -> bytes:
        """The picture's file."""
        return encoded(self.draw(), form)


def encoded(image: Image.Image, form: str = "JPEG", **more: object) -> bytes:
    """An image as a file's bytes."""
    sink = io.BytesIO()
    if form == "JPEG":
        more.setdefault("quality", 90)
    image.save(sink, form, **more)
    return sink.getvalue()


def page(rng: random.Random, stamp: str) -> tuple[bytes, str]:
    """A page of text, and the text."""
    words = [rng.choice(WORDS) for _ in range(rng.randint(6, 24))]
    text = " ".join(word if rng.random() < 0.4 else word.lower() for word in words)
    image = Image.new("RGB", (240, 120), (250, 248, 240))
    pen = ImageDraw.Draw(image)
    for line in range(0, len(words), 4):
        part = " ".join(text.split(" ")[line : line + 4])
        pen.text((6, 6 + 4 * line), part, fill=(20, 20, 20), font=_font(11))
    pen.text((6, 108), stamp, fill=(120, 120, 120), font=_font(8))
    return encoded(image), text


def _ask(question: str, right: str, wrong: list[str], claim: str) -> Ask:
    return Ask(question, right, (wrong[0], wrong[1], wrong[2]), claim)


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _shape(
    pen: ImageDraw.ImageDraw, shape: str, fill: tuple[int, int, int], left: int, top: int
) -> None:
    right, bottom, middle, half = left + 16, top + 16, left + 8, top + 8
    if shape == "circle":
        pen.ellipse((left, top, right, bottom), fill=fill)
    elif shape == "square":
        pen.rectangle((left, top, right, bottom), fill=fill)
    elif shape == "triangle":
        pen.polygon([(middle, top), (right, bottom), (left, bottom)], fill=fill)
    else:
        pen.polygon([(middle, top), (right, half), (middle, bottom), (left, half)], fill=fill)
