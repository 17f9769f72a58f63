"""The first pass over a data set: rows become drafts, what is not as published is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from lens_ray.errors import SuiteError
from lens_ray.suites.readers.table import Table, check_columns
from lens_ray.suites.sources.base import Draft, Kind, Row, Selection, Source
from lens_ray.suites.sources.options import Options

#: So many values of a category column are remembered for an error line.
_REMEMBERED = 200
#: How sources name a place; rows count from 0 there.
_FAULT = re.compile(r"\w+: row (\d+): column ([^:]+): (.*)", re.DOTALL)
_OTHER = re.compile(r"of row (\d+) too")

Say = Callable[[str], None]


def make_drafts(
    source: Source, table: Table, options: Options, abilities: Sequence[str], say: Say
) -> tuple[Sequence[Draft], int]:
    """The drafts of a source that stay, and how many rows were read.

    Raises:
        SuiteError: A column is missing or of another kind, a row cannot be asked, a category is
            not known, an ability gets no row, or two samples have one id.
    """
    kinds = _kinds(source, table)
    taken = {name: one for name, one in source.taken(options).items() if name in abilities}
    values = _Values(source, table, taken)
    drafts: list[Draft] = []
    number = -1
    for number, row in enumerate(table.rows(kinds)):
        full = row if len(kinds) == len(source.columns) else _with_absent(source, row)
        values.see(number, full)
        for ability, selection in taken.items():
            if selection.keeps(full):
                drafts += _asked(source, table, full, number, ability, options)
    rows = number + 1
    is_lite = source.place(options) is source.lite
    values.check(rows, say if is_lite else None)
    settled = _settled(source, table, drafts, options)
    _check_ids(table, settled)
    for ability in taken:
        if not is_lite and not any(draft.sample.ability == ability for draft in settled):
            raise SuiteError(
                f"{_file(table)}: no row is left of {source.name} for {ability}; is it complete?"
            )
    if not settled:
        raise SuiteError(f"{_file(table)}: no row of it is a sample of {source.name}")
    return settled, rows


def _kinds(source: Source, table: Table) -> dict[str, Kind]:
    """The text columns that are there; the images are only looked for."""
    needed = [name for name in source.columns if name not in source.optional]
    check_columns(table.columns, needed, _file(table))
    return {
        name: kind
        for name, kind in source.columns.items()
        if kind not in ("image", "images") and name in table.columns
    }


def _with_absent(source: Source, row: Row) -> Row:
    absent: dict[str, object] = {
        name: None
        for name, kind in source.columns.items()
        if kind not in ("image", "images") and name not in row
    }
    return {**row, **absent}


def _file(table: Table) -> str:
    return table.place(0).partition(", row ")[0]


def _asked(
    source: Source, table: Table, row: Row, number: int, ability: str, options: Options
) -> list[Draft]:
    try:
        return list(source.ask(row, number, ability, options))
    except SuiteError as error:
        raise _placed(table, error) from error


def _settled(
    source: Source, table: Table, drafts: Sequence[Draft], options: Options
) -> Sequence[Draft]:
    try:
        return source.settle(drafts, options)
    except SuiteError as error:
        raise _placed(table, error) from error


def _placed(table: Table, error: SuiteError) -> SuiteError:
    """An error of a source's, which knows the number of a row, with the file that it lies in."""
    match = _FAULT.fullmatch(str(error))
    if match is None:
        return SuiteError(f"{_file(table)}: {error}")
    row, column, what = match.groups()
    what = _OTHER.sub(lambda other: f"of row {int(other[1]) + 1} too", what)
    return SuiteError(f"{table.place(int(row), column)}: {what}")


def _check_ids(table: Table, drafts: Sequence[Draft]) -> None:
    first: dict[str, int] = {}
    for draft in drafts:
        name = draft.sample.sample_id
        if name in first:
            raise SuiteError(
                f"{table.place(draft.row)}: its id {name!r} is that of row {first[name] + 1} too"
            )
        first[name] = draft.row


class _Values:
    """What the category columns hold, beside what the abilities take."""

    def __init__(self, source: Source, table: Table, taken: Mapping[str, Selection]) -> None:
        self._table = table
        self._taken = taken
        self._source = source
        self._found: dict[str, dict[object, int]] = {
            selection.column: {} for selection in taken.values() if selection.column is not None
        }
        self._all = [one for one in source.abilities.values() if one.column is not None]

    def see(self, number: int, row: Row) -> None:
        """Remember the first row of each value; refuse what is nearly a known one."""
        for column, found in self._found.items():
            value = row[column]
            if value in found:
                continue
            known = [one for all_ in self._all if all_.column == column for one in all_.values]
            near = [one for one in known if value not in known and _folded(one) == _folded(value)]
            if near:
                raise SuiteError(
                    f"{self._table.place(number, column)}: {value!r} is not known; "
                    f"the nearest is {near[0]!r}"
                )
            if len(found) < _REMEMBERED or value in known:
                found[value] = number

    def check(self, rows: int, say: Say | None) -> None:
        """Every ability gets a row.

        Args:
            rows: How many there were.
            say: Takes the line where that is no error.
        """
        for ability, selection in self._taken.items():
            column = selection.column
            if column is None:
                continue
            found = self._found[column]
            if any(value in found for value in selection.values):
                continue
            wanted = " or ".join(repr(value) for value in selection.values)
            texts = sorted(str(value) for value in found)
            near = get_close_matches(str(selection.values[0]), texts, 1, 0.0)
            hint = f"; the nearest of its {len(texts)} values is {near[0]!r}" if near else ""
            line = (
                f"{_file(self._table)}, column {column!r}: none of {rows} rows has {wanted}, "
                f"which {self._source.name} gives to {ability}{hint}"
            )
            if say is None:
                raise SuiteError(line)
            say(f"note: {line}")


def _folded(value: object) -> str:
    """A value without case, spaces and marks."""
    return re.sub(r"[\W_]", "", str(value).casefold())
