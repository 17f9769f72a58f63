"""Several labels of a closed list: `label_set_f1`, `label_set`.

`Sample.meta`: ``labels`` (the list, one a line) and ``none`` (the word for no label at all). An
accepted answer is labels joined by commas, or the word for none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lens_ray.scoring.formats.said import said
from lens_ray.scoring.plain import normalise, plain
from lens_ray.suites.sample import Sample

_PARTS = re.compile(r"[,;\n|/]|\band\b|&|\+|[.](?=\s|$)")
_EDGES = " \t\"'[](){}*•-–:."
_ARTICLE = re.compile(r"^(?:an?|the|some)\s+", re.IGNORECASE)
_NEGATION = re.compile(r"\b(?:no|not|without|neither|nor|none|never|isn't|aren't|don't|doesn't)\b")
#: A part of at most so many words names a label; longer ones are talk around labels.
_WORDS = 3
#: Longer texts are no list of labels.
_REACH = 4_000


def label_set_f1(sample: Sample, text: str) -> tuple[str | None, float]:
    """F1 of the labels of a text against the accepted set; 1 where both are empty."""
    return _marked(sample, text, _f1)


def label_set(sample: Sample, text: str) -> tuple[str | None, float]:
    """1 where the labels of a text are exactly the accepted set, else 0."""
    return _marked(sample, text, lambda given, gold: float(given == gold))


def _marked(sample: Sample, text: str, rule: object) -> tuple[str | None, float]:
    assert callable(rule)
    labels = [label for label in sample.meta.get("labels", "").split("\n") if label]
    none = sample.meta.get("none", "none")
    given = _labels_in(text, labels, none)
    if given is None:
        return None, 0.0
    golds = [_gold(answer, none) for answer in sample.answers]
    best = max(rule(given, gold) for gold in golds)
    return ", ".join(sorted(given)) or none, float(best)


def _gold(answer: str, none: str) -> frozenset[str]:
    parts = frozenset(normalise(part) for part in answer.split(",") if part.strip())
    return parts - {normalise(none)}


def _f1(given: frozenset[str], gold: frozenset[str]) -> float:
    if not given and not gold:
        return 1.0
    return 2 * len(given & gold) / (len(given) + len(gold))


def _labels_in(text: str, labels: Sequence[str], none: str) -> frozenset[str] | None:
    """The labels that a text gives; a short entry that is no label stays as a wrong one.

    Where every part of the text is short, it is a list and every part counts. Otherwise it is
    talk, of which only known labels count that are not negated in their part.
    """
    answer = said(text)
    if answer is None:
        return None
    clean = plain(answer)[:_REACH]
    # A label may hold a comma or an "and" itself: those are taken out first, longest first.
    known = sorted({normalise(label) for label in labels} | {normalise(none)}, key=len)[::-1]
    parts = [_ARTICLE.sub("", part.strip(_EDGES)) for part in _PARTS.split(clean)]
    parts = [part for part in parts if normalise(part)]
    if not parts:
        return None
    empty = normalise(none)
    if all(len(part.split()) <= _WORDS or normalise(part) in known for part in parts):
        return frozenset(_label(part, known) for part in parts) - {empty}
    found: set[str] = set()
    for part in parts:
        if not _NEGATION.search(part.lower()) or normalise(part) in known:
            found.update(_within(normalise(part), known))
        elif empty in _within(normalise(part), known):
            found.add(empty)
    return frozenset(found) - {empty} if found else None


def _label(part: str, known: Sequence[str]) -> str:
    """The label that a short part names: itself, or the only one within it."""
    name = normalise(part)
    if name in known or _NEGATION.search(part.lower()):
        return name
    inside = _within(name, known)
    return inside[0] if len(inside) == 1 else name


def _within(part: str, known: Sequence[str]) -> list[str]:
    """The known labels that stand as whole words in a part, longest first, none in another."""
    found = []
    for label in known:
        pattern = rf"(?<!\w){re.escape(label)}(?!\w)"
        if re.search(pattern, part):
            found.append(label)
            part = re.sub(pattern, " ", part)
    return found
