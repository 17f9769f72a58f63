"""Values of the JSON that `lens_ray.store.cell.Cell` keeps, by type: anyone may have written it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lens_ray.store.cell import KIND
from lens_ray.store.records import load


def object_of(value: object) -> dict[str, Any]:
    """A value that is an object.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{type(value).__name__} where an object belongs")
    return value


def list_in(record: Mapping[str, Any], key: str) -> list[Any]:
    """The list under a key; empty where there is none.

    Raises:
        ValueError: It is no list.
    """
    value = record.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{key} is no list")
    return value


def parse_object(record: Mapping[str, Any]) -> Mapping[str, object]:
    """A free object, as a user's file is.

    Raises:
        ValueError: It is damaged.
    """
    return object_of(record.get("value", {}))


def check_by_name(
    parsers: Mapping[str, Callable[[Mapping[str, Any]], object]], key: str, data: bytes
) -> None:
    """Whether an object can be read by the parser of its name; without one it is not looked at.

    Args:
        parsers: By the last part of a key.
        key: Of the object.
        data: Its bytes.

    Raises:
        ValueError: It is damaged.
        StoreError: A newer version of lens-ray wrote it.
    """
    parse = parsers.get(key.rpartition("/")[2])
    if parse is not None:
        parse(load(data, KIND))
