"""Which sample of a suite a row of another tool answers: `Matcher`.

Other tools number their questions by position or by the publisher's ids, and versions of a data
set differ in both. So a row finds a sample by these, and only where the sample's question stands
in the text that the row holds (and its options are those of the row) is it that sample. Where
neither leads to one, the text alone decides, if it is the text of exactly one sample.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from lens_ray.scoring.plain import normalise
from lens_ray.store.imports.answers import Evidence
from lens_ray.suites.sample import Sample
from lens_ray.suites.templates import LETTERS

#: Key of `Sample.meta`: position in the split, from 0.
ROW = "row"
_IMAGE = re.compile(r"\[image \d{1,4}\]|<image(?:[ _]?\d{1,4})?>", re.IGNORECASE)
_ROTATION = re.compile(r"rotation-(\d{1,3})")
#: MMBench's rotation k of a question has its index plus k times this.
_TURN = 1_000_000
#: A prompt is compared within this many characters.
_LONGEST = 100_000


class Matcher:
    """Finds samples of some sources."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        """Index them.

        Args:
            samples: Those that rows may answer.
        """
        self._exact: dict[str, list[Sample]] = defaultdict(list)
        self._loose: dict[str, list[Sample]] = defaultdict(list)
        self._rows: dict[str, list[Sample]] = defaultdict(list)
        self._questions: dict[str, list[Sample]] = defaultdict(list)
        self._plain: dict[str, str] = {}
        self._options: dict[str, tuple[str, ...]] = {}
        for sample in samples:
            exact, loose = _names(sample)
            for name in exact:
                self._exact[name].append(sample)
            for name in loose - exact:
                self._loose[name].append(sample)
            if ROW in sample.meta:
                self._rows[sample.meta[ROW]].append(sample)
            plain = _plain(sample.question)
            self._plain[sample.sample_id] = plain
            self._options[sample.sample_id] = tuple(map(_plain, sample.choices))
            self._questions[plain].append(sample)

    def find(self, says: Evidence) -> tuple[Sample, bool] | None:
        """The sample that a row answers, and whether an id or a position says so.

        Where only its text does, the row may be of a question with the same text that the suite
        does not ask. None where there is no sample, or more than one.
        """
        text = None if says.question is None else _plain(says.question[:_LONGEST])
        options = tuple(map(_plain, says.options))

        def agrees(sample: Sample) -> bool:
            if text is not None and self._plain[sample.sample_id] not in text:
                return False
            mine = self._options[sample.sample_id]
            # Letters stand for options that the question itself holds.
            in_question = sample.choices == tuple(LETTERS[: len(sample.choices)])
            return not options or not mine or in_question or mine == options

        row = [] if says.row is None else self._rows.get(str(says.row), [])
        named = [self._exact.get(one, []) for one in says.ids]
        loosely = [self._loose.get(one, []) for one in says.ids]
        # Without positions in the suite, the publisher's ids may be positions themselves.
        number = [] if says.row is None or self._rows else self._exact.get(str(says.row), [])
        for pool in (*named, row, *loosely, number):
            left = [sample for sample in pool if agrees(sample)]
            if left and (found := _one(left, row, says.gold)) is not None:
                return found, True
        if text is None:
            return None
        left = [sample for sample in self._asking(text) if agrees(sample)]
        return (left[0], False) if len(left) == 1 else None

    def _asking(self, text: str) -> Iterable[Sample]:
        """The samples whose question is the text, or stands in it."""
        if text in self._questions:
            return self._questions[text]
        return [
            sample
            for question, samples in self._questions.items()
            if question in text
            for sample in samples
        ]


def _one(left: Sequence[Sample], row: Sequence[Sample], gold: str | None) -> Sample | None:
    """The only one that is left, by position and accepted answer where there are several."""
    if len(left) > 1:
        placed = {sample.sample_id for sample in row}
        left = [sample for sample in left if sample.sample_id in placed] or left
    if len(left) > 1 and gold is not None:
        wanted = normalise(gold)
        left = [s for s in left if wanted in {normalise(text) for text in s.answers}] or left
    return left[0] if len(left) == 1 else None


def _plain(question: str) -> str:
    return normalise(_IMAGE.sub(" ", question))


def _names(sample: Sample) -> tuple[set[str], set[str]]:
    """By what a publisher may call a sample: its own ids, and those that it shares or may share."""
    native = _native(sample, sample.sample_id)
    bare = native.partition("#")[0]
    exact = {native}
    if "#" not in native:
        exact.add(bare)
    turn = _ROTATION.fullmatch(sample.variant or "")
    if turn is not None and bare.isascii() and bare.isdigit():
        exact.add(str(int(bare) + int(turn[1]) * _TURN))
    loose = {bare}
    for whole in (bare, _native(sample, sample.cluster_id), _native(sample, sample.group_id)):
        parts = whole.partition("#")[0].split("/")
        loose |= {"/".join(parts[start:]) for start in range(len(parts))}
        loose |= {"/".join(parts[:end]) for end in range(1, len(parts))}
    return exact, loose - {""}


def _native(sample: Sample, name: str | None) -> str:
    return (name or "").removeprefix(f"{sample.source}/")
