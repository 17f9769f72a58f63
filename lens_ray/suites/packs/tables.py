"""Rows of a CSV, JSONL or Parquet file, each with its place: `read_rows`."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lens_ray.errors import SuiteError

SUFFIXES: tuple[str, ...] = (".csv", ".jsonl", ".parquet")
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row.

    Attributes:
        number: Of the row, from 1.
        place: File and line, as an error names it.
        cells: Column name to value.
    """

    number: int
    place: str
    cells: Mapping[str, object]


def read_rows(file: Path) -> Iterator[TableRow]:
    """The rows of a file, one at a time.

    Raises:
        SuiteError: There is none, it is of another kind, or a line of it is damaged.
    """
    if file.suffix.lower() not in SUFFIXES:
        raise SuiteError(f"{file}: is no CSV, JSONL or Parquet file; name one of {SUFFIXES}")
    if not file.is_file():
        raise SuiteError(f"{file}: there is no such file; check data: in the pack")
    readers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    try:
        yield from readers[file.suffix.lower()](file)
    except UnicodeDecodeError as error:
        raise SuiteError(f"{file}: is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise SuiteError(f"{file}: cannot be read ({error.strerror or error})") from error


def _csv(file: Path) -> Iterator[TableRow]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        head = stream.readline()
        if "\0" in head:
            raise SuiteError(f"{file}:1: a NUL character; save it as CSV in UTF-8")
        delimiter = max(_DELIMITERS, key=head.count)
        try:
            names = next(csv.reader([head], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise SuiteError(f"{file}:1: not valid CSV ({error})") from error
        columns = [name.strip() for name in names]
        _check_columns(file, columns)
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        number = 0
        try:
            for cells in reader:
                if not cells:
                    continue
                number += 1
                place = f"{file}:{reader.line_num + 1}"
                if len(cells) != len(columns):
                    raise SuiteError(
                        f"{place}: {len(cells)} cells where the head has {len(columns)} columns; "
                        "put texts with a separator in quotes"
                    )
                yield TableRow(number, place, dict(zip(columns, cells, strict=True)))
        except csv.Error as error:
            raise SuiteError(f"{file}:{reader.line_num + 1}: not valid CSV ({error})") from error


def _check_columns(file: Path, columns: list[str]) -> None:
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if not any(columns):
        raise SuiteError(f"{file}:1: no column names; the first line names the columns")
    if twice:
        raise SuiteError(f"{file}:1: two columns are called {twice[0]!r}; rename one")


def _jsonl(file: Path) -> Iterator[TableRow]:
    number = 0
    with file.open("rb") as stream:
        for line, raw in enumerate(io.BufferedReader(stream), 1):
            if not raw.strip():
                continue
            number += 1
            place = f"{file}:{line}"
            try:
                cells = json.loads(raw.decode("utf-8-sig"))
            except UnicodeDecodeError:
                raise
            except (ValueError, RecursionError) as error:
                raise SuiteError(f"{place}: not JSON ({error}); write one object a line") from error
            if not isinstance(cells, dict):
                raise SuiteError(f"{place}: is no JSON object; write one object a line")
            yield TableRow(number, place, cells)


def _parquet(file: Path) -> Iterator[TableRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=64):
                for cells in batch.to_pylist():
                    number += 1
                    yield TableRow(number, f"{file} row {number}", cells)
    except (pa.ArrowException, OSError) as error:
        raise SuiteError(f"{file}: is damaged or cut off; write it again") from error
