"""VLMEvalKit's prediction tables: every column of its data set but the image, and ``prediction``.

``<model>_<dataset>.xlsx`` (or ``.tsv``, ``.json``). A workbook cannot tell an empty answer from
none, so an empty cell of one counts as no answer; in the other formats it is an empty answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from lens_ray.errors import UserError
from lens_ray.store.imports.answers import Answer, AnswerFile, Evidence, Place, answer
from lens_ray.store.imports.tables import check_file, column_of, need, rows_of

_FORMATS = (".tsv", ".json", ".xlsx", ".csv")
#: Columns that judging adds: the same answers again.
_JUDGED = frozenset({"hit", "log", "extracted", "eval_score", "eval_match"})
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def files_of(path: Path) -> list[AnswerFile]:
    """The prediction tables that a path names: itself, or those of a model's folder.

    Raises:
        UserError: It is none and holds none.
    """
    if not path.is_dir():
        check_file(path)
        return [AnswerFile(path, path.stem)]
    found = [
        AnswerFile(file, file.stem)
        for file in sorted(path.iterdir())
        if file.suffix.lower() in _FORMATS and file.is_file() and _is_table(file)
    ]
    if not found:
        raise UserError(
            f"{path}: no .tsv, .json or .xlsx of it has the columns index and prediction; give "
            "VLMEvalKit's outputs/MODEL, or one file of it"
        )
    return found


def read(file: AnswerFile) -> Iterator[Answer]:
    """The answers of a table.

    Raises:
        UserError: A row is damaged, or a column is missing; the place is named.
    """
    blank = file.path.suffix.lower() == ".xlsx"
    for place, row in rows_of(file.path):
        text = row[need(place, row, "prediction")]
        if text is not None and not isinstance(text, str):
            # pandas writes an answer of digits as a number.
            text = _number(place, text)
        lacks = (
            "the cell is empty, and a workbook cannot hold an empty answer"
            if blank
            else "the table holds null for it"
        )
        yield answer(place, _evidence(place, row), text, lacks=lacks)


def _evidence(place: Place, row: Mapping[str, Any]) -> Evidence:
    index = row[need(place, row, "index")]
    if index is None or index == "":
        raise place.fault("the row's id is missing", "index")
    parts = [_cell(row, name) for name in ("hint", "question")]
    said = [part for part in parts if part is not None]
    options = []
    for letter in _LETTERS:
        option = row.get(letter)
        if option is None or option == "":
            break
        options.append(str(option))
    if said and options:
        # Where a source's question holds its options, it reads so.
        lines = "\n".join(f"{a}: {text}" for a, text in zip(_LETTERS, options, strict=False))
        said.append(f"Options: {lines}")
    path, category = _cell(row, "image_path"), _cell(row, "category")
    ids = [_id(index)]
    if path is not None:
        ids += [path] if category is None else [path, f"{category}/{path}"]
    return Evidence(
        ids=tuple(ids),
        question="\n".join(said) if said else None,
        options=tuple(options),
        gold=_cell(row, "answer"),
    )


def _cell(row: Mapping[str, Any], name: str) -> str | None:
    column = column_of(list(row), name)
    value = None if column is None else row[column]
    return None if value is None or value in ("", "nan") else str(value)


def _id(value: object) -> str:
    """An id as text; pandas writes a column of whole numbers with a gap as 1.0, 2.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _number(place: Place, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise place.fault(f"a text belongs here, not {type(value).__name__}", "prediction")
    return _id(value)


def _is_table(path: Path) -> bool:
    try:
        for _, row in islice(rows_of(path), 1):
            names = {str(name).lower() for name in row}
            return {"index", "prediction"} <= names and not names & _JUDGED
    except UserError:
        return False
    return False
