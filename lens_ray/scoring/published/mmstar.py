"""MMStar: the rule of the reference (`read`), and that of lmms-eval 0.7.3 (`read_ranked`)."""

from __future__ import annotations

from collections.abc import Iterator

from lens_ray.scoring.published.letter import as_letter
from lens_ray.suites.sample import Sample

#: What may stand before the letter in the reference's rule.
_BEFORE = ("", "(", "option ", "the answer is ")


def read(sample: Sample, text: str) -> tuple[str | None, float]:
    """The letter and its mark: the first character, or the one after a few fixed openings."""
    answer = text.lower().strip().replace("\n", " ")
    places = [len(before) for before in _BEFORE if answer.startswith(before)]
    letters = [answer[place : place + 1] for place in places]
    gold = sample.answers[0].lower()
    if gold in letters:
        return sample.answers[0], 1.0
    return as_letter(sample, letters[-1]), 0.0


def read_ranked(sample: Sample, text: str) -> tuple[str | None, float]:
    """The letter and its mark: of all ways to write one, the most telling; of equals, the last."""
    answer = " " + _trimmed(text) + " "
    found = max(_candidates(answer), key=lambda each: each[:2], default=None)
    if found is None:
        return None, 0.0
    return found[2], float(found[2] == sample.answers[0])


#: Phrases of the publisher after which letters are looked for.
_PHRASES = (
    "the answer is", "answer is", "the correct answer is", "correct answer is",
    "the best answer is", "best answer is", "the correct option is", "correct option is",
    "the best option is", "best option is", "the choice is", "choice is",
    "the correct choice is", "correct choice is", "i choose", "i select", "i pick",
    "my answer is", "my choice is", "옵션", "정답은", "답은", "답:",
    "答案是", "答案为", "选", "答えは",
)  # fmt: skip
#: How a letter is written, with its rank.
_WRITTEN = (("({})", 6), ("{}.", 5), ("{}:", 4), ("{})", 3), ("{} ", 2))
_START, _END, _PHRASE, _ANYWHERE = 10, 9, 7, 0


def _trimmed(text: str) -> str:
    text = text.strip()
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    return text


def _candidates(text: str) -> Iterator[tuple[int, int, str]]:
    """Rank, place and letter of what may be the answer; the first of equals is taken."""
    bare, lower, seen = text.strip(), text.lower(), False
    behind = [lower.find(phrase) + len(phrase) for phrase in _PHRASES if phrase in lower]
    for letter in "ABCD":
        places = [(rank, text.rfind(form.format(letter))) for form, rank in _WRITTEN]
        places += [(_PHRASE, text.find(letter, start)) for start in behind]
        if bare.startswith(letter) and not bare[1:2].isalpha():
            places.append((_START, 0))
        if bare.endswith(letter) and not bare[-2:-1].isalpha():
            places.append((_END, len(text) - 1))
        for rank, place in places:
            if place != -1:
                seen = True
                yield rank, place, letter
    if not seen:
        for letter in "ABCD":
            if (place := text.rfind(letter)) != -1:
                yield _ANYWHERE, place, letter
