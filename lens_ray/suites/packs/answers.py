"""What a table says the right answer is, checked and in the form that its metric reads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lens_ray.errors import SuiteError
from lens_ray.suites.packs.formats import (
    BoxParameters,
    JsonParameters,
    LabelsParameters,
    Parameters,
    QuantityParameters,
)
from lens_ray.suites.packs.units import UNITS
from lens_ray.suites.templates import LETTERS

_YES_NO = {
    "yes": "yes", "true": "yes", "1": "yes", "y": "yes",
    "no": "no", "false": "no", "0": "no", "n": "no",
}  # fmt: skip
_QUANTITY = re.compile(r"([-+]?(?:[0-9]{1,15}(?:\.[0-9]{1,15})?|\.[0-9]{1,15}))\s*(\S.*)?")
_SPELLINGS = {name for unit, facts in UNITS.items() for name in (unit, *facts[3])}


def cell_text(cell: object) -> str:
    """A cell as text: no white space at the ends, whole numbers without a point."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def cell_list(cell: object) -> list[str]:
    """A cell as several texts: a list, or a text with ``|`` between them."""
    items = cell if isinstance(cell, list | tuple) else cell_text(cell).split("|")
    return [text for text in map(cell_text, items) if text]


def answers_of(
    sample_format: str,
    cell: object,
    choices: Sequence[str],
    settings: Parameters,
    meanings: Mapping[str, str],
    place: str,
) -> tuple[str, ...]:
    """The accepted answers of one cell.

    Args:
        sample_format: One of `lens_ray.suites.packs.formats.FORMATS`.
        cell: What the table says.
        choices: The options of the row.
        settings: Parameters of the format.
        meanings: What is written to what it means.
        place: Row and column, for errors.

    Raises:
        SuiteError: It is empty, or cannot be an answer of this format.
    """
    if isinstance(settings, JsonParameters):
        return (_object(cell, settings, place),)
    if isinstance(settings, BoxParameters):
        return (_box(cell, settings, place),)
    if isinstance(settings, LabelsParameters):
        return (_labels(cell, settings, meanings, place),)
    texts = [meanings.get(text, text) for text in cell_list(cell)]
    if not texts:
        raise SuiteError(f"{place}: is empty; write the right answer")
    if sample_format == "true_false":
        return tuple(_yes_no(text, place) for text in texts)
    if sample_format == "multiple_choice":
        return tuple(_letter(text, choices, place) for text in texts)
    if isinstance(settings, QuantityParameters):
        return tuple(_quantity(text, place) for text in texts)
    return tuple(texts)


def _yes_no(text: str, place: str) -> str:
    if text.lower() not in _YES_NO:
        raise SuiteError(
            f"{place}: {text!r} is neither yes nor no; say what it means with "
            f"answers: {{{text}: yes}}"
        )
    return _YES_NO[text.lower()]


def _letter(text: str, choices: Sequence[str], place: str) -> str:
    """The letter of an option that is given by its text or by its letter."""
    if choices.count(text) == 1:
        return LETTERS[choices.index(text)]
    if len(text) == 1 and text.upper() in LETTERS[: len(choices)]:
        return text.upper()
    raise SuiteError(f"{place}: {text!r} is none of the choices {', '.join(choices)}")


def _quantity(text: str, place: str) -> str:
    found = _QUANTITY.fullmatch(text)
    if found is None or (found[2] or "").startswith(","):
        hint = "; write a decimal point" if "," in text else ""
        raise SuiteError(f"{place}: {text!r} is no number{hint}")
    if found[2] and found[2].strip() not in _SPELLINGS:
        raise SuiteError(f"{place}: the unit {found[2]!r} is not known; known: {', '.join(UNITS)}")
    return text


def _labels(
    cell: object, settings: LabelsParameters, meanings: Mapping[str, str], place: str
) -> str:
    items = cell if isinstance(cell, list | tuple) else re.split(r"[,;|]", cell_text(cell))
    texts = [meanings.get(text, text) for text in map(cell_text, items) if text]
    if not texts and not isinstance(cell, list | tuple):
        raise SuiteError(f"{place}: is empty; write {settings.none} where no label applies")
    known = {label.casefold(): label for label in settings.labels}
    for text in texts:
        if text.casefold() not in known and text.casefold() != settings.none.casefold():
            raise SuiteError(
                f"{place}: {text!r} is none of the labels {', '.join(settings.labels)}"
            )
    found = [known[text.casefold()] for text in texts if text.casefold() in known]
    return ", ".join(dict.fromkeys(found)) or settings.none


def _box(cell: object, settings: BoxParameters, place: str) -> str:
    items = cell if isinstance(cell, list | tuple) else re.split(r"[,;\s]+", cell_text(cell))
    try:
        box = [float(item) for item in items]
    except (TypeError, ValueError) as error:
        raise SuiteError(f"{place}: {cell!r} is no box; write four numbers") from error
    if len(box) != 4 or not all(map(math.isfinite, box)):
        raise SuiteError(f"{place}: {cell!r} is no box; write four numbers")
    left, top, right, bottom = box
    inside = (right > left and bottom > top) if settings.corners == "xyxy" else min(box[2:]) > 0
    if not inside:
        raise SuiteError(f"{place}: {cell!r} is no box of corners: {settings.corners}")
    if settings.coordinates == "shares" and not all(0 <= value <= 1 for value in box):
        raise SuiteError(f"{place}: {cell!r} has a value beyond 0 to 1; say coordinates: pixels")
    return ", ".join(f"{value:.12g}" for value in box)


def _object(cell: object, settings: JsonParameters, place: str) -> str:
    """The object of a cell, a JSON text or a mapping of columns, as JSON."""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise SuiteError(f"{place}: is not JSON ({error})") from error
    if not isinstance(cell, dict):
        raise SuiteError(f"{place}: is no JSON object")
    found: dict[str, Any] = {}
    for name in cell:
        if name not in settings.fields:
            raise SuiteError(f"{place}: field {name!r} is not in parameters.fields")
    for name, shape in settings.fields.items():
        value = cell.get(name)
        if value is None or value == "":
            if not shape.optional:
                raise SuiteError(f"{place}: field {name!r} is missing")
            continue
        found[name] = _typed(value, shape.type, f"{place}: field {name!r}")
        if shape.enum and found[name] not in shape.enum:
            raise SuiteError(f"{place}: field {name!r} is {value!r}, none of its enum")
    return json.dumps(found, ensure_ascii=False, sort_keys=True)


def _typed(value: object, kind: str, place: str) -> object:
    """A value of a field; texts of a CSV file become what the field is."""
    if kind == "list":
        return value if isinstance(value, list) else cell_list(value)
    text = cell_text(value)
    if kind == "string" and not isinstance(value, dict | list):
        return text
    if kind == "boolean" and text.lower() in _YES_NO:
        return _YES_NO[text.lower()] == "yes"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if kind in ("number", "integer") and math.isfinite(number):
        if number.is_integer():
            return int(number)
        if kind == "number":
            return number
    raise SuiteError(f"{place} is {value!r}, not of the type {kind}")
