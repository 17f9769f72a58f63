"""Model text made comparable, in time linear in its length.

A text may hold anything: markup, terminal escapes, NUL, lone surrogates, a megabyte of one letter.
Every repetition below is bounded or over one character class, so no pattern can backtrack.
"""

from __future__ import annotations

import re
import unicodedata

#: Longer texts are not composed: CPython's reordering of combining marks is quadratic in a run.
_COMPOSE_LIMIT = 2000

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|[@-Z\\-_])")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_LATEX = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|bf|emph|operatorname)"
    r"\s{0,4}\{([^{}]{0,200})\}"
)
_FRACTION = re.compile(r"\\[dt]?frac\s{0,2}\{?([0-9]{1,9})\}?\s{0,2}\{?([0-9]{1,9})\}?")
_LATEX_SIGN = re.compile(r"\\([%$#&_])|\{(,)\}|\\([,;! ()\[\]])|\\(times|cdot|approx|quad|pm)\b")
_LATEX_WORDS = {"times": "×", "cdot": "·", "approx": "≈", "quad": " ", "pm": "±"}
#: Stars and underscores of Markdown; ``2*3`` and ``a_b`` keep theirs.
_STARS = re.compile(r"(?<![0-9])\*|\*(?![0-9])")
_UNDERSCORES = re.compile(r"(?<![A-Za-z0-9_])_{1,3}(?=[^\s_])|(?<=[^\s_])_{1,3}(?![A-Za-z0-9_])")
_SPACES = re.compile(r"\s+")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
# A point between digits and a sign before a number carry meaning; other punctuation does not.
_NOISE = re.compile(r"(?<![0-9])\.|\.(?![0-9])|(?<=\w)-|-(?![0-9.])|[^\w\s.\-]|_")

_FORMS: dict[int, int | str | None] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **{code: " " for code in (0x3000, 0xA0, 0x2007, 0x202F)},
    **dict.fromkeys((0x2018, 0x2019, 0x02BC), "'"),
    **dict.fromkeys((0x201C, 0x201D), '"'),
    **dict.fromkeys((0x2212, 0x2010, 0x2011), "-"),
    0xFEFF: None,
    0x200B: None,
}
_CONTROLS: dict[int, int | str | None] = {
    code: " " for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A, 0x85)
}
_TABLE = _FORMS | _CONTROLS
#: Circled letters are letters to `plain`.
_PLAIN_TABLE = _TABLE | {
    start + index: chr(ord(first) + index)
    for start, first in ((0x24B6, "A"), (0x24D0, "a"))
    for index in range(26)
}


def plain(text: str) -> str:
    """The text with escapes, tags, emphasis and typographic variants taken away.

    Args:
        text: Raw model text.

    Returns:
        Text in which answer patterns are searched; line breaks are kept.
    """
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if not (text.isascii() and text.isprintable()):
        text = text.translate(_PLAIN_TABLE)
    if "<" in text:
        text = _TAG.sub("", text)
    if "*" in text:
        text = _STARS.sub("", text)
    if "_" in text:
        text = _UNDERSCORES.sub("", text)
    if "`" in text:
        text = text.replace("`", "")
    return _LATEX.sub(r"\1", _latex(text)) if "\\" in text else text


def _latex(text: str) -> str:
    text = _FRACTION.sub(r"\1/\2", text)
    return _LATEX_SIGN.sub(lambda m: m[1] or m[2] or (_LATEX_WORDS[m[4]] if m[4] else " "), text)


def normalise(text: str) -> str:
    """The text for comparison: case folded, punctuation and runs of space become one space.

    A decimal point, a sign before a number and the digits of ``1,000`` survive.

    Args:
        text: Any text.

    Returns:
        Comparable text; the stripped, case-folded text where nothing but punctuation is in it.
    """
    if len(text) <= _COMPOSE_LIMIT:
        text = unicodedata.normalize("NFC", text)
    folded = text.translate(_TABLE).casefold()
    words = _SPACES.sub(" ", _NOISE.sub(" ", _THOUSANDS.sub("", folded))).strip()
    return words or folded.strip()


def squeeze(text: str) -> str:
    """The text, case folded, with runs of space made one; punctuation is kept."""
    if len(text) <= _COMPOSE_LIMIT:
        text = unicodedata.normalize("NFC", text)
    return _SPACES.sub(" ", text.translate(_TABLE).casefold()).strip()


def storable(text: str) -> str:
    r"""The text as UTF-8 can hold it: a lone surrogate is written out as ``\udc80``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
