"""VLMEvalKit's tables (``.tsv``) and the records of any separated text file, in bounded memory.

Images are base64 in a column, a list literal of them, or the ``index`` of the row that holds the
image. The file is read once for its text, keeping only who refers to whom, and once more for the
images that are wanted.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from lens_ray.errors import SuiteError
from lens_ray.suites.readers.columnar import identity_of
from lens_ray.suites.readers.shelves import Shelf
from lens_ray.suites.readers.table import as_kind, check_columns, list_literal, place_of
from lens_ray.suites.sources.base import Kind, Row

#: A longer cell is no reference to another row (VLMEvalKit's rule).
REFERENCE = 64
#: Neither a cell (characters) nor a line (bytes) may be longer: a lost quote would else read the
#: rest of a file as one, and Python's reader takes four bytes a character of a cell.
MAX_CELL, MAX_LINE = 64 * 2**20, 128 * 2**20
_OPTION = re.compile(r"[A-Z]")
_MARK = "﻿"
#: Columns without which a table is none of VLMEvalKit's.
NEEDED = ("index", "question")


class Records:
    """The records of a separated text file, one at a time, its faults named by row."""

    def __init__(self, file: Path, delimiter: str) -> None:
        """Read the header.

        Raises:
            SuiteError: There is none, or a name stands in it twice.
        """
        self.file = file
        self._delimiter = delimiter
        self.header = self._header()

    def _header(self) -> tuple[str, ...]:
        for values in self._raw():
            names = [value.strip() for value in values]
            names[0] = names[0].removeprefix(_MARK)
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise SuiteError(f"{self.file}: the column {twice[0]!r} stands twice in its header")
            return tuple(names)
        raise SuiteError(f"{self.file}: is empty; its first line must name the columns")

    def __iter__(self) -> Iterator[list[str]]:
        raw = self._raw()
        next(raw, None)
        width = len(self.header)
        for row, values in enumerate(raw):
            if len(values) != width:
                raise SuiteError(
                    f"{place_of(self.file, row)}: has {len(values)} fields, the header {width}"
                )
            yield values

    def _raw(self) -> Iterator[list[str]]:
        row = -1  # the header
        before = csv.field_size_limit(MAX_CELL)
        try:
            with self.file.open("rb") as stream:
                lines = _Lines(stream)
                for values in csv.reader(lines, delimiter=self._delimiter, strict=True):
                    if not values:
                        continue  # an empty line
                    if lines.is_mixed():
                        raise ValueError(
                            f"ends its line with {lines.last!r}, the rows before with "
                            f"{lines.first!r} (mixed line ends); save it with one kind"
                        )
                    yield values
                    row += 1
        except FileNotFoundError as error:
            raise SuiteError(f"{self.file}: there is no such file") from error
        except OSError as error:
            raise SuiteError(f"{self.file}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise SuiteError(
                f"{self._at(row)}: is not UTF-8 ({error.reason}); save it as UTF-8"
            ) from error
        except csv.Error as error:
            raise SuiteError(
                f"{self._at(row)}: cannot be read ({error}); is a quote missing, or the file's end?"
            ) from error
        except ValueError as error:
            raise SuiteError(f"{self._at(row)}: {error}") from error
        finally:
            csv.field_size_limit(before)

    def _at(self, row: int) -> str:
        return place_of(self.file, row) if row >= 0 else f"{self.file}, its header"


class _Lines:
    """Lines of a file, with how they end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.first = ""
        self.last = ""

    def __iter__(self) -> Iterator[str]:
        while line := self._stream.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise ValueError(f"has a line of more than {MAX_LINE} bytes")
            text = line.decode()
            self.last = text[-2:] if text.endswith("\r\n") else text[-1:]
            yield text

    def is_mixed(self) -> bool:
        """Whether the record that just ended ends otherwise than the first one."""
        if self.last not in ("\n", "\r\n"):
            return False  # the end of the file
        self.first = self.first or self.last
        return self.last != self.first


def unified(name: str) -> str:
    """A column's name as this program calls it; single letters, the options, keep their case."""
    if _OPTION.fullmatch(name):
        return name
    return (
        name.lower().replace("_", "-")
        if name.lower() in ("l2-category", "l2_category")
        else (name if len(name) == 1 else name.lower())
    )


def is_vlmevalkit(header: Sequence[str]) -> bool:
    """Whether a header is one of VLMEvalKit's: index, question and an image."""
    names = {unified(name) for name in header}
    return {*NEEDED} <= names and bool({"image", "image_path"} & names)


