"""From a model's text to its answer: `extract`.

The way an answer was found is recorded with it, so that a reader of the rows can count the ways
and look at the doubtful ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lens_ray.scoring.letters import Found, find_letter
from lens_ray.scoring.numbers import find_numbers
from lens_ray.scoring.plain import plain

OK, UNPARSED, REFUSED, TRUNCATED = "ok", "unparsed", "refused", "truncated"

_TRIM = " \t\r\n.()[]{}:;\"'$,!<>"
_REFUSAL = re.compile(
    r"\bI(?:'m|\s{1,3}am)\s{1,3}(?:unable|not\s{1,3}able|not\s{1,3}allowed)\s{1,3}to\b"
    r"|\bI\s{1,3}(?:can(?:not|'t|\s{1,3}not)|could\s{1,3}not|couldn't|won't|will\s{1,3}not)\s{1,3}"
    r"(?:answer|assist|help|provide|determine|identify|see|view|access|process|comply|tell|say"
    r"|recognize|recognise|read|fulfil|discuss|engage|do)\b"
    r"|\bI\s{1,3}(?:must|have\s{1,3}to)\s{1,3}(?:decline|refuse)\b|\bI\s{1,3}(?:decline|refuse)\b"
    r"|\bas\s{1,3}an\s{1,3}AI\b",
    re.IGNORECASE,
)
#: Answers are looked for in this many characters at the start and as many at the end.
_REACH = 20_000
#: A refusal comes early; what follows it is talk.
_REFUSAL_REACH = 400

_ECHO = re.compile(r"\b(?:yes\s{0,2}(?:or|/)\s{0,2}no|true\s{0,2}(?:or|/)\s{0,2}false)\b", re.I)
_YES_NO = {"yes": "yes", "no": "no", "true": "yes", "false": "no", "y": "yes", "n": "no"}
_DECLARED_YES_NO = re.compile(
    r"(?:\banswer\s{0,4}(?:(?:is|was|(?:should|would|must)\s{1,3}be)\b\s{0,3}[:=]?|[:=])"
    r"[\s\"'(\[{]{0,6}|\\boxed\s{0,4}\{\s{0,4})(yes|no|true|false)\b(?!')",
    re.IGNORECASE,
)
_LEADING_YES_NO = re.compile(r"[\s\"'(\[{]{0,6}(yes|no|true|false)\b(?!')", re.IGNORECASE)
_WORD_YES_NO = re.compile(r"(?<![\w'])(yes|no|true|false)(?![\w'])", re.IGNORECASE)

_DECLARED_TEXT = re.compile(
    r"(?:^|(?<=[\n.!?;]))\s{0,4}(?:(?:so|thus|therefore|hence),?\s{1,3})?(?:(?:the|my)\s{1,3})?"
    r"(?:(?:final|correct)\s{1,3})?answer\s{0,3}(?:is\b\s{0,2}:?|[:=])[ \t]{0,4}\n?",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\s{0,4}\{([^{}]{1,200})\}")
#: A declared open answer is at most this long.
_TAIL = 500


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
    clean = plain(text)
    found = _find(clean, sample_format, choices, cut=cut, numeric=numeric)
    if found is not None and found.explicit:
        return Extraction(found.answer, found.method, OK)
    if finish_reason == "content_filter":
        return Extraction(None, "none", REFUSED, "the provider's content filter stopped the answer")
    if refusal := _REFUSAL.search(clean[:_REFUSAL_REACH]):
        return Extraction(None, "none", REFUSED, f"the answer says {refusal[0]!r}")
    if cut:
        return Extraction(None, "none", TRUNCATED, "the token limit came before a declared answer")
    if found is not None:
        return Extraction(found.answer, found.method, OK)
    return Extraction(None, "none", UNPARSED, _why(clean, sample_format, numeric))


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
        return _find_yes_no(text)
    return _find_number(text, cut=cut) if numeric else _find_text(text, cut=cut)


def _why(text: str, sample_format: str, numeric: bool) -> str:
    if not text.strip():
        return "the answer is empty"
    if sample_format == "multiple_choice":
        return "no valid option letter and no single option text"
    if sample_format == "true_false":
        return "neither yes nor no"
    return "no number" if numeric else "nothing but punctuation"


def _find_yes_no(text: str) -> Found | None:
    text = _ECHO.sub(" ", text)
    whole = text.strip(_TRIM).lower()
    if whole in _YES_NO:
        return Found(_YES_NO[whole], "word", explicit=True)
    if last := _last(_DECLARED_YES_NO, text):
        return Found(_YES_NO[last[1].lower()], "explicit", explicit=True)
    if first := _LEADING_YES_NO.match(text):
        return Found(_YES_NO[first[1].lower()], "leading_word", explicit=True)
    if last := _last(_WORD_YES_NO, text):
        return Found(_YES_NO[last[1].lower()], "bare_word")
    return None


def _find_number(text: str, *, cut: bool) -> Found | None:
    said = _last_declared(text)
    if said is not None:
        tail, start = said
        number = next(find_numbers(tail), None)
        # A figure that touches the cut may lack digits.
        if number and not (cut and start + number.end >= len(text)):
            return Found(str(number), "explicit", explicit=True)
    last = None
    for last in find_numbers(text):  # noqa: B007
        pass
    if last is None:
        return None
    whole = not cut and (last.start, last.end) == (0, len(text.strip().rstrip(".")))
    return Found(str(last), "number", explicit=whole)


def _find_text(text: str, *, cut: bool) -> Found | None:
    said = _last_declared(text)
    if said is not None:
        tail, start = said
        answer = tail.strip().rstrip(".").strip(" \t\"'")
        if answer and not (cut and start + len(tail) >= len(text)):
            return Found(answer, "explicit", explicit=True)
    answer = text.strip()
    return Found(answer, "text") if answer else None


def _last_declared(text: str) -> tuple[str, int] | None:
    """What the text last declares to be its answer, to the end of the line, and where."""
    cue, boxed = _last(_DECLARED_TEXT, text), _last(_BOXED, text)
    if boxed is not None and (cue is None or boxed.start() > cue.start()):
        return boxed[1], boxed.start(1)
    if cue is None:
        return None
    return text[cue.end() : cue.end() + _TAIL].split("\n", 1)[0], cue.end()


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for last in pattern.finditer(text):  # noqa: B007
        pass
    return last
