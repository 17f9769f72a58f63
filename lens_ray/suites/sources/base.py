"""What a public benchmark is to a suite: `Source`, and the `Draft` of a sample that a row becomes.

A build reads each data set twice: first without its images, when `Source.ask` makes drafts of the
rows that an ability keeps and `Source.settle` sees all of them together; then the images of those
that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lens_ray.suites.sample import Sample

#: One row of a data set: published column name to value, image columns left out.
Row = Mapping[str, object]
#: What a column holds: ``image`` is one image, ``images`` a list of them, ``strings`` a list.
Kind = Literal["string", "integer", "strings", "image", "images"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows an ability takes: those whose column has one of these values, exactly.

    Attributes:
        column: Name of the column; None takes every row.
        values: Kept values.
    """

    column: str | None = None
    values: tuple[object, ...] = ()

    def keeps(self, row: Row) -> bool:
        """Whether the ability takes this row."""
        return self.column is None or row[self.column] in self.values


@dataclass(frozen=True, slots=True)
class Draft:
    """A sample whose images are not read yet.

    Attributes:
        sample: All of it but ``images`` and ``split``.
        row: Number of the row in the data set, from 0.
        image_columns: Columns that hold its images, in order.
    """

    sample: Sample
    row: int
    image_columns: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A public benchmark.

    Attributes:
        name: As in `Sample.source`.
        hub: Ids of the data set on the hub, the present owner first.
        config: Its configuration there, or None.
        split: The split that is asked.
        licence: SPDX id or a short text.
        columns: Published columns that are read, with what they hold.
        abilities: Which rows each ability takes.
        ask: Makes the drafts of one row (its number given) for one ability.
        settle: Sees all drafts of the source in the order of the data set, and returns those that
            stay: complete groups, the first half, ...
        prompts: Template name to renderer, for wordings of its own.
    """

    name: str
    hub: tuple[str, ...]
    config: str | None
    split: str
    licence: str
    columns: Mapping[str, Kind]
    abilities: Mapping[str, Selection]
    ask: Callable[[Row, int, str, Options], Iterable[Draft]]
    settle: Callable[[Sequence[Draft], Options], Sequence[Draft]]
    prompts: Mapping[str, Callable[[Sample], str]]


@dataclass(frozen=True, slots=True)
class Options:
    """Every open switch of the reference (``abilitylens.md`` 1.6) that a build decides.

    Attributes:
        faithful: Whether samples carry the publisher's own marking (metrics named after their
            source) and not lens-ray's extraction.
        first_half: Whether SEED-Bench is cut to the first half of its kept rows.
        complete_groups: Whether incomplete rotations, pairs and triples are left out.
    """

    faithful: bool = False
    first_half: bool = False
    complete_groups: bool = True
