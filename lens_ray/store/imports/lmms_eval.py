"""lmms-eval's sample logs (``--log_samples``), of this version and of older ones.

A row is known by its content: ``doc_id`` (position in the split), the answer (``resps``, or
``filtered_resps`` where they are equal), ``input`` (the prompt), ``target``, and one key a metric,
whose value may be an object that holds the publisher's id. Older rows keep ``doc`` and nest their
answers. Versions before 0.2.4 wrote one JSON file a task, with the rows under ``logs``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lens_ray.errors import UserError
from lens_ray.store.imports.answers import Answer, AnswerFile, Evidence, Facts, Place, answer
from lens_ray.store.imports.tables import check_file, json_lines, load_json

#: No folder with more files is looked through.
_MOST_FILES = 20_000
#: What publishers call their ids, as the task code copies them into metrics and documents.
_IDS = ("question_id", "index", "idx", "image_id", "data_id", "id")
_TASK = re.compile(r"(?:^|_)samples_(.+)$")


def files_of(path: Path) -> list[AnswerFile]:
    """The sample logs that a path names: itself, or those of a folder of one model.

    Raises:
        UserError: It is none and holds none, or those of several models.
    """
    if not path.is_dir():
        check_file(path)
        _only_logs(path)
        return [AnswerFile(path, task_of(path))]
    found = []
    for number, file in enumerate(sorted(path.rglob("*"))):
        if number > _MOST_FILES:
            raise UserError(f"{path}: it holds more than {_MOST_FILES} files; name a folder in it")
        if file.is_file() and not file.is_symlink() and _is_log(file):
            found.append(AnswerFile(file, task_of(file)))
    if not found:
        raise UserError(
            f"{path}: no file of it holds samples of lmms-eval; run it with --log_samples"
        )
    folders = sorted({file.path.parent for file in found})
    if len(folders) > 1:
        raise UserError(
            f"{path}: it holds logs in {len(folders)} folders, first {folders[0]} and {folders[1]};"
            " give the folder of one model"
        )
    return found


def task_of(path: Path) -> str:
    """The task, as the name of its file says."""
    named = _TASK.search(path.stem)
    return named[1] if named else path.stem


def read(file: AnswerFile) -> Iterator[Answer]:
    """The answers of a log.

    Raises:
        UserError: A row is none of a log; the place is named.
    """
    rows: Iterator[tuple[Place, Mapping[str, Any]]]
    rows = _legacy(file.path) if file.path.suffix.lower() == ".json" else json_lines(file.path)
    for place, row in rows:
        doc_id = row.get("doc_id")
        if isinstance(doc_id, str) and doc_id.isascii() and doc_id.isdigit():
            doc_id = int(doc_id)
        if not isinstance(doc_id, int) or isinstance(doc_id, bool) or doc_id < 0:
            raise place.fault(f"the position in the split belongs here, not {doc_id!r}", "doc_id")
        text = _text(place, row)
        facts, lacks = _facts(place, row), "the log holds null for it"
        yield answer(place, _evidence(row, doc_id, lite="lite" in file.about), text, facts, lacks)


def _evidence(row: Mapping[str, Any], doc_id: int, *, lite: bool) -> Evidence:
    doc = row.get("doc")
    doc = doc if isinstance(doc, dict) else {}
    ids: dict[str, None] = {}
    for facts in (*(value for value in row.values() if isinstance(value, dict)), doc):
        category = facts.get("category")
        for key in _IDS:
            found = facts.get(key)
            if isinstance(found, str | int) and not isinstance(found, bool) and found != "":
                if isinstance(category, str):
                    ids[f"{category}/{found}"] = None
                ids[str(found)] = None
    question = row.get("input")
    if not isinstance(question, str) or not question.strip():
        question = doc.get("question")
    gold = row.get("target")
    if lite:  # a position in the lite subset, which is another one in the whole split
        ids[f"lite-{doc_id}"] = None
    return Evidence(
        ids=tuple(ids),
        row=None if lite else doc_id,
        question=question if isinstance(question, str) else None,
        gold=str(gold) if isinstance(gold, str | int | float) else None,
    )


def _text(place: Place, row: Mapping[str, Any]) -> str | None:
    """The one answer of a row, whatever lists it lies in."""
    column = next((name for name in ("resps", "filtered_resps") if name in row), None)
    if column is None:
        raise place.fault("the answer is missing: no samples of lmms-eval", "filtered_resps")
    value = row[column]
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or value == []:
        return None
    if isinstance(value, list):
        raise place.fault(
            f"{len(value)} answers where one belongs (repeats, or likelihoods of options)", column
        )
    if not isinstance(value, str):
        raise place.fault(f"a text belongs here, not {type(value).__name__}", column)
    return value


def _facts(place: Place, row: Mapping[str, Any]) -> Facts:
    counts = row.get("token_counts")
    while isinstance(counts, list) and counts:
        counts = counts[0]
    if not isinstance(counts, dict):
        return Facts()
    numbers = []
    for key in ("input_tokens", "output_tokens"):
        value = counts.get(key)
        if value is not None and (
            not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63
        ):
            raise place.fault(f"{key} is {str(value)[:40]!r}, no number of tokens", "token_counts")
        numbers.append(value)
    return Facts(tokens_in=numbers[0], tokens_out=numbers[1])


def _legacy(path: Path) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    value = load_json(path)
    logs = value.get("logs") if isinstance(value, dict) else None
    if not isinstance(logs, list):
        raise UserError(
            f"{path}: it holds no samples (results only); give ..._samples_TASK.jsonl, which "
            "lmms-eval writes with --log_samples"
        )
    for number, row in enumerate(logs, 1):
        place = Place(path, f"row {number} of logs")
        if not isinstance(row, dict):
            raise place.fault(f"a JSON object belongs here, there is {type(row).__name__}")
        yield place, row


def _only_logs(path: Path) -> None:
    if path.suffix.lower() not in (".json", ".jsonl"):
        raise UserError(f"{path}: lmms-eval's samples are .jsonl files; give one of these")


def _is_log(path: Path) -> bool:
    """Whether a file of a folder holds samples; what cannot be read is none."""
    try:
        if path.suffix.lower() == ".jsonl":
            first = next(json_lines(path), None)
            return first is not None and "doc_id" in first[1]
        if path.suffix.lower() == ".json" and "results" not in path.stem:
            value = load_json(path)
            return isinstance(value, dict) and isinstance(value.get("logs"), list)
    except UserError:
        return False
    return False
