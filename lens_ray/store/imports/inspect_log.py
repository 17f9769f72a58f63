"""Inspect's logs: ``.eval`` (a ZIP of JSON) and ``.json``. Nothing is unpacked to disk.

A log without ``header.json`` is that of an unfinished run; the samples that it has are read.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lens_ray.errors import UserError
from lens_ray.store.imports.answers import Answer, AnswerFile, Evidence, Facts, Place, answer
from lens_ray.store.imports.tables import check_file, load_json

#: No sample may unpack to more bytes, and no log may have more of them.
MAX_SAMPLE, MAX_SAMPLES = 256 * 2**20, 5_000_000
_REASONS = {
    "stop": "stop", "max_tokens": "length", "model_length": "length",
    "content_filter": "content_filter",
}  # fmt: skip


def files_of(path: Path) -> list[AnswerFile]:
    """The log that a path names.

    Raises:
        UserError: It is none.
    """
    check_file(path)
    if path.suffix.lower() not in (".eval", ".json"):
        raise UserError(f"{path}: Inspect's logs are .eval or .json files; give one of these")
    return [AnswerFile(path, path.stem)]


def read(file: AnswerFile) -> Iterator[Answer]:
    """The answers of a log.

    Raises:
        UserError: A sample is damaged; the place is named.
    """
    rows = _packed(file.path) if file.path.suffix.lower() == ".eval" else _listed(file.path)
    for place, row in rows:
        number = row.get("id")
        if isinstance(number, bool) or not isinstance(number, str | int):
            raise place.fault(f"an id belongs here, not {number!r}", "id")
        error = row.get("error")
        if error is not None:
            said = error.get("message") if isinstance(error, dict) else error
            cause = " ".join(f"the log says: {said}".split())[:300]
            yield answer(place, _evidence(number, row), None, lacks=cause)
            continue
        text, facts = _output(place, row)
        yield answer(place, _evidence(number, row), text, facts, "the log holds no output of it")


def _packed(path: Path) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    where = Place(path, "the archive")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                entry
                for entry in archive.infolist()
                if entry.filename.startswith("samples/") and entry.filename.endswith(".json")
            ]
            if len(names) > MAX_SAMPLES:
                raise UserError(f"{path}: it has {len(names)} samples, {MAX_SAMPLES} are allowed")
            for entry in names:
                where = Place(path, entry.filename[:200])
                with archive.open(entry) as stream:
                    data = stream.read(MAX_SAMPLE + 1)
                if len(data) > MAX_SAMPLE:
                    raise where.fault(f"it unpacks to more than {MAX_SAMPLE} bytes")
                yield where, _object(where, json.loads(data))
    except NotImplementedError as error:
        raise UserError(
            f"{path}: it is packed in a way that Python cannot unpack ({error}); type "
            "`inspect log convert --to json --output-dir FOLDER LOG` and import that"
        ) from error
    except (
        zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RecursionError, RuntimeError
    ) as error:  # fmt: skip
        raise where.fault(f"damaged ({' '.join(str(error).split())[:200]})") from error


def _listed(path: Path) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    value = load_json(path)
    samples = value.get("samples") if isinstance(value, dict) else None
    if not isinstance(samples, list):
        raise UserError(f"{path}: it holds no samples; give a log that was written with them")
    for number, row in enumerate(samples, 1):
        place = Place(path, f"sample {number}")
        yield place, _object(place, row)


def _object(place: Place, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise place.fault(f"a JSON object belongs here, there is {type(value).__name__}")
    return value


def _evidence(number: str | int, row: Mapping[str, Any]) -> Evidence:
    target, choices = row.get("target"), row.get("choices")
    if isinstance(target, list) and len(target) == 1:
        target = target[0]
    asked = row.get("input")
    if isinstance(asked, list):
        asked = "\n".join(
            said
            for message in asked
            if isinstance(message, dict) and message.get("role") == "user"
            and (said := _said(message.get("content"))) is not None
        )  # fmt: skip
    return Evidence(
        ids=(str(number),),
        question=asked if isinstance(asked, str) and asked.strip() else None,
        options=tuple(map(str, choices)) if isinstance(choices, list) else (),
        gold=target if isinstance(target, str) else None,
    )


def _output(place: Place, row: Mapping[str, Any]) -> tuple[str | None, Facts]:
    output = row.get("output")
    if not isinstance(output, dict):
        return None, Facts()
    choices = output.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    first = first if isinstance(first, dict) else {}
    message = first.get("message")
    text = _said(message.get("content")) if isinstance(message, dict) else None
    completion = output.get("completion")
    if text is None and isinstance(completion, str) and choices:
        text = completion
    usage = output.get("usage")
    counts = []
    for key in ("input_tokens", "output_tokens"):
        count = usage.get(key) if isinstance(usage, dict) else None
        if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
            raise place.fault(f"{key} is {str(count)[:40]!r}, no number of tokens", "usage")
        counts.append(count)
    return text, Facts(
        finish_reason=_REASONS.get(str(first.get("stop_reason"))),
        tokens_in=counts[0],
        tokens_out=counts[1],
    )


def _said(content: object) -> str | None:
    """The text of a message; images and reasoning are none of it."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return None
