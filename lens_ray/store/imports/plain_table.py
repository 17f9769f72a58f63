"""Any table of sample id and answer: a human inspector, or the machine that looks today.

CSV, TSV, JSON, JSON lines, Parquet or a workbook with the columns ``sample_id`` and ``answer`` (or
those named). Null, and an empty cell of a workbook, is no answer; an empty text is an empty answer.
The columns of `Facts` are read where they are there; all others are left alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lens_ray.store.imports.answers import Answer, AnswerFile, Evidence, Facts, Place, answer
from lens_ray.store.imports.tables import check_file, column_of, need, rows_of

ID, ANSWER = "sample_id", "answer"
_REASONS = ("stop", "length", "content_filter")
_WHOLE = ("tokens_in", "tokens_out")


def files_of(path: Path) -> list[AnswerFile]:
    """The table that a path names.

    Raises:
        UserError: It is no file.
    """
    check_file(path)
    return [AnswerFile(path)]


def read(file: AnswerFile, id_column: str = ID, answer_column: str = ANSWER) -> Iterator[Answer]:
    """The answers of a table.

    Args:
        file: The table.
        id_column: Where the sample ids stand.
        answer_column: Where the answers stand.

    Raises:
        UserError: A row is damaged, or a column is missing; the place is named.
    """
    for place, row in rows_of(file.path):
        sample_id = row[need(place, row, id_column)]
        if isinstance(sample_id, bool) or not isinstance(sample_id, str | int) or sample_id == "":
            raise place.fault(f"an id belongs here, not {sample_id!r}", id_column)
        text = row[need(place, row, answer_column)]
        if isinstance(text, bool):
            text = "yes" if text else "no"
        elif isinstance(text, int | float):
            text = None if isinstance(text, float) and math.isnan(text) else f"{text:.15g}"
        elif text is not None and not isinstance(text, str):
            raise place.fault(f"a text belongs here, not {type(text).__name__}", answer_column)
        lacks = "the table holds no answer to it"
        yield answer(place, Evidence(sample_id=str(sample_id)), text, _facts(place, row), lacks)


def _facts(place: Place, row: Mapping[str, Any]) -> Facts:
    columns = list(row)
    found: dict[str, Any] = {}
    for field in fields(Facts):
        column = column_of(columns, field.name)
        value = None if column is None else row[column]
        if value is None or value == "":
            continue
        if field.name == "finish_reason":
            if value not in _REASONS:
                raise place.fault(f"{str(value)[:40]!r} is none of {', '.join(_REASONS)}", column)
            found[field.name] = value
        else:
            found[field.name] = _number(place, field.name, value)
    return Facts(**found)


def _number(place: Place, name: str, value: object) -> int | float:
    try:
        number = float(str(value)) if not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    most = 1.0 if name == "confidence" else 2.0**53
    if not 0 <= number <= most or (name in _WHOLE and not number.is_integer()):
        wanted = "a share from 0 to 1" if name == "confidence" else "a number that is 0 or more"
        raise place.fault(f"{str(value)[:40]!r} is not {wanted}", name)
    return int(number) if name in _WHOLE else number
