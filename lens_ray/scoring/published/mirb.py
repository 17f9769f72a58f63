"""MIRB: the parsing of open answers of MMMU, and a plain rule where the answer is A to E.

The patterns for numbers find what MMMU's find, in time linear in the length of the text: a number
can begin only where no digit stands before it (or at its sign).
"""

from __future__ import annotations

import re

from lens_ray.scoring.published.letter import leading_or_raw
from lens_ray.suites.sample import Sample

_LETTERS = ("A", "B", "C", "D", "E")
_GROUPED = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
_SCIENTIFIC = re.compile(r"(?:-|(?<!\d))\d+(?:\.\d+)?[eE][+-]?\d+")
_SIMPLE = re.compile(
    r"(?:-(?:\d+\.\d+|\.\d+|\d+\b)|(?<!\d)(?:\d+\.\d+|\d+\b)|\.\d+)(?![eE][+-]?\d+)(?![,\d])"
)
#: The answer stands behind these; behind ``=`` too in the last line.
_CUES = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL = frozenset(":,.!?;'")


def read(sample: Sample, text: str) -> tuple[str | None, float]:
    """What decides and its mark."""
    gold = sample.answers[0]
    if gold in _LETTERS:
        letter = leading_or_raw(text)
        return letter.strip() or None, float(letter == gold)
    given = _candidates(text)
    accepted = _normal(gold)
    for one in given:
        if _agrees(one, accepted):
            return str(one).strip(), 1.0
    return str(given[-1]).strip() or None, 0.0


def _agrees(given: str | float, accepted: list[str] | list[float]) -> bool:
    """Numbers agree if they are equal, texts if the accepted one occurs in the given one."""
    if isinstance(given, str):
        return any(isinstance(one, str) and one in given for one in accepted)
    return given in accepted


def _candidates(text: str) -> list[str | float]:
    """The texts behind the cues, and every number in them."""
    tails = _tails(text)
    found: list[str | float] = []
    for tail in tails:
        found += _normal(tail)
    for tail in tails:
        for pattern in (_GROUPED, _SCIENTIFIC, _SIMPLE):
            for number in pattern.findall(tail):
                found += _normal(number)
    return found


def _tails(text: str) -> list[str]:
    """The shortest text behind a cue, of each line that has one; all of the text without any.

    The publisher means to split sentences at a point before a capital, but has lower-cased the
    text by then, so that lines alone are split.
    """
    text = text.strip().strip(".").lower()
    lines = text.split("\n")
    tails: list[str] = []
    for place, line in enumerate(lines):
        cues = (*_CUES, "=") if place == len(lines) - 1 else _CUES
        behind = [line.rpartition(cue)[2].strip() for cue in cues if cue in line]
        if behind and (tail := _shortest(behind)) and tail not in _TRIVIAL:
            tails.append(tail)
    return tails or [text]


def _shortest(behind: list[str]) -> str:
    """The publisher's choice: an empty text gives way to whatever is looked at after it."""
    shortest = behind[0]
    for tail in behind[1:]:
        if not shortest or len(tail) < len(shortest):
            shortest = tail
    return shortest


def _normal(text: str) -> list[str] | list[float]:
    """A number to two decimals, or the text in lower case; one letter is not to match in words."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
    return [f" {text}", f"{text} "] if len(text) == 1 else [text]
