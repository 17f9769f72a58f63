"""What a store says, for other programs: `export` to CSV, Markdown, JSON or Parquet.

Names and answers are untrusted text. A CSV cell of text that a spreadsheet would take for a formula
gets an apostrophe in front, as does a text that is only a negative number; numbers stay numbers.
Markdown is escaped, so that no text becomes a link, an image or markup.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.errors import UserError
from lens_ray.report.board import reasons, sections
from lens_ray.report.files import check_target, whole_file
from lens_ray.report.safe import visible_line
from lens_ray.store.schema import SCORES

if TYPE_CHECKING:
    from lens_ray.stats.leaderboard import Leaderboard

_TEXT, _NUMBER = pa.string(), pa.float64()
#: Of the records of a leaderboard.
_BOARD = pa.schema(
    [
        *((name, _TEXT) for name in ("model", "run_id", "suite", "access", "backend")),
        *(field for field in SCORES if field.name not in ("model", "run_id", "suite")),
        *((name, pa.int64()) for name in ("rank", "rank_low", "rank_high")),
        ("p_best", _NUMBER),
        ("tied", pa.bool_()),
        ("usd_per_1000", _NUMBER),
        ("cost_basis", _TEXT),
        ("cost_reason", _TEXT),
        ("latency_s", _NUMBER),
    ]
)
FORMATS = ("csv", "markdown", "json", "parquet")
#: What makes a cell a formula, full-width forms and leading spaces included; RE2's spelling.
_FORMULA = r"^(\s*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]|[\t\r\n])"
_MARKUP = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|~#!&$"})
#: Rows that are turned into text at once.
_AT_ONCE = 4096


def export(what: Iterable[pa.Table] | Leaderboard, form: str, out: str | Path) -> Path:
    """Write tables or a leaderboard as a file, whole or not at all.

    Args:
        what: Rows or scores of a store, as tables of one schema that are written one after the
            other (one at least); or a leaderboard: in Markdown as people read it, else one record
            a model and figure.
        form: One of `FORMATS`.
        out: File to write; an older one is replaced.

    Returns:
        The file.

    Raises:
        UserError: There is no such format, or the file cannot be written.
        EnvironmentFailure: The disk is full or fails.
    """
    check_form(form)
    path = Path(out)
    check_target(path)
    with whole_file(path) as file:
        write(what, form, file)
    return path


def check_form(form: str) -> None:
    """Refuse a format that there is not.

    Raises:
        UserError: There is none of this name.
    """
    if form not in FORMATS:
        raise UserError(f"format {form!r}: use one of {', '.join(FORMATS)}")


def write(what: Iterable[pa.Table] | Leaderboard, form: str, file: BinaryIO) -> None:
    """As `export`, into an open file."""
    if form == "markdown":
        parts = _markdown(what) if isinstance(what, Iterable) else _markdown_board(what)
        file.writelines(part.encode() for part in parts)
        return
    if isinstance(what, Iterable):
        tables = what
    else:
        tables = [pa.Table.from_pylist(what.rows(), schema=_BOARD)]
    if form == "json":
        file.writelines(part.encode() for part in _json(tables))
    elif form == "csv":
        import pyarrow.csv

        _stream(map(_as_csv, tables), lambda schema: pyarrow.csv.CSVWriter(file, schema))
    else:
        import pyarrow.parquet

        _stream(
            tables,
            lambda schema: pyarrow.parquet.ParquetWriter(file, schema, compression="zstd"),
        )


def _stream(tables: Iterable[pa.Table], open_writer: Callable[[pa.Schema], Any]) -> None:
    left = iter(tables)
    first = next(left)
    with open_writer(first.schema) as writer:
        for table in chain([first], left):
            writer.write_table(table)


def _as_csv(table: pa.Table) -> pa.Table:
    """Without formulas; NaN and what is null are empty cells."""
    columns = []
    for name in table.column_names:
        column = table[name]
        if pa.types.is_string(column.type):
            column = pc.replace_substring_regex(column, _FORMULA, r"'\1")
        elif pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_finite(column), column, None)
        columns.append(column)
    return pa.Table.from_arrays(columns, names=table.column_names)


def _json(tables: Iterable[pa.Table]) -> Iterator[str]:
    """A list of one object a row, one a line; NaN is null."""
    before = "["
    for record in _records(tables):
        plain = {name: _plain(value) for name, value in record.items()}
        yield f"{before}\n{json.dumps(plain, ensure_ascii=True, allow_nan=False)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _records(tables: Iterable[pa.Table]) -> Iterator[dict[str, object]]:
    for table in tables:
        for batch in table.to_batches(max_chunksize=_AT_ONCE):
            yield from batch.to_pylist()


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, datetime) else value


def _markdown(tables: Iterable[pa.Table]) -> Iterator[str]:
    left = iter(tables)
    first = next(left)
    records = _records(chain([first], left))
    yield from _lines(first.column_names, (list(record.values()) for record in records))


def _markdown_board(board: Leaderboard) -> Iterator[str]:
    """The tables that a terminal shows, with what is to be read below them."""
    between = ""
    for title, columns, below in sections(board):
        heads = [" ".join(part for part in column[:2] if part) for column in columns]
        yield f"{between}{_escaped(title)}\n\n"
        yield from _lines(heads, zip(*(column[2:] for column in columns), strict=True))
        yield "".join(f"\n{_escaped(line)}\n" for line in below)
        between = "\n"
    yield "".join(f"\n- {_escaped(line)}" for line in reasons(board)) + "\n"


def _lines(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield _line(heads)
    yield _line(["---"] * len(heads), escaped=True)
    for row in rows:
        yield _line(row)


def _line(cells: Sequence[object], *, escaped: bool = False) -> str:
    texts = [str(cell) if escaped else _escaped(_cell(cell)) for cell in cells]
    return f"| {' | '.join(texts)} |\n"


def _cell(value: object) -> str:
    plain = _plain(value)
    if plain is None:
        return ""
    return f"{plain:.6g}" if isinstance(plain, float) else str(plain)


def _escaped(text: str) -> str:
    return visible_line(text).translate(_MARKUP)
