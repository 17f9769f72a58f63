"""The adaptive stop of one run: `Stopping`, a pure state machine beside the ledger.

Each ability's samples are asked in blocks of random order (`lens_ray.stats.stopping`). Once all of
a block and of those before it have ended, their answers are looked at. Where the interval is narrow
enough, the ability is decided: the blocks that were begun meanwhile are finished, the others are
left out. Which samples decide it depends neither on the speed of answers nor on a restart; how
many blocks were begun meanwhile does.

A sample that has a row is never left out, whatever made it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from lens_ray.engine.messages import Row
from lens_ray.job import Until
from lens_ray.stats.expectation import group_sizes
from lens_ray.stats.stopping import Precision, blocks_of, look_at
from lens_ray.stats.units import COLUMNS, FINAL, marked_units
from lens_ray.store import RunLog
from lens_ray.store.schema import ROWS
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite


@dataclass(slots=True)
class _Course:
    """One ability.

    Attributes:
        blocks: Its samples in their order.
        left: How many of each block have not ended.
        looked: Leading blocks that were looked at.
        released: Leading blocks that may be asked.
        stop: Leading blocks at which the interval was narrow enough.
        kept: Leading blocks that are asked, once that is decided.
        seen: What the last look saw.
    """

    blocks: list[tuple[str, ...]]
    left: list[int]
    looked: int = 0
    released: int = 1
    stop: int | None = None
    kept: int | None = None
    seen: Precision | None = None
    rows: dict[str, Row] = field(default_factory=dict)


class Stopping:
    """Which samples of a run are asked."""

    def __init__(
        self,
        samples: Sequence[Sample],
        suite: Suite,
        until: Until,
        stored: Iterable[str] = (),
    ) -> None:
        """Nothing has ended yet.

        Args:
            samples: That the job asks for, at most.
            suite: Whose they are.
            until: When an ability has been asked enough.
            stored: Samples that have a row already, final or not.
        """
        self._stored = frozenset(stored)
        self._until = until
        self._weights = suite.weights
        self._sizes = group_sizes(samples)
        self._block: dict[str, int] = {}
        self._ability: dict[str, str] = {}
        self._ended: set[str] = set()
        self._courses: dict[str, _Course] = {}
        by_ability: dict[str, list[Sample]] = defaultdict(list)
        for sample in samples:
            by_ability[sample.ability].append(sample)
        for ability, members in by_ability.items():
            blocks = blocks_of(members, until.min_samples, suite.digest)
            self._courses[ability] = _Course(blocks, [len(block) for block in blocks])
            for number, block in enumerate(blocks):
                self._block.update(dict.fromkeys(block, number))
            self._ability.update((sample.sample_id, ability) for sample in members)

    @property
    def held_back(self) -> Mapping[str, int]:
        """The samples that wait for their turn at the start, with the number of their block."""
        return {name: number for name, number in self._block.items() if name not in self._stored}

    @property
    def abilities(self) -> list[str]:
        """All of them."""
        return list(self._courses)

    @property
    def first(self) -> list[str]:
        """The samples that are asked in any case."""
        return [name for course in self._courses.values() for name in course.blocks[0]]

    def resume(self, log: RunLog) -> None:
        """Take in what was answered before."""
        if log.state.done:
            for row in log.rows(COLUMNS).to_pylist():
                if row["status"] in FINAL:
                    self.note(row)

    def note(self, row: Row) -> None:
        """A sample has ended."""
        name = str(row["sample_id"])
        if name in self._ended or name not in self._block:
            return
        self._ended.add(name)
        course = self._courses[self._ability[name]]
        course.left[self._block[name]] -= 1
        if row["status"] in FINAL:
            course.rows[name] = {column: row[column] for column in COLUMNS}

    def look(self, begun: Callable[[str], bool]) -> list[str]:
        """Look at the blocks that have ended since.

        Args:
            begun: Whether a sample was handed out.

        Returns:
            The abilities of which more may be asked, or some be left out.
        """
        return [name for name, course in self._courses.items() if self._moves(name, course, begun)]

    def ahead(self) -> list[str]:
        """Let one more block be asked of each ability, before its look.

        Returns:
            The abilities that have one.
        """
        moved = []
        for name, course in self._courses.items():
            if course.stop is None and course.released < len(course.blocks):
                course.released += 1
                moved.append(name)
        return moved

    def size(self, ability: str) -> int:
        """All of its samples."""
        return sum(map(len, self._courses[ability].blocks))

    def released(self, ability: str) -> list[str]:
        """The samples that may be asked."""
        course = self._courses[ability]
        return [name for block in course.blocks[: course.released] for name in block]

    def left_out(self, ability: str) -> list[str]:
        """The samples that are not to be asked, once that is decided."""
        course = self._courses[ability]
        blocks = () if course.kept is None else course.blocks[course.kept :]
        has_row = self._ended | self._stored
        return [name for block in blocks for name in block if name not in has_row]

    @property
    def kept(self) -> list[str]:
        """All samples but those that are left out."""
        out = {name for ability in self._courses for name in self.left_out(ability)}
        return [name for name in self._block if name not in out]

    def facts(self) -> dict[str, object]:
        """What is kept with the commit."""
        abilities = {
            name: {
                "asked": self.size(name) - len(self.left_out(name)),
                "of": self.size(name),
                "low": course.seen.low if course.seen else None,
                "high": course.seen.high if course.seen else None,
                "half_width": course.seen.half_width if course.seen else None,
                "reached": course.stop is not None,
            }
            for name, course in self._courses.items()
        }
        return {**self._until.model_dump(), "abilities": abilities}

    def _moves(self, ability: str, course: _Course, begun: Callable[[str], bool]) -> bool:
        moved = False
        while course.stop is None and course.looked < len(course.blocks):
            if course.left[course.looked]:
                break
            course.looked += 1
            self._look_at(ability, course)
            moved = True
        if moved and course.stop is not None:
            touched = [
                number + 1
                for number, block in enumerate(course.blocks[: course.released])
                if any(begun(name) for name in block)
            ]
            course.kept = max([course.stop, *touched])
        return moved

    def _look_at(self, ability: str, course: _Course) -> None:
        names = [name for block in course.blocks[: course.looked] for name in block]
        rows = [course.rows[name] for name in names if name in course.rows]
        aim, seen = self._until.halfwidth, None
        if rows:
            seen = look_at(
                marked_units(pa.Table.from_pylist(rows, schema=_SCHEMA), self._sizes),
                self._weights[ability],
                level=self._until.level,
                enough=aim,
            )
        course.seen = seen
        if seen is not None and seen.half_width <= aim:
            course.stop = course.looked
            return
        course.released = max(course.released, course.looked + 1)
        if seen is not None:
            wanted = len(names) * (seen.half_width / aim) ** 2
            while course.released < len(course.blocks):
                size = sum(map(len, course.blocks[: course.released + 1]))
                if size > wanted:
                    break
                course.released += 1


_SCHEMA = pa.schema([ROWS.field(name) for name in COLUMNS])
