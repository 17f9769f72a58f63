"""Options that stand inside a question's text (MMStar, ConBench): found where that is safe."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lens_ray.suites.templates import LETTERS

#: Words that open the options.
_MARK = re.compile(r"(?:Options|Choices)\s*:\s*")
#: How a letter is shown, and what parts two options, the most specific first.
_LAYOUTS: tuple[tuple[str, str], ...] = (
    (r"{}:\s*", r",\s*"),
    (r"{}:\s*", r"\s*\n\s*"),
    (r"\({}\)\s*", r"\s*[,\n]\s*"),
    (r"\({}\)\s*", r"\s+"),
    (r"{}\.\s+", r"\s*\n\s*"),
    (r"{}\)\s*", r"\s*[,\n]\s*"),
)
#: Longer questions stay whole: the search goes over runs of white space more than once.
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Inline:
    """A question and its options, taken apart.

    Attributes:
        question: What stands before the options.
        choices: Their texts, in order.
    """

    question: str
    choices: tuple[str, ...]


def split_options(text: str) -> Inline | None:
    """Take the options out of a question, or None where more than one reading is possible.

    Safe means: a mark ("Options:") with text before it, then A, B, ... in one layout to the end,
    each letter once, every option different and not empty.
    """
    marks = list(_MARK.finditer(text[:_LONGEST]))
    if len(text) > _LONGEST or len(marks) != 1 or not text[: marks[0].start()].strip():
        return None
    body = text[marks[0].end() :].strip()
    for shape, between in _LAYOUTS:
        choices = _cut(body, shape, between)
        if choices is not None:
            return Inline(text[: marks[0].start()].strip(), choices)
    return None


def count_options(text: str) -> int:
    """How many letters from A on are shown as options anywhere in a text."""
    text, count = text[:_LONGEST], 0
    while count < len(LETTERS) and re.search(
        rf"(?:^|[\s,;(]){LETTERS[count]}\s*[:.)]", text, re.MULTILINE
    ):
        count += 1
    return count


def _cut(body: str, shape: str, between: str) -> tuple[str, ...] | None:
    opening = re.match(shape.format("A"), body)
    if opening is None:
        return None
    choices, place = [], opening.end()
    for letter in LETTERS[1:]:
        marks = list(re.compile(between + shape.format(letter)).finditer(body, place))
        if not marks:
            break
        if len(marks) > 1:
            return None
        choices.append(body[place : marks[0].start()].strip())
        place = marks[0].end()
    choices.append(body[place:].strip())
    sound = len(choices) >= 2 and all(choices) and len(set(choices)) == len(choices)
    return tuple(choices) if sound and _once(choices, shape) else None


def _once(choices: list[str], shape: str) -> bool:
    """Whether no option's text shows one of the letters again."""
    marks = re.compile("|".join(rf"(?<!\w){shape.format(letter)}" for letter in LETTERS))
    return not any(marks.search(choice) for choice in choices)