class TsvTable:
    """A table of VLMEvalKit's."""

    def __init__(self, file: Path, *, shelf: Shelf | None = None) -> None:
        """Read the header and, in one pass, who refers to whom.

        Args:
            file: The table.
            shelf: Where the images of ``image_path`` lie.

        Raises:
            SuiteError: It lacks index, question or image, two rows have one index, a reference
                leads nowhere, or the file is damaged.
        """
        self._records = Records(file, "\t")
        self._file = file
        self._shelf = shelf
        names = [unified(name) for name in self._records.header]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise SuiteError(f"{file}: the column {twice[0]!r} stands twice in its header")
        self.columns = tuple(names)
        check_columns(names, NEEDED, str(file))
        if "image" not in names and "image_path" not in names:
            check_columns(names, ("image",), str(file))
        #: Rows whose image another row holds.
        self._holders: dict[int, int] = {}
        self.length = 0
        self._look()

    def _look(self) -> None:
        at = self.columns.index("index")
        image = self.columns.index("image") if "image" in self.columns else None
        rows: dict[str, int] = {}
        refers: dict[int, str] = {}
        for row, values in enumerate(self._records):
            index = values[at].strip()
            if not index:
                raise SuiteError(f"{self.place(row, 'index')}: is empty")
            if index in rows:
                raise SuiteError(
                    f"{self.place(row, 'index')}: {index[:40]!r} is that of row "
                    f"{rows[index] + 1} too"
                )
            rows[index] = row
            if image is not None and 0 < len(values[image].strip()) <= REFERENCE:
                refers[row] = values[image].strip()
            self.length = row + 1
        for row, name in refers.items():
            holder = rows.get(name)
            if holder is None or holder == row:
                raise SuiteError(
                    f"{self.place(row, 'image')}: {name!r} is no image and no other row's index"
                )
            if holder in refers:
                raise SuiteError(
                    f"{self.place(row, 'image')}: refers to row {holder + 1}, "
                    "which refers to another row itself"
                )
            self._holders[row] = holder

    def identity(self) -> str:
        """See `Table`."""
        return identity_of([self._file])

    def revision(self) -> str:
        """The file's MD5, which is what VLMEvalKit publishes of it."""
        with self._file.open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
        return f"md5:{digest.hexdigest()}"

    def rows(self, kinds: Mapping[str, Kind]) -> Iterator[Row]:
        """See `Table`; an empty cell is None."""
        check_columns(self.columns, list(kinds), str(self._file))
        at = {name: self.columns.index(name) for name in kinds}
        for row, values in enumerate(self._records):
            yield {
                name: as_kind(values[at[name]] or None, kind, self._here(row, name))
                for name, kind in kinds.items()
            }

    def pictures(
        self, wanted: Mapping[int, Sequence[str]]
    ) -> Iterator[tuple[int, Mapping[str, list[bytes]]]]:
        """See `Table`; whatever the columns are called, it is the image of the row."""
        asked: dict[int, list[int]] = {}
        for row in wanted:
            asked.setdefault(self._holders.get(row, row), []).append(row)
        for row, values in enumerate(self._records):
            if row in asked:
                found = self._encoded(row, dict(zip(self.columns, values, strict=True)))
                for one in asked[row]:
                    yield one, dict.fromkeys(wanted[one], found)

    def place(self, row: int, column: str | None = None) -> str:
        """See `Table`."""
        return place_of(self._file, row, column)

    def _here(self, row: int, column: str) -> Callable[[], str]:
        return lambda: self.place(row, column)

    def _encoded(self, row: int, cells: Mapping[str, str]) -> list[bytes]:
        cell = cells.get("image", "").strip()
        if cell:
            where = self.place(row, "image")
            return [decoded(text, where) for text in texts_of(cell, where)]
        where = self.place(row, "image_path")
        path = cells.get("image_path", "").strip()
        if not path:
            raise SuiteError(f"{self.place(row, 'image')}: there is no image")
        if self._shelf is None:
            raise SuiteError(
                f"{where}: names the image {path[:60]!r}, and the table holds no bytes of it; "
                "give --images FOLDER"
            )
        return [self._shelf.read(name, where) for name in texts_of(path, where)]


def texts_of(cell: str, where: str) -> tuple[str, ...]:
    """The texts of a cell that is a list literal, or the cell itself.

    Raises:
        SuiteError: It begins as a list literal and is none, or an empty one.
    """
    if not cell.startswith("["):
        return (cell,)
    try:
        found = list_literal(cell)
    except ValueError as error:
        raise SuiteError(f"{where}: {error}") from error
    if not found:
        raise SuiteError(f"{where}: is an empty list")
    return found


def decoded(text: str, where: str) -> bytes:
    """The bytes of a base64 text, with or without the head of a data URL.

    Raises:
        SuiteError: It is none.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SuiteError(f"{where}: is not base64 ({error}): {text[:24]!r}...") from error
