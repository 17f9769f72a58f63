"""What a public benchmark is to a suite: `Source`, and the `Draft` of a sample that a row becomes.

A build reads each data set twice: first without its images, when `Source.ask` makes drafts of the
rows that an ability keeps and `Source.settle` sees all of them together; then the images of those
that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.options import LITE, Options

__all__ = ["LITE", "Draft", "Kind", "Options", "Place", "Row", "Selection", "Source"]

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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a data set lies on the hub.

    Attributes:
        hub: Its ids, the present owner first; older owners hold the same rows.
        config: Its configuration there, or None.
        split: The split that is asked.
        revision: The commit to read; None where none could be checked when this was written, and
            then a build takes the owner's newest and records it.
    """

    hub: tuple[str, ...]
    config: str | None
    split: str
    revision: str | None = None


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
        revision: See `Place.revision`.
        lite: Where its 500-row subset lies, for the sources of `LITE`.
        optional: Those of ``columns`` that some published versions lack; the value is None there.
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
    revision: str | None = None
    lite: Place | None = None
    optional: frozenset[str] = field(default_factory=frozenset)

    def place(self, options: Options) -> Place:
        """Where these options read it."""
        if self.lite is not None and self.name in options.lite:
            return self.lite
        return Place(self.hub, self.config, self.split, self.revision)

    def taken(self, options: Options) -> Mapping[str, Selection]:
        """Which rows each ability takes under these options; empty where the source is left out."""
        return {
            ability: selection
            for ability, selection in self.abilities.items()
            if options.takes(self.name, ability)
        }
