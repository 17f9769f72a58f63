"""Numbers in text, exact: `find_numbers` and `whole_number`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from lens_ray.scoring.plain import plain

WORDS: tuple[str, ...] = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty",
)  # fmt: skip
#: Longer digit strings are noise, not answers.
_LONGEST = 40

_FIGURES = re.compile(
    r"(?<![A-Za-z0-9_])(?<![0-9]\.)"
    r"((?<![0-9])[-+])?[$€£¥]?"
    r"([0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?"
    r"|[0-9]+\.[0-9]+"
    r"|(?<![0-9],)[0-9]+,[0-9]{1,2}(?![0-9,])"
    r"|[0-9]+"
    r"|\.[0-9]+)"
    r"([eE][-+]?[0-9]{1,3}(?![A-Za-z0-9]))?"
    r"(\s?%|\s{1,2}percent\b)?"
)
_WORD = re.compile(
    r"(?<![A-Za-z])((?:minus|negative)\s{1,2})?(" + "|".join(WORDS) + r")(?![A-Za-z])",
    re.IGNORECASE,
)
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it stands in a text.

    Attributes:
        value: Its value; ``45%`` is 45.
        percent: Whether a percent sign, or the word, follows.
        start: Where it begins in the text.
        end: Where it ends.
    """

    value: Decimal
    percent: bool
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.value:f}" + ("%" if self.percent else "")

    def readings(self) -> tuple[Decimal, ...]:
        """The values it may stand for: ``45%`` is 45 or 0.45."""
        return (self.value, self.value / 100) if self.percent else (self.value,)


def find_numbers(text: str) -> Iterator[Number]:
    """The numbers of a text in order; number words only where no figure is found.

    Args:
        text: Text that went through `lens_ray.scoring.plain.plain`.

    Yields:
        Each number: ``-3.5``, ``1,234``, ``.5``, ``3,5``, ``2e3``, ``45%``, ``$12``, ``minus two``.
    """
    figures = False
    for match in _FIGURES.finditer(text):
        sign, digits, exponent, percent = match.groups()
        if len(digits) > _LONGEST:
            continue
        figures = True
        digits = digits.replace(",", "" if _GROUPED.fullmatch(digits) else ".")
        value = Decimal((sign or "") + digits + (exponent or ""))
        yield Number(value, percent is not None, match.start(), match.end())
    if figures:
        return
    for match in _WORD.finditer(text):
        value = Decimal(WORDS.index(match[2].lower()))
        yield Number(-value if match[1] else value, False, match.start(), match.end())


def whole_number(text: str) -> Number | None:
    """The number that a text is, or None where it is anything else."""
    trimmed = plain(text).strip().rstrip(".").rstrip()
    first = next(find_numbers(trimmed), None)
    if first is None or (first.start, first.end) != (0, len(trimmed)):
        return None
    return first
