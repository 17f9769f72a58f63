"""An object of a given shape: `json_fields`, `json_exact`.

`Sample.meta`: ``fields``, a JSON object of field name to ``{"type": ..., "enum": [...],
"tolerance": ...}``. An accepted answer is a JSON object with the right values; of an optional
field it may lack the value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from lens_ray.errors import UserError
from lens_ray.scoring.plain import normalise, storable
from lens_ray.suites.sample import Sample

MAX_DEPTH = 8
MAX_CHARACTERS = 20_000
#: Places at which an object may begin that are tried.
_TRIES = 50


def json_fields(sample: Sample, text: str) -> tuple[str | None, float]:
    """The share of fields with the right type and value.

    A field that is missing, of another type, outside its ``enum`` or of another value earns
    nothing; a field that was not asked for counts as one more that is wrong.
    """
    given = find_object(text)
    if given is None:
        return None, 0.0
    fields = _loaded(sample, sample.meta.get("fields", "{}"))
    golds = [_loaded(sample, answer) for answer in sample.answers]
    share = max(_share(given, gold, fields) for gold in golds)
    return storable(json.dumps(given, ensure_ascii=False, sort_keys=True)), share


def json_exact(sample: Sample, text: str) -> tuple[str | None, float]:
    """1 where every field is right and none was added, else 0."""
    answer, share = json_fields(sample, text)
    return answer, float(share == 1.0)


def find_object(text: str) -> dict[str, Any] | None:
    """The last JSON object of a text that stands in no other, or None.

    Literal JSON only: no NaN, no key twice, at most `MAX_DEPTH` deep, looked for in the last
    `MAX_CHARACTERS` characters.
    """
    text = text[-MAX_CHARACTERS:]
    place, last = text.find("{"), None
    for _ in range(_TRIES):
        if place < 0:
            break
        found, end = _object_at(text, place)
        last = last if found is None else found
        place = text.find("{", end)
    return last


def only_object(text: str) -> bool:
    """Whether a text is one JSON object or list and nothing besides."""
    text = text.strip()
    if not text.startswith(("{", "[")) or len(text) > MAX_CHARACTERS or _too_deep(text):
        return False
    try:
        _DECODER.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _object_at(text: str, place: int) -> tuple[dict[str, Any] | None, int]:
    """The object that begins at a place and where to look on."""
    if _too_deep(text[place:]):
        return None, len(text)  # what stands within it is not the answer
    try:
        found, end = _DECODER.raw_decode(text, place)
    except (ValueError, RecursionError):
        return None, place + 1
    return found, end


def _too_deep(text: str) -> bool:
    """Whether the value that a text begins with is nested beyond `MAX_DEPTH`."""
    depth, quoted, escaped = 0, False, False
    for letter in text:
        if quoted:
            quoted = letter != '"' or escaped
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            quoted = True
        elif letter in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif letter in "}]":
            depth -= 1
            if depth <= 0:
                return False
    return False


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant)


def _loaded(sample: Sample, text: str) -> dict[str, Any]:
    found = find_object(text)
    if found is None:
        raise UserError(f"sample {sample.sample_id}: {text[:60]!r} is no JSON object")
    return found


def _share(
    given: Mapping[str, Any], gold: Mapping[str, Any], fields: Mapping[str, Mapping[str, Any]]
) -> float:
    asked = [name for name in fields if name in gold or name in given]
    added = sum(name not in fields for name in given)
    right = sum(name in given and name in gold and _same(given[name], gold[name], fields[name])
                for name in asked)  # fmt: skip
    return right / (len(asked) + added) if asked else 0.0


def _same(value: Any, gold: Any, field: Mapping[str, Any]) -> bool:
    kind = field.get("type", "string")
    if not _is(value, kind):
        return False
    if kind in ("number", "integer"):
        return abs(_number(value) - _number(gold)) <= _number(field.get("tolerance", 0))
    if kind == "list":
        return sorted(normalise(str(item)) for item in value) == sorted(
            normalise(str(item)) for item in gold
        )
    if kind == "boolean":
        return bool(value is gold)
    allowed = field.get("enum")
    if allowed and normalise(value) not in [normalise(each) for each in allowed]:
        return False
    return normalise(value) == normalise(str(gold))


def _number(value: Any) -> Decimal:
    return Decimal(str(value))


def _is(value: Any, kind: str) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "list":
        return isinstance(value, list)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (
        isinstance(value, float) and (kind == "number" or value.is_integer())
    )
