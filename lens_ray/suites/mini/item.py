"""What a generator of `mini` makes: an `Item`, and the `Dealer` that draws for it.

The rule behind every generator: the question and its options are drawn first, then the answer
uniformly among the possible ones, then the image. So an answer that does not look at the image
earns the chance level and nothing more.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from lens_ray.suites.mini.raster import Image

T = TypeVar("T")

LETTERS = "ABCDEF"
#: Noise amplitude of the four difficulty levels.
GRAIN: tuple[int, ...] = (3, 8, 16, 26)


class Dealer:
    """Random draws of one stream; answers come from shuffled decks.

    A deck holds each possible answer once and is shuffled anew when it is empty, so a suite's
    answers are balanced to within one deck and yet independent of the question.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self._decks: dict[tuple[str, int], list[int]] = {}

    def deal(self, slot: str, size: int) -> int:
        """The next card, 0 to ``size`` - 1, of the deck of this slot and size."""
        deck = self._decks.get((slot, size))
        if not deck:
            deck = list(range(size))
            self.rng.shuffle(deck)
            self._decks[slot, size] = deck
        return deck.pop()

    def pick(self, values: Sequence[T]) -> T:
        """One of the values."""
        return values[self.rng.randrange(len(values))]

    def some(self, values: Sequence[T], count: int) -> list[T]:
        """``count`` different ones of the values, in random order."""
        pool = list(values)
        self.rng.shuffle(pool)
        return pool[:count]

    def between(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both possible."""
        return low + self.rng.randrange(high - low + 1)

    def level(self) -> int:
        """A difficulty level, 0 to 3."""
        return self.deal("level", 4)


@dataclass(frozen=True, slots=True)
class Question:
    """One question of an item.

    Attributes:
        text: The question.
        answer: The right answer; the letter for multiple choice.
        chance: What an answer earns that does not look.
        choices: Option texts, multiple choice only.
        variant: Which rotation it is, or None.
        shown: What there is to see that decides a yes/no question. No suite has it; who trains
            on the stream may.
    """

    text: str
    answer: str
    chance: float
    choices: tuple[str, ...] = ()
    variant: str | None = None
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One scene (one or two images) with the questions on it."""

    images: tuple[Image, ...]
    questions: tuple[Question, ...]
    level: int


@dataclass(frozen=True, slots=True)
class SubtaskSpec:
    """One sub-benchmark of `mini`.

    Attributes:
        key: Its name, unique in the suite.
        ability: One of `lens_ray.suites.sample.ABILITIES`.
        format: One of `lens_ray.suites.sample.FORMATS`.
        domain: Kind of picture.
        metric: Name in `lens_ray.scoring.metrics`.
        renderer: What draws the picture.
        templates: The wordings of its question.
        make: Draws one item.
        grouped: Whether the questions of an item carry a common group id.
        max_new_tokens: Generation limit.
    """

    key: str
    ability: str
    format: str
    domain: str
    metric: str
    renderer: str
    templates: tuple[str, ...]
    make: Callable[[SubtaskSpec, Dealer], Item] = field(repr=False)
    grouped: bool = False
    max_new_tokens: int = 8

    def ask(self, dealer: Dealer, **words: object) -> str:
        """One of the wordings with its words filled in."""
        return dealer.pick(self.templates).format(**words)


def choose(dealer: Dealer, options: Sequence[T], slot: str = "letter") -> tuple[T, int]:
    """The right option, drawn uniformly, and its place."""
    place = dealer.deal(slot, len(options))
    return options[place], place


def yes_no(bit: int) -> str:
    """The true/false answer of a drawn bit."""
    return "yes" if bit else "no"
