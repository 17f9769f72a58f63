"""Do answers depend on the batch? `FlipCheck`: some samples are asked again at batch 1."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

#: How often the check is begun before it is given up.
_TRIES = 2


class FlipCheck:
    """The self-check of one run.

    Attributes:
        done: Whether it is over, or not to be made.
        flips: Answers whose text differed.
        asked: Answers that were compared.
    """

    def __init__(self, run_id: str, selected: Sequence[str], size: int) -> None:
        """Choose the samples; the same ones at every start of the same job.

        Args:
            run_id: Of the run.
            selected: Its samples.
            size: How many to ask again.
        """
        self.flips = 0
        self.asked = 0
        self.chosen = frozenset(sorted(selected, key=lambda name: _order(run_id, name))[:size])
        self.done = not self.chosen
        self._marks: dict[str, str] = {}
        self._tries = 0

    def note(self, sample_id: str, text: str) -> None:
        """A text of the run itself."""
        if sample_id in self.chosen:
            self._marks[sample_id] = mark_of(text)

    def begin(self) -> tuple[str, ...]:
        """The samples to ask again; none where there is nothing to compare, or no hope."""
        if not self.done and (not self._marks or self._tries >= _TRIES):
            self.done = True
        if self.done:
            return ()
        self._tries += 1
        return tuple(sorted(self._marks))

    def compare(self, marks: Mapping[str, str]) -> None:
        """The marks of the texts at batch 1 came."""
        known = {name: mark for name, mark in marks.items() if name in self._marks}
        self.asked = len(known)
        self.flips = sum(mark != self._marks[name] for name, mark in known.items())
        self.done = True

    @property
    def rate(self) -> float | None:
        """Share of the texts that differed."""
        return self.flips / self.asked if self.asked else None


def mark_of(text: str) -> str:
    """What tells a text from others; texts themselves may be too long for a message."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _order(run_id: str, sample_id: str) -> str:
    return hashlib.sha256(f"{run_id}\0{sample_id}".encode("utf-8", "surrogatepass")).hexdigest()
