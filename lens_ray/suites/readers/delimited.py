"""People's own tables: CSV, tab separated text and JSON lines: `TextTable`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lens_ray.errors import SuiteError
from lens_ray.suites.readers.columnar import digest_of, identity_of
from lens_ray.suites.readers.shelves import Shelf
from lens_ray.suites.readers.table import as_kind, check_columns, place_of
from lens_ray.suites.readers.tsv import MAX_CELL, Records, decoded, texts_of
from lens_ray.suites.sources.base import Kind, Row

#: A longer cell of an image column is base64 and no name of a file.
_NAME = 1024


class TextTable:
    """A table of text cells whose images are named by path or held as base64."""

    def __init__(self, file: Path, *, shelf: Shelf | None = None) -> None:
        """Read its columns.

        Args:
            file: ``.jsonl`` holds an object a line; ``.tsv`` is tab separated; else commas.
            shelf: Where its images lie.

        Raises:
            SuiteError: It is empty or damaged.
        """
        self._file = file
        self._shelf = shelf
        self._is_json = file.suffix in (".jsonl", ".ndjson")
        if self._is_json:
            self.columns = _names(file)
        else:
            self._records = Records(file, "\t" if file.suffix == ".tsv" else ",")
            self.columns = self._records.header

    def identity(self) -> str:
        """See `Table`."""
        return identity_of([self._file])

    def revision(self) -> str:
        """See `Table`."""
        return digest_of([self._file])

    def rows(self, kinds: Mapping[str, Kind]) -> Iterator[Row]:
        """See `Table`; an empty cell of a CSV is None."""
        check_columns(self.columns, list(kinds), str(self._file))
        for number, cells in enumerate(self._cells()):
            yield {
                name: as_kind(cells.get(name), kind, self._here(number, name))
                for name, kind in kinds.items()
            }

    def pictures(
        self, wanted: Mapping[int, Sequence[str]]
    ) -> Iterator[tuple[int, Mapping[str, list[bytes]]]]:
        """See `Table`."""
        for number, cells in enumerate(self._cells()):
            if number in wanted:
                yield (
                    number,
                    {name: self._encoded(cells.get(name), number, name) for name in wanted[number]},
                )

    def place(self, row: int, column: str | None = None) -> str:
        """See `Table`."""
        return place_of(self._file, row, column)

    def _cells(self) -> Iterator[Mapping[str, object]]:
        if self._is_json:
            for _, value in _objects(self._file):
                yield value
            return
        for values in self._records:
            yield {name: value or None for name, value in zip(self.columns, values, strict=True)}

    def _here(self, row: int, column: str) -> Callable[[], str]:
        return lambda: self.place(row, column)

    def _encoded(self, value: object, row: int, column: str) -> list[bytes]:
        where = self.place(row, column)
        if isinstance(value, list):
            return [data for one in value for data in self._encoded(one, row, column)]
        if not isinstance(value, str) or not value.strip():
            raise SuiteError(f"{where}: there is no image")
        found = []
        for text in texts_of(value.strip(), where):
            if text.startswith("data:") or len(text) > _NAME:
                found.append(decoded(text, where))
            elif self._shelf is None:
                raise SuiteError(
                    f"{where}: names the image {text[:60]!r}; say where it is with --images FOLDER"
                )
            else:
                found.append(self._shelf.read(text, where))
        return found


def _names(file: Path) -> tuple[str, ...]:
    """Every key of every object, in order of first appearance."""
    names: dict[str, None] = {}
    for _, value in _objects(file):
        names.update(dict.fromkeys(value))
    if not names:
        raise SuiteError(f"{file}: is empty; give an object a line")
    return tuple(names)


def _objects(file: Path) -> Iterator[tuple[int, dict[str, object]]]:
    try:
        with file.open("rb") as stream:
            row = 0
            while line := stream.readline(MAX_CELL + 1):
                if len(line) > MAX_CELL:
                    raise SuiteError(f"{place_of(file, row)}: is longer than {MAX_CELL} bytes")
                if line.strip():
                    yield row, _object(line, place_of(file, row))
                    row += 1
    except OSError as error:
        raise SuiteError(f"{file}: cannot be read ({error.strerror})") from error


def _object(line: bytes, where: str) -> dict[str, object]:
    try:
        value = json.loads(line)
    except UnicodeDecodeError as error:
        raise SuiteError(f"{where}: is not UTF-8 ({error.reason})") from error
    except (ValueError, RecursionError) as error:
        raise SuiteError(f"{where}: is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise SuiteError(f"{where}: is {type(value).__name__}, not an object")
    return value
