"""Option texts in a model's text: `without_options`, `find_option`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lens_ray.scoring import languages as words
from lens_ray.scoring.numbers import find_numbers, whole_number
from lens_ray.scoring.plain import normalise

_ITEM = re.compile(
    r"(?:^[ \t>*•-]{0,6}|(?<=[\s,;:]))\(?([A-Z])[).:、．]{1,2}[ \t]{0,3}(?=\S)", re.M
)
_GOOD = re.compile(
    r"✓|✔|✅|\b(?:correct|right|true|yes|matches|fits)\b|正确|正解|정답", re.IGNORECASE
)
_BAD = re.compile(
    r"✗|❌|✘|\b(?:incorrect|wrong|false|no|not|untrue|never|doesn't|isn't|cannot|can't)\b|错|不|間違",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.;。](?=\s|$)|\n")
_DENIED = re.compile(
    r"(?:\bnot|n t|\bnever|\bneither|\bnor|\brather than|\binstead of|\bother than|\bthan|\bno"
    r"|\bnicht|\bkeine?|\bstatt|\bpas|\bwithout|\bunlike|\bruled out|\beliminate|不是|而非|没有)"
    r"(?:\s(?:be|really|exactly|directly|located|positioned|placed|a|an|the|to|in|on|at|of|de|un|une"
    r"|ein|eine|der|die|das|una)){0,4}\s$"
)
_REJECTED = re.compile(
    r"\s(?:one )?(?:(?:is|are|was|were|seems?) )(?:clearly |definitely |also )?"
    r"(?:wrong|incorrect|not|false|impossible|unlikely|ruled|excluded)\b"
    r"|\s(?:isn t|aren t|doesn t|can t|cannot|ではな|不是|不对|ist falsch)"
)
_DECLARES = re.compile(
    rf"(?:\b(?:{words.NOUNS})\s{{0,3}}(?:(?:{words.ADJECTIVES})\s{{1,3}})?"
    rf"(?:\b(?:{words.COPULAS})\b\s{{0,3}}[:=]?|[:=])|\\boxed\s{{0,4}}\{{|{words.CJK_CUES})",
    re.IGNORECASE,
)
_ORDINAL = re.compile(
    r"\b(?:the\s)?(first|second|third|fourth|fifth|sixth|last)\s(?:option|choice|answer)\b",
    re.IGNORECASE,
)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
_CORRECTS = re.compile(r"\b(?:wait|actually|correction|sorry|rather|scratch that|i mean)\b", re.I)
#: A declared option text is at most this long, and a denial at most this far before it.
_TAIL, _BEFORE = 300, 40
#: ``Answer: red``: shorter ASCII texts declare no option's text.
_SHORTEST = 10


def without_options(text: str, choices: Sequence[str]) -> tuple[str, int | None]:
    """The text without a list that restates its options, and the one option it approves of.

    Args:
        text: Text that went through `lens_ray.scoring.plain.plain`.
        choices: Option texts in the order shown.

    Returns:
        The text outside such lists, and the index of the only item that is judged right where
        others are judged wrong; None where there is no such item.
    """
    if not any(mark in text for mark in ").:、．"):
        return text, None
    items: list[tuple[int, int]] = []
    listed: list[list[tuple[int, int]]] = []
    for match in _ITEM.finditer(text):
        place = ord(match[1]) - ord("A")
        if place == 0:
            items = [match.span()]
            listed.append(items)
        elif place == len(items) and place < len(choices):
            items.append(match.span())
    verdict = None
    for items in reversed(listed):
        if _restates(text, items, choices):
            start, end = items[0][0], _end(text, items, choices)
            verdict = _approved(text, items, end) if verdict is None else verdict
            text = f"{text[:start]}\n{text[end:]}"
    return text, verdict


def _restates(text: str, items: list[tuple[int, int]], choices: Sequence[str]) -> bool:
    """Whether items are a list of options: on lines of their own, or each with its text."""
    if len(items) < 2:
        return False
    lines = sum(text.rfind("\n", 0, end) + 8 > start for start, end in items)
    texts = sum(
        text[end : end + len(choice)].casefold() == choice.casefold()
        for (_, end), choice in zip(items, choices, strict=False)
    )
    return (lines == len(items) and text.count("\n", items[0][0], items[-1][1]) > 0) or (
        texts * 2 >= len(items)
    )


def _end(text: str, items: list[tuple[int, int]], choices: Sequence[str]) -> int:
    """Where the last item ends: with its option's text, its line or its sentence."""
    start = items[-1][1]
    choice = choices[len(items) - 1]
    own_line = text.rfind("\n", 0, start) + 8 > items[-1][0] and len(items) > 1
    if own_line and "\n" in text[items[0][0] : start]:
        line = text.find("\n", start)
        return len(text) if line < 0 else line
    if text[start : start + len(choice)].casefold() == choice.casefold():
        return start + len(choice)
    stop = _SENTENCE.search(text, start)
    return len(text) if stop is None else stop.start()


