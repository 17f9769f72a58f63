"""Tables in files, row by row, in bounded memory where the format allows it: `rows_of`.

Files are untrusted: sizes are capped, text must be UTF-8, and nothing in them is executed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lens_ray.errors import UserError
from lens_ray.store.imports.answers import Place
from lens_ray.store.imports.xlsx import sheet_rows

#: A JSON file is read whole; it may have so many bytes.
MAX_JSON = 2 * 2**30
#: No line, and no cell, may have more bytes or characters.
MAX_LINE = 64 * 2**20
FORMATS: tuple[str, ...] = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx")

Row = tuple[Place, Mapping[str, Any]]


def rows_of(path: Path) -> Iterator[Row]:
    """Every row of a table with its place; the format is that of the file's name.

    Raises:
        UserError: The file is missing, damaged, too large, or of no known format; what is said
            of it names the row.
    """
    check_file(path)
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        return _delimited(path, "\t" if kind == ".tsv" else ",")
    if kind == ".json":
        return _records(path)
    if kind == ".jsonl":
        return json_lines(path)
    if kind == ".parquet":
        return _parquet(path)
    if kind == ".xlsx":
        return _sheet(path)
    raise UserError(f"{path}: no table of {', '.join(FORMATS)}; give one of these")


def check_file(path: Path) -> None:
    """Refuse what is no file, and pickles.

    Raises:
        UserError: It is one of these.
    """
    if path.suffix.lower() in (".pkl", ".pickle"):
        raise UserError(
            f"{path}: a pickle can run any code when it is read, so lens-ray never does; store "
            "the results again as .tsv, .json or .xlsx (VLMEvalKit: PRED_FORMAT=tsv)"
        )
    if not path.is_file():
        found = "a folder" if path.is_dir() else "not there" if not path.exists() else "no file"
        raise UserError(f"{path}: it is {found}; give a file of results")


def column_of(columns: Sequence[str], *names: str) -> str | None:
    """The column of one of these names, upper and lower case alike; the first name wins."""
    by_lower = {column.lower(): column for column in reversed(columns)}
    return next((by_lower[name.lower()] for name in names if name.lower() in by_lower), None)


def need(place: Place, row: Mapping[str, Any], *names: str) -> str:
    """As `column_of`, of a row's columns.

    Raises:
        UserError: It has none of them.
    """
    found = column_of(list(row), *names)
    if found is None:
        have = ", ".join(str(name)[:40] for name in list(row)[:20]) or "none"
        raise place.fault(f"the column {' or '.join(names)} is missing; there are: {have}")
    return found


def json_lines(path: Path) -> Iterator[Row]:
    """The objects of a file of JSON lines; empty lines are passed over.

    Raises:
        UserError: A line holds none, or is too long.
    """
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                place = Place(path, f"line {number}")
                if len(line) > MAX_LINE:
                    raise place.fault(f"it has more than {MAX_LINE >> 20} MB")
                if line.strip():
                    yield place, _object(place, line)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def load_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        UserError: It is too large or no JSON.
    """
    size = path.stat().st_size
    if size > MAX_JSON:
        raise UserError(f"{path}: {size} bytes, more than {MAX_JSON} allowed for JSON")
    try:
        return json.loads(path.read_bytes(), parse_constant=_constant)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except json.JSONDecodeError as error:
        where = Place(path, f"line {error.lineno}")
        raise where.fault(f"no JSON ({error.msg}, character {error.colno})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no UTF-8 text (byte {error.start + 1})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: no JSON that can be read ({type(error).__name__})") from error


def _constant(text: str) -> float | None:
    """NaN is how pandas writes an empty cell."""
    return None if text == "NaN" else float(text)


def _object(place: Place, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise place.fault(f"no JSON ({error.msg}, character {error.colno})") from error
    except UnicodeDecodeError as error:
        raise place.fault(f"no UTF-8 text (byte {error.start + 1})") from error
    except (ValueError, RecursionError) as error:
        raise place.fault(f"no JSON that can be read ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise place.fault(f"a JSON object belongs here, there is {type(value).__name__}")
    return value


def _records(path: Path) -> Iterator[Row]:
    """A list of objects, or an object of columns (lists of one length)."""
    value = load_json(path)
    if isinstance(value, dict) and value and all(isinstance(v, list) for v in value.values()):
        if len({len(column) for column in value.values()}) > 1:
            raise UserError(f"{path}: its columns are of different lengths")
        value = [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
    if not isinstance(value, list):
        raise UserError(f"{path}: a list of rows belongs in it, there is {type(value).__name__}")
    for number, row in enumerate(value, 1):
        place = Place(path, f"row {number}")
        if not isinstance(row, dict):
            raise place.fault(f"a JSON object belongs here, there is {type(row).__name__}")
        yield place, row


def _delimited(path: Path, delimiter: str) -> Iterator[Row]:
    """CSV or TSV with a header; every row must have as many cells."""
    before = csv.field_size_limit()
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header: list[str] = []
            while True:
                line = reader.line_num + 1
                # The limit is the process's, so it is raised only while a row is read.
                csv.field_size_limit(MAX_LINE)
                try:
                    cells = next(reader, None)
                finally:
                    csv.field_size_limit(before)
                if cells is None:
                    break
                place = Place(path, f"line {line}")
                if not header:
                    header = _header(place, cells)
                elif cells and len(cells) != len(header):
                    raise place.fault(f"{len(cells)} cells under a header of {len(header)}")
                elif cells:
                    yield place, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise Place(path, f"line {line}").fault(f"no table ({error})") from error
    except UnicodeDecodeError as error:
        raise Place(path, f"line {line} or later").fault(
            f"no UTF-8 text (byte 0x{error.object[error.start]:02x})"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if not header:
        raise UserError(f"{path}: it is empty; a header and rows belong in it")


def _header(place: Place, cells: Sequence[str]) -> list[str]:
    twice = [name for name in cells if list(cells).count(name) > 1]
    if twice:
        raise place.fault("this name is used for two columns", twice[0])
    return list(cells)


def _parquet(path: Path) -> Iterator[Row]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024, use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    yield Place(path, f"row {number}"), row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        where = f"{path}, after row {number}" if number else str(path)
        raise UserError(f"{where}: damaged, cut off or no Parquet") from error


def _sheet(path: Path) -> Iterator[Row]:
    """The first sheet of a workbook; its first row is the header."""
    header: list[str] = []
    for number, cells in sheet_rows(path):
        place = Place(path, f"row {number}")
        if not header:
            header = _header(place, ["" if cell is None else str(cell) for cell in cells])
            while header and not header[-1]:
                header.pop()
        elif any(cell is not None for cell in cells):
            if any(cell is not None for cell in cells[len(header) :]):
                raise place.fault(f"{len(cells)} cells under a header of {len(header)}")
            short = [*cells, *[None] * len(header)]
            yield place, dict(zip(header, short, strict=False))
    if not header:
        raise UserError(f"{path}: its first sheet is empty; a header and rows belong in it")
