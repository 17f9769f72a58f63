"""From a model's text to its answer: `extract`.

The way an answer was found is recorded with it, so that a reader of the rows can count the ways
and look at the doubtful ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lens_ray.scoring import languages as words
from lens_ray.scoring.declared import find_number, find_text
from lens_ray.scoring.letters import Found, find_letter
from lens_ray.scoring.plain import plain
from lens_ray.scoring.structure import unwrap
from lens_ray.scoring.yes_no import find_yes_no

OK, UNPARSED, REFUSED, TRUNCATED = "ok", "unparsed", "refused", "truncated"

_REFUSAL = re.compile(words.REFUSALS, re.IGNORECASE)
#: Answers are looked for in this many characters at the start and as many at the end.
_REACH = 20_000
#: A refusal comes early; what follows it is talk.
_REFUSAL_REACH = 400
#: Every refusal in ASCII holds one of these; a short answer is looked through for them first.
_REFUSAL_HINTS = ("i ", "i'", "ich ", "ne ", "no ", "non ", "as an")
_SHORT = 30


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a text answers.

    Attributes:
        answer: Canonical answer: upper-case letter, ``yes`` or ``no``, a number, or text; None
            where there is none.
        method: How it was found; ``none`` where it was not.
        status: ``ok``, ``unparsed``, ``refused`` or ``truncated``.
        cause: Why the status is not ``ok``.
    """

    answer: str | None
    method: str
    status: str
    cause: str | None = None


def extract(
    text: str,
    sample_format: str,
    choices: Sequence[str],
    finish_reason: str,
    *,
    numeric: bool = False,
) -> Extraction:
    """Find the answer in a model's text, in time linear in its length.

    Args:
        text: Raw text; anything may be in it.
        sample_format: ``true_false``, ``multiple_choice``, ``open``, or a registered one (which
            is read like ``open``).
        choices: Option texts in the order shown.
        finish_reason: ``stop``, ``length`` or ``content_filter``.
        numeric: Whether the metric wants a number from an open answer.

    Returns:
        The answer and how it was found, or why there is none.
    """
    cut = finish_reason == "length"
    clean = plain(unwrap(text, cut=cut))
    found = _find(clean, sample_format, choices, cut=cut, numeric=numeric)
    if found is not None and found.explicit:
        return Extraction(found.answer, found.method, OK)
    if finish_reason == "content_filter":
        return Extraction(None, "none", REFUSED, "the provider's content filter stopped the answer")
    if (refusal := _refuses(clean)) is not None:
        return Extraction(None, "none", REFUSED, f"the answer says {refusal[0]!r}")
    if cut:
        return Extraction(None, "none", TRUNCATED, "the token limit came before a declared answer")
    if found is not None:
        return Extraction(found.answer, found.method, OK)
    return Extraction(None, "none", UNPARSED, _why(clean, sample_format, numeric))


def _refuses(text: str) -> re.Match[str] | None:
    """The refusal with which a text begins, or None."""
    if len(text) < _SHORT and text.isascii():
        lowered = text.lower()
        if not any(hint in lowered for hint in _REFUSAL_HINTS):
            return None
    return _REFUSAL.search(text[:_REFUSAL_REACH])


def _find(
    text: str, sample_format: str, choices: Sequence[str], *, cut: bool, numeric: bool
) -> Found | None:
    if not text.strip():
        return None
    if len(text) > 2 * _REACH and (numeric or sample_format in ("multiple_choice", "true_false")):
        text = f"{text[:_REACH]}\n{text[-_REACH:]}"
    if sample_format == "multiple_choice":
        return find_letter(text, choices, cut=cut)
    if sample_format == "true_false":
        return find_yes_no(text)
    return find_number(text, cut=cut) if numeric else find_text(text, cut=cut)


def _why(text: str, sample_format: str, numeric: bool) -> str:
    if not text.strip():
        return "the answer is empty"
    if sample_format == "multiple_choice":
        return "no valid option letter and no single option text"
    if sample_format == "true_false":
        return "neither yes nor no"
    return "no number" if numeric else "nothing but punctuation"