def _approved(text: str, items: list[tuple[int, int]], end: int) -> int | None:
    """The only item that is judged right, where at least one is judged wrong."""
    ends = [*(start for start, _ in items[1:]), end]
    good, bad = [], 0
    for index, ((_, start), stop) in enumerate(zip(items, ends, strict=True)):
        wrong = _BAD.search(text, start, stop)
        bad += wrong is not None
        if wrong is None and _GOOD.search(text, start, stop):
            good.append(index)
    return good[0] if len(good) == 1 and bad else None


def find_option(
    text: str, choices: Sequence[str], *, cut: bool = False, declared_after: int | None = None
) -> tuple[int, bool] | None:
    """The only option whose text is affirmed; a longer option hides one within it.

    Args:
        text: Text that went through `lens_ray.scoring.plain.plain`.
        choices: Option texts in the order shown.
        cut: Whether the text stopped at the token limit.
        declared_after: Only what is declared to be the answer after this place; None for all.

    Returns:
        The option's index, and whether the text declares it or is nothing else.
    """
    if declared_after is not None and len(text) < _SHORTEST and text.isascii():
        return None
    cue = None
    for cue in _DECLARES.finditer(text, declared_after or 0):  # noqa: B007
        pass
    if cue is not None:
        tail = text[cue.end() : cue.end() + _TAIL].strip().split("\n", 1)[0]
        tail = re.split(r"[.;。](?=\s|$)|,\s(?:because|since|not)|\sbecause\s", tail, maxsplit=1)[0]
        index = _only(tail, choices)
        if index is not None and not (cut and text.endswith(tail)):
            return index, True
    if declared_after is not None:
        return None
    whole = normalise(text)
    for index, choice in enumerate(choices):
        if normalise(choice) == whole:
            return index, True
    index = _only(text, choices)
    if index is None:
        index = _numbered(text, choices)
    return None if index is None else (index, False)


def _only(text: str, choices: Sequence[str]) -> int | None:
    """The only option that occurs undenied."""
    haystack = f" {normalise(text)} "
    found: list[int] = []
    for index in sorted(range(len(choices)), key=lambda index: -len(choices[index])):
        for needle in _spellings(choices[index]):
            if needle not in haystack:
                continue
            if _affirmed(haystack, needle):
                found.append(index)
            haystack = haystack.replace(needle, " \0 ")
            break
    if len(found) > 1:
        return _first_or_last(text, choices, found)
    return found[0] if found else None


def _spellings(choice: str) -> list[str]:
    """How an option may stand in a text, padded by spaces unless its script has none."""
    plainly = normalise(choice)
    if not plainly:
        return []
    if re.search(rf"[{words.CJK}]", plainly):
        return [plainly]
    bare = re.sub(r"^(?:a|an|the) ", "", plainly)
    return [f" {plainly} "] if bare == plainly or not bare else [f" {plainly} ", f" {bare} "]


def _affirmed(haystack: str, needle: str) -> bool:
    place = haystack.find(needle)
    while place >= 0:
        begins = place + (needle[0] == " ")
        before = haystack[max(0, begins - _BEFORE) : begins]
        if not _DENIED.search(before) and not _REJECTED.match(haystack, place + len(needle) - 1):
            return True
        place = haystack.find(needle, place + len(needle))
    return False


def _first_or_last(text: str, choices: Sequence[str], found: list[int]) -> int | None:
    """Of several options, that with which the text opens: ``Yes, there is no dog``."""
    first = normalise(re.split(r"[.,;:!\n。，]", text.strip(), maxsplit=1)[0])
    if _CORRECTS.search(text):
        return None
    for index in found:
        if normalise(choices[index]) == first in ("yes", "no", "true", "false"):
            return index
    return None


def _numbered(text: str, choices: Sequence[str]) -> int | None:
    """An option named by its place or, where all options are numbers, by its value."""
    places = {match[1].lower() for match in _ORDINAL.finditer(text)}
    if len(places) == 1:
        name = places.pop()
        index = len(choices) - 1 if name == "last" else _ORDINALS.index(name)
        return index if index < len(choices) else None
    if len(text) > 5000:
        return None
    values = [number and number.value for number in map(whole_number, choices)]
    if None in values:
        return None
    said = {number.value for number in find_numbers(text)}
    fits = [index for index, value in enumerate(values) if value in said]
    return fits[0] if len(said) == 1 and len(fits) == 1 else None
