"""Option letters in a model's text: `find_letter`.

Order of trust: what the text declares to be its answer, then an option it names, then a bare
letter. Within a kind the last one wins: models correct themselves, they do not un-correct.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lens_ray.scoring.plain import normalise

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_FILLER = (
    r"\s{0,4}(?:(?:most\s{1,3})?(?:likely|probably|clearly|definitely)\s{1,3})?"
    r"(?:(?:the\s{1,3})?(?:correct\s{1,3})?(?:option|choice|letter|answer)\b[\s:]{0,4})?"
    r"[\s\"'(\[{$]{0,6}"
)
_COPULA = r"(?:(?:is|was|(?:would|should|must|will|could)\s{1,3}be)\b\s{0,3}[:=]?|[:=]|\s-)"
#: What declares an answer, the letter being group 1, and whether an ``A`` there must be a letter.
_DECLARED: tuple[tuple[re.Pattern[str], bool], ...] = (
    (
        re.compile(
            r"\b(?:answer|choice|option|solution)\s{0,4}" + _COPULA + _FILLER + r"([A-Z])(?![\w'])",
            re.IGNORECASE,
        ),
        False,
    ),
    (re.compile(r"答案\s{0,2}(?:是|为)?\s{0,2}:?[\s(\"']{0,4}([A-Za-z])(?![A-Za-z0-9'])"), True),
    (
        re.compile(
            r"\b(?:choose|chose|pick|select|go\s{1,3}with|going\s{1,3}with|opt\s{1,3}for)\b"
            + _FILLER
            + r"([A-Z])(?![\w'])",
            re.IGNORECASE,
        ),
        False,
    ),
    (
        re.compile(
            r"(?<![\w'.])\(?([A-Z])\)?[.:]?\s{1,3}(?:is|must\s{1,3}be)\s{1,3}(?:the\s{1,3})?"
            r"(?:correct|right|best|answer)\b"
        ),
        True,
    ),
    (re.compile(r"\\boxed\s{0,4}\{[\s(]{0,4}([A-Za-z])(?=\s{0,4}[).:}])"), True),
)
_NAMED = re.compile(r"\b(?i:option|choice|answer)\s{1,3}[\"'(\[]{0,2}([A-Z])(?![\w'])")
_BARE = re.compile(r"(?<![\w'.])([A-Z])(?![\w'])")
_LEADING = re.compile(r"[\s(\[{\"'$]{0,6}([A-Za-z])\s{0,2}(?:[.):;,\]}]|\n|$)")

_DENIED = re.compile(
    r"(?:\bnot|n't|\bnever|\bneither|\bnor|\brather\s{1,3}than|\binstead\s{1,3}of)\s{1,3}$",
    re.IGNORECASE,
)
_REJECTED = re.compile(
    r"[\"')\].]{0,3}\s{1,3}(?:is|was|are|seems|looks)\s{1,3}(?:wrong|incorrect|not|false)\b",
    re.IGNORECASE,
)
#: After these an ``A`` is a letter and no article, and ``b`` a letter and no slip.
_CLOSED = re.compile(
    r"\s{0,2}[.):;,\]}]|[\"'$]|[ \t]{0,4}(?:\n|$)|\s{1,3}(?:because|since|as)\b|\s[-–—]\s",
    re.IGNORECASE,
)
_WHOLE = " \t\r\n.()[]{}:;\"'$,!<>"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: the canonical answer and how.

    Attributes:
        answer: The answer in canonical form.
        method: How it was found.
        explicit: Whether the text declares it, so that a cut-off text still answers.
    """

    answer: str
    method: str
    explicit: bool = False


def declared(text: str, letters: str) -> str | None:
    """The last valid letter that the text declares to be its answer, upper case."""
    best, place = None, -1
    for pattern, certain in _DECLARED:
        for match in pattern.finditer(text):
            start, end = match.span(1)
            if start <= place or match[1].upper() not in letters:
                continue
            sure = certain or (match[1].isupper() and match[1] not in "AI")
            if (sure or _CLOSED.match(text, end)) and not _denied(text, match.start(), end):
                best, place = match[1].upper(), start
    return best


def named(text: str, letters: str) -> str | None:
    """The last valid ``option X`` that is not rejected."""
    best = None
    for match in _NAMED.finditer(text):
        letter = match[1]
        if letter not in letters or _denied(text, match.start(), match.end(1)):
            continue
        if letter not in "AI" or match[0][0] in "oOcC" or _CLOSED.match(text, match.end(1)):
            best = letter
    return best


def leading(text: str, letters: str) -> str | None:
    """The valid letter with which the text opens: ``B. a car``, ``(b)``, ``B`` on a line."""
    match = _LEADING.match(text)
    if match is None or match[1].upper() not in letters:
        return None
    return match[1].upper()


def bare(text: str, letters: str, *, cut: bool) -> str | None:
    """The last valid capital that stands alone; an ``A`` or ``I`` only where it is closed."""
    best = None
    for match in _BARE.finditer(text):
        letter, end = match[1], match.end(1)
        if letter not in letters or _denied(text, match.start(), end):
            continue
        ends = end == len(text)
        if letter not in "AI" or (_CLOSED.match(text, end) and not (ends and cut)):
            best = letter
    return best


def option_text(text: str, choices: Sequence[str]) -> str | None:
    """The letter of the only option whose text occurs; a longer option hides one within it."""
    haystack = f" {normalise(text)} "
    found: list[int] = []
    plainly = sorted(range(len(choices)), key=lambda index: -len(choices[index]))
    for index in plainly:
        needle = f" {normalise(choices[index])} "
        if needle.strip() and needle in haystack:
            found.append(index)
            haystack = haystack.replace(needle, " \0 ")
    return ALPHABET[found[0]] if len(found) == 1 else None


def find_letter(text: str, choices: Sequence[str], *, cut: bool = False) -> Found | None:
    """The option that a text chooses.

    Args:
        text: Text that went through `lens_ray.scoring.plain.plain`.
        choices: Option texts in the order shown.
        cut: Whether the text stopped at the token limit.

    Returns:
        The upper-case letter with its method, or None.
    """
    letters = ALPHABET[: len(choices)]
    whole = text.strip(_WHOLE)
    if len(whole) == 1 and whole.upper() in letters:
        return Found(whole.upper(), "letter", explicit=True)
    if letter := declared(text, letters):
        return Found(letter, "explicit", explicit=True)
    if letter := named(text, letters):
        return Found(letter, "named_option")
    first = leading(text, letters)
    if cut and first:
        return Found(first, "leading_letter", explicit=True)
    if letter := bare(text, letters, cut=cut) or first:
        return Found(letter, "bare_letter")
    if letter := option_text(text, choices):
        return Found(letter, "option_text", explicit=_is_option(text, choices))
    return None


def _is_option(text: str, choices: Sequence[str]) -> bool:
    """Whether the whole text is one option."""
    return normalise(text) in {normalise(choice) for choice in choices}


def _denied(text: str, start: int, end: int) -> bool:
    """Whether a mention is preceded by ``not`` or followed by ``is wrong``."""
    return bool(_DENIED.search(text[max(0, start - 16) : start]) or _REJECTED.match(text, end))
