"""Numbers written as words: `find_words`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

WORDS: tuple[str, ...] = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "twenty",
)  # fmt: skip
_TENS = ("thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_GERMAN = ("null", "", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn",
           "", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn",
           "neunzehn")  # fmt: skip
_GERMAN_TENS = ("zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig",
                "neunzig")  # fmt: skip
_FRENCH = ("zéro", "", "deux", "trois", "quatre", "cinq", "", "sept", "huit", "neuf", "dix",
           "onze", "douze", "treize", "quatorze", "quinze", "seize")  # fmt: skip
_SPANISH = ("cero", "", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez",
            "", "doce", "trece", "catorce", "quince")  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "dozen": 12}
_KOREAN = {
    "한": 1,
    "두": 2,
    "세": 3,
    "네": 4,
    "다섯": 5,
    "여섯": 6,
    "일곱": 7,
    "여덟": 8,
    "아홉": 9,
    "열": 10,
}

_UNITS: dict[str, int] = {
    **{word: index for index, word in enumerate(WORDS[:20])},
    **{
        word: index
        for table in (_GERMAN, _FRENCH, _SPANISH)
        for index, word in enumerate(table)
        if word
    },
    **{
        f"{'ein' if unit == 1 else _GERMAN[unit]}und{tens}": 10 * place + unit
        for place, tens in enumerate(_GERMAN_TENS, 2)
        for unit in range(1, 10)
    },
}
_ROUND: dict[str, int] = {
    **{word: 10 * index for index, word in enumerate(("twenty", *_TENS), 2)},
    **{word: 10 * index for index, word in enumerate(_GERMAN_TENS, 2)},
    **{word: 10 * i for i, word in enumerate(("vingt", "trente", "quarante", "cinquante"), 2)},
    **{word: 10 * i for i, word in enumerate(("veinte", "treinta", "cuarenta", "cincuenta"), 2)},
}
_ALL = sorted({*_UNITS, *_ROUND, *_SCALES}, key=len, reverse=True)
_WORD = re.compile(
    rf"(?<![A-Za-z\u00c0-\u024f'])({'|'.join(_ALL)})(?![A-Za-z\u00c0-\u024f])", re.IGNORECASE
)
_GAP = re.compile(r"[\s-]{1,2}|(\s{0,2},?\s{1,2}and\s{1,2}|,\s{1,2})", re.IGNORECASE)
_NEGATIVE = re.compile(r"(?:minus|negative)\s{1,2}$", re.IGNORECASE)
_HALF = re.compile(r"\bhalf\s{1,2}an?\s{1,2}$", re.IGNORECASE)
_SOME = re.compile(r"\ban?\s{1,2}$", re.IGNORECASE)
#: A ``one`` that stands for a thing and counts nothing.
_THING = re.compile(
    r"\b(?:no|the|this|that|which|any|every|each|some|another|other|last|first|red|blue|green|big"
    r"|small|left|right|wrong|correct)[\s-]{1,2}$",
    re.IGNORECASE,
)
_OF = re.compile(r"\s{1,2}(?:of\b|another|by\sone|side\b|who\b|that\b)", re.IGNORECASE)
#: A worded part, ``two thirds``, is no whole number.
_PART = re.compile(
    r"[\s-](?:hal(?:f|ves)|thirds?|quarters?|fourths?|fifths?|tenths?)\b", re.IGNORECASE
)

_CHINESE = re.compile(
    r"(?<![第唯统單单])([零〇一二两兩三四五六七八九十百千万萬亿億]{1,30})"
    r"(?![些样樣起般直定下切旦致边方半角边邊种種律旁侧側分]|共|(?<=十)分)"
)
_DIGITS = {"零": 0, "〇": 0, "一": 1, "二": 2, "两": 2, "兩": 2, "三": 3, "四": 4, "五": 5, "六": 6,
           "七": 7, "八": 8, "九": 9}  # fmt: skip
_POWERS = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_KOREAN_WORD = re.compile(
    rf"(?<![\uac00-\ud7af])({'|'.join(_KOREAN)})\s?(?=개|명|마리|대|권|장|가지|사람)"
    r"|(?<![\uac00-\ud7af])(하나|둘|셋|넷)(?![\uac00-\ud7af])"
)


@dataclass(frozen=True, slots=True)
class Worded:
    """A number written as words.

    Attributes:
        value: Its value.
        start: Where it begins in the text.
        end: Where it ends.
    """

    value: Decimal
    start: int
    end: int


def find_words(text: str) -> Iterator[Worded]:
    """The worded numbers of a text: ``two thousand and three``, ``a dozen``, ``二十三``.

    Args:
        text: Text that went through `lens_ray.scoring.plain.plain`.

    Yields:
        Each number in order; first those of spaced scripts, then the others.
    """
    yield from _spaced(text)
    if text.isascii():
        return
    for match in _CHINESE.finditer(text):
        if match[1] not in ("万", "千", "百", "亿", "十分"):
            yield Worded(Decimal(_chinese(match[1])), match.start(), match.end())
    for match in _KOREAN_WORD.finditer(text):
        value = _KOREAN[match[1]] if match[1] else 1 + ("하나", "둘", "셋", "넷").index(match[2])
        yield Worded(Decimal(value), match.start(), match.end())


def _spaced(text: str) -> Iterator[Worded]:
    run: list[re.Match[str]] = []
    for match in _WORD.finditer(text):
        if run and not _continues(run, match, text):
            yield from _read(run, text)
            run = []
        run.append(match)
    if run:
        yield from _read(run, text)


def _continues(run: list[re.Match[str]], match: re.Match[str], text: str) -> bool:
    """Whether a word goes on with the number before it: ``twenty three``, not ``two three``."""
    last, word = run[-1][1].lower(), match[1].lower()
    gap = text[run[-1].end() : match.start()]
    joint = _GAP.fullmatch(gap) if len(gap) < 9 else None
    if joint is None or (joint[1] and last not in _SCALES):
        return False
    if word in _SCALES:
        return joint[1] is None and (last not in _SCALES or _SCALES[last] < _SCALES[word])
    if word in _ROUND:
        return last in _SCALES and last != "dozen"
    if last in _ROUND:
        return 0 < _UNITS[word] < 10
    return last in _SCALES and last != "dozen"


def _read(run: list[re.Match[str]], text: str) -> Iterator[Worded]:
    start, end = run[0].start(), run[-1].end()
    before = text[max(0, start - 16) : start]
    total, current = Decimal(0), Decimal(0)
    for match in run:
        word = match[1].lower()
        if word not in _SCALES:
            current += _UNITS.get(word, _ROUND.get(word, 0))
        elif word in ("hundred", "dozen"):
            current = max(current, Decimal(1)) * _SCALES[word]
        else:
            total += max(current, Decimal(1)) * _SCALES[word]
            current = Decimal(0)
    value, first = total + current, run[0][1].lower()
    if _PART.match(text, end):
        return
    if len(run) == 1 and first == "one" and (_THING.search(before) or _OF.match(text, end)):
        return
    if half := _HALF.search(before):
        value, start = value / 2, start - len(half[0])
    elif first in _SCALES:
        if (some := _SOME.search(before)) is None and first != "dozen":
            return
        start -= len(some[0]) if some else 0
    if sign := _NEGATIVE.search(before):
        value, start = -value, start - len(sign[0])
    yield Worded(value, start, end)


def _chinese(digits: str) -> int:
    total = section = digit = 0
    if not set(digits) & {*_POWERS, *_MYRIADS}:
        return int("".join(str(_DIGITS[each]) for each in digits))
    for each in digits:
        if each in _DIGITS:
            digit = _DIGITS[each]
        elif each in _POWERS:
            section += (digit or 1) * _POWERS[each]
            digit = 0
        else:
            total = (total + section + digit) * _MYRIADS[each]
            section = digit = 0
    # ``三万五`` is 35,000 in speech only; read by its digits it is 30,005.
    return total + section + digit
