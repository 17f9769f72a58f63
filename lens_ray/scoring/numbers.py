"""Numbers in text, exact: `find_numbers` and `whole_number`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from lens_ray.scoring.number_words import find_words
from lens_ray.scoring.plain import plain

#: Longer digit strings are noise, not answers.
_LONGEST = 40

_FIGURES = re.compile(
    r"(?<![A-Za-z0-9_])(?<![0-9][.:])"
    # Times and dates are no numbers.
    r"(?:([0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?![0-9])|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?![0-9])"
    r"|[0-9]{1,2}([./])[0-9]{1,2}\2[0-9]{2,4}(?![0-9]))|"
    r"((?<![0-9])[-+])?[$€£¥]?(?:"
    r"((?:[0-9]{1,6}[ ])?[0-9]{1,6}[ ]?/[ ]?[0-9]{1,6}(?![0-9/.])|[0-9]{0,6}\s?[½¼¾⅓⅔⅛⅜⅝⅞])|"
    r"([0-9]{1,3}(?:\.[0-9]{3}){1,12},[0-9]{1,9}(?![0-9])"
    r"|[0-9]{1,3}(?:\.[0-9]{3}){2,12}(?![0-9.])"
    r"|[0-9]{1,3}(?:'[0-9]{3}){1,12}(?![0-9])(?:\.[0-9]{1,20})?"
    r"|[0-9]{1,3}(?:[ ][0-9]{3}){1,12}(?![0-9])(?:[.,][0-9]{1,20}(?![0-9.,]))?"
    r"|[0-9]{1,2}(?:,[0-9]{2}){1,5},[0-9]{3}(?![0-9])"
    r"|[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?"
    r"|[0-9]+\.[0-9]+"
    r"|(?<![0-9],)[0-9]+,[0-9]{1,2}(?![0-9,])"
    r"|[0-9]+"
    r"|\.[0-9]+))"
    r"([eE][-+]?[0-9]{1,3}(?![A-Za-z0-9])"
    r"|\s?[×x·]\s?10\s?\^\s?\{?[-+]?[0-9]{1,3}\}?)?"
    r"(\s?(?:thousand|million|billion|trillion|dozen|Millionen|Mio|millones|millions)\b"
    r"|k(?![A-Za-z0-9])|bn\b|\s?[万萬亿億만억])?"
    r"(\s?%|\s{1,2}percent\b|\s{1,2}per\scent\b|\s{1,2}Prozent\b)?)"
)
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}")
_POINTED = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]+)|[0-9]{1,3}(?:\.[0-9]{3}){2,}")
_TIMES = {
    "k": 3, "thousand": 3, "million": 6, "millionen": 6, "mio": 6, "millones": 6, "millions": 6,
    "billion": 9, "bn": 9, "trillion": 12, "万": 4, "萬": 4, "만": 4, "亿": 8, "億": 8, "억": 8,
}  # fmt: skip
_PARTS = {"½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3), "⅛": (1, 8),
          "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8)}  # fmt: skip


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

    A time of day and a date are no numbers.

    Args:
        text: Text that went through `lens_ray.scoring.plain.plain`.

    Yields:
        Each number: ``-3.5``, ``1,234``, ``1.234,5``, ``.5``, ``3,5``, ``1 1/2``, ``2e3``,
        ``1.5 million``, ``45%``, ``$12``, ``twenty-three``, ``二十三``.
    """
    figures = False
    for number in find_figures(text):
        figures = True
        yield number
    if not figures:
        for each in find_words(text):
            yield Number(each.value, False, each.start, each.end)


def find_figures(text: str) -> Iterator[Number]:
    """The numbers of a text that are written in figures, in order."""
    for match in _FIGURES.finditer(text):
        moment, _, sign, fraction, digits, exponent, times, percent = match.groups()
        if moment:
            continue
        if digits is None or len(digits) <= _LONGEST:
            value = _fraction(fraction) if fraction else Decimal(_point(digits))
            if value is not None:
                if exponent or times:
                    value = _scaled(value, exponent, times)
                value = -value if sign == "-" else value
                yield Number(value, percent is not None, match.start(), match.end())


def _point(digits: str) -> str:
    """Figures in English notation, without groups."""
    if digits.isdecimal():
        return digits
    if " " in digits or "'" in digits:
        return digits.replace(" ", "").replace("'", "").replace(",", ".")
    if _POINTED.fullmatch(digits):
        return digits.replace(".", "").replace(",", ".")
    return digits.replace(",", "" if _GROUPED.fullmatch(digits) else ".")


def _fraction(text: str) -> Decimal | None:
    """``1 1/2`` or ``1½``; None where its denominator is zero."""
    if text[-1] in _PARTS:
        whole, (above, below) = text[:-1].strip() or "0", _PARTS[text[-1]]
        return Decimal(whole) + Decimal(above) / below
    *whole_part, above_text = text.split("/")[0].split()
    below = int(text.split("/")[1])
    whole = whole_part[0] if whole_part else "0"
    return Decimal(whole) + Decimal(above_text) / below if below else None


def _scaled(value: Decimal, exponent: str | None, times: str | None) -> Decimal:
    """The number times its power of ten and its word, such as ``million``."""
    if exponent:
        power = re.sub(r"[^0-9+-]", "", exponent.split("^")[-1].lstrip("eE"))
        value *= Decimal(10) ** int(power)
    if times:
        name = times.strip().lower()
        value = value * 12 if name == "dozen" else value * 10 ** _TIMES[name]
    return value


def whole_number(text: str) -> Number | None:
    """The number that a text is, or None where it is anything else."""
    trimmed = plain(text).strip().rstrip(".").rstrip()
    first = next(find_numbers(trimmed), None)
    if first is None or (first.start, first.end) != (0, len(trimmed)):
        return None
    return first
