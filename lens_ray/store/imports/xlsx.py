"""The cells of an ``.xlsx`` workbook (ECMA-376), without a spreadsheet library: `sheet_rows`.

A workbook is a ZIP of XML. Both are untrusted: members are capped in size, document type
declarations (entities) are refused, and nothing is unpacked to disk.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from xml.parsers import expat

from lens_ray.errors import UserError

#: No part of a workbook may unpack to more bytes.
MAX_PART = 2 * 2**30
#: Columns beyond the last one that Excel has.
_COLUMNS = 16_384
_CHUNK = 2**20
_MAIN = "xl/worksheets/sheet1.xml"
_CELL = re.compile(r"([A-Z]{1,3})[1-9][0-9]{0,6}")
#: Control characters are written so; a literal underscore before such a code too.
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")

Cell = str | float | int | bool | None


def sheet_rows(path: Path) -> Iterator[tuple[int, list[Cell]]]:
    """The rows of the first sheet with their numbers; an empty cell is None.

    Raises:
        UserError: It is no workbook, damaged, or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            strings: list[str] = []
            if "xl/sharedStrings.xml" in archive.namelist():
                shared = _Strings()
                for _ in _fed(archive, "xl/sharedStrings.xml", shared.open, shared.close, shared):
                    pass
                strings = shared.found
            sheet = _Sheet(strings)
            for _ in _fed(archive, _first_sheet(archive), sheet.open, sheet.close, sheet):
                yield from sheet.take()
            yield from sheet.take()
    except (
        zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, KeyError, OSError,
        NotImplementedError, RuntimeError, ValueError,
    ) as error:  # fmt: skip
        raise UserError(
            f"{path}: no workbook that can be read ({' '.join(str(error).split())[:200]})"
        ) from error


def _first_sheet(archive: zipfile.ZipFile) -> str:
    """The part of the first sheet: the workbook names a relation, and that a part."""
    names: list[str] = []
    targets: dict[str, str] = {}

    def sheets(name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "sheet":
            names.extend(v for k, v in attributes.items() if k.rpartition(":")[2] == "id")

    def relations(name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "Relationship":
            targets[attributes.get("Id", "")] = attributes.get("Target", "")

    for part, opened in (
        ("xl/workbook.xml", sheets),
        ("xl/_rels/workbook.xml.rels", relations),
    ):
        if part not in archive.namelist():
            return _MAIN
        for _ in _fed(archive, part, opened, lambda name: None, None):
            pass
    target = targets.get(names[0], "") if names else ""
    return str(PurePosixPath("xl") / target) if target[:1] not in ("", "/") else target[1:] or _MAIN


class _Text:
    """Collects the character data of the elements that hold text."""

    def __init__(self) -> None:
        self.parts: list[str] | None = None

    def __call__(self, text: str) -> None:
        if self.parts is not None:
            self.parts.append(text)


class _Strings(_Text):
    """``sharedStrings.xml``: one text an ``si``, its runs joined, phonetic hints left out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._item: list[str] = []
        self._hint = 0

    def open(self, name: str, attributes: dict[str, str]) -> None:
        name = _local(name)
        if name == "si":
            self._item = []
        elif name == "rPh":
            self._hint += 1
        elif name == "t" and not self._hint:
            self.parts = []

    def close(self, name: str) -> None:
        name = _local(name)
        if name == "t" and self.parts is not None:
            self._item += self.parts
            self.parts = None
        elif name == "rPh":
            self._hint -= 1
        elif name == "si":
            self.found.append(_plain("".join(self._item)))


class _Sheet(_Text):
    """A worksheet: rows of cells."""

    def __init__(self, strings: list[str]) -> None:
        super().__init__()
        self._strings = strings
        self._done: list[tuple[int, list[Cell]]] = []
        self._number = 0
        self._cells: list[Cell] = []
        self._column = 0
        self._kind = "n"
        self._texts: list[str] = []

    def take(self) -> list[tuple[int, list[Cell]]]:
        """The rows that ended since."""
        done, self._done = self._done, []
        return done

    def open(self, name: str, attributes: dict[str, str]) -> None:
        name = _local(name)
        if name == "row":
            self._number = int(attributes.get("r", self._number + 1))
            self._cells, self._column = [], 0
        elif name == "c":
            self._column = _column(attributes.get("r"), self._column)
            self._kind = attributes.get("t", "n")
            self._texts = []
        elif name in ("v", "t"):
            self.parts = []

    def close(self, name: str) -> None:
        name = _local(name)
        if name in ("v", "t") and self.parts is not None:
            self._texts += self.parts
            self.parts = None
        elif name == "c":
            self._cells += [None] * (self._column - len(self._cells))
            self._cells.append(self._value("".join(self._texts)) if self._texts else None)
            self._column += 1
        elif name == "row":
            self._done.append((self._number, self._cells))

    def _value(self, text: str) -> Cell:
        if self._kind == "s":
            place = int(text)
            if not 0 <= place < len(self._strings):
                raise ValueError(f"row {self._number} names text {place}, which is not there")
            return self._strings[place]
        if self._kind in ("str", "inlineStr", "d"):
            return _plain(text)
        if self._kind == "b":
            return text.strip() == "1"
        if self._kind == "e":
            return None  # an error value, such as #N/A
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"row {self._number}: {text[:20]!r} is no number") from None
        return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _column(reference: str | None, following: int) -> int:
    """Number of a cell's column, from 0."""
    if reference is None:
        return following
    found = _CELL.fullmatch(reference)
    if found is None:
        raise ValueError(f"cell {reference[:20]!r} is none")
    number = 0
    for letter in found[1]:
        number = number * 26 + ord(letter) - 64
    if not following < number <= _COLUMNS:
        raise ValueError(f"cell {reference[:20]!r} is out of order")
    return number - 1


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _fed(
    archive: zipfile.ZipFile,
    part: str,
    opened: Callable[[str, dict[str, str]], None],
    closed: Callable[[str], None],
    text: Callable[[str], None] | None,
) -> Iterator[None]:
    """Put a part of the archive through a parser, a chunk at a time."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = opened
    parser.EndElementHandler = closed
    if text is not None:
        parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _no_doctype
    size = 0
    with archive.open(part) as stream:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > MAX_PART:
                raise ValueError(f"{part} unpacks to more than {MAX_PART} bytes")
            parser.Parse(chunk, False)
            yield
        parser.Parse(b"", True)


def _no_doctype(*_: Any) -> None:
    raise ValueError("it declares a document type")
