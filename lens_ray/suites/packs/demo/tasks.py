"""Pictures of the packs `instruction_following` and `reasoning`."""

from __future__ import annotations

from lens_ray.suites.mini.item import Dealer
from lens_ray.suites.mini.raster import COLOURS, canvas, rect, shade, shape_mask, stamp, text
from lens_ray.suites.packs.demo.drawing import dial, finish, scatter

SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "cross")
#: Language, and the words for yes and no that the picture's question wants in it.
WORDS: tuple[tuple[str, str, str], ...] = (
    ("de", "ja", "nein"), ("fr", "oui", "non"), ("it", "sì", "no"), ("nl", "ja", "nee"),
    ("pl", "tak", "nie"),
)  # fmt: skip


def coloured_shape(dealer: Dealer) -> dict[str, object]:
    """One shape in one colour, and a yes/no question on it in a language."""
    shape, colour = SHAPES[dealer.deal("shape", 4)], list(COLOURS)[dealer.deal("colour", 6)]
    language, yes, no = WORDS[dealer.deal("language", len(WORDS))]
    bit = dealer.deal("bit", 2)
    asked = shape if bit else dealer.pick([other for other in SHAPES if other != shape])
    image = canvas(dealer.rng)
    stamp(image, shape_mask(shape, 31), 16 + dealer.between(-8, 8), 16 + dealer.between(-8, 8),
          shade(dealer.rng, COLOURS[colour]))  # fmt: skip
    return {
        "image": finish(image, dealer), "shape": shape, "colour": colour, "language": language,
        "question": f"Is there a {asked} in the picture?", "answer": yes if bit else no,
    }  # fmt: skip


def order(dealer: Dealer) -> dict[str, object]:
    """Nuts in a tray: how many, and whether an order can be filled from it."""
    # The order is drawn first, so that it says nothing of the answer.
    needed, enough = 3 + dealer.deal("needed", 7), dealer.deal("bit", 2)
    count = dealer.between(needed, 9) if enough else dealer.between(2, needed - 1)
    image = canvas(dealer.rng, dark=True)
    scatter(image, dealer, count, "ring", 11, (206, 208, 214))
    return {
        "image": finish(image, dealer), "count": count, "enough": "yes" if enough else "no",
        "question": f"An order needs {needed} rings. Are there enough in the picture?",
    }  # fmt: skip


def sum_of_two(dealer: Dealer) -> dict[str, object]:
    """Two digits on cards: the digits, and their sum."""
    one, other = dealer.between(1, 9), dealer.between(1, 9)
    image = canvas(dealer.rng, dark=True)
    for x, digit in ((6, one), (36, other)):
        rect(image, x, 16, 22, 32, shade(dealer.rng, (240, 238, 230), 8))
        text(image, str(digit), x + 4, 22, (30, 30, 36), 3)
    return {"image": finish(image, dealer), "digits": f"{one}{other}", "sum": one + other}


def limit(dealer: Dealer) -> dict[str, object]:
    """A gauge: its reading, and whether it is over a limit."""
    bound, over = 2 + dealer.deal("bound", 17), dealer.deal("bit", 2)
    half = dealer.between(bound + 1, 20) if over else dealer.between(0, bound - 1)
    question = f"At most {bound / 2:g} bar are allowed. Is the pressure too high?"
    return {
        "image": finish(dial(dealer, 5 * half), dealer), "reading": f"{half / 2:g} bar",
        "question": question, "over": "yes" if over else "no",
    }  # fmt: skip
