"""One small object that several processes change: `Cell`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Generic, TypeVar

from lens_ray.store.objects import ObjectStore
from lens_ray.store.reader import parsed
from lens_ray.store.records import dump, load

#: Of its bytes.
KIND = "watch"

T = TypeVar("T")


class Cell(Generic[T]):
    """One object that is changed by compare-and-swap."""

    def __init__(
        self, objects: ObjectStore, key: str, parse: Callable[[Mapping[str, Any]], T]
    ) -> None:
        """Nothing is read yet.

        Args:
            objects: The store.
            key: Of the object.
            parse: Makes the value; of an empty mapping, where there is no object.
        """
        self._objects = objects
        self._key = key
        self._parse = parse

    def read(self) -> T:
        """The value as of now.

        Raises:
            StoreUnavailable: The store is out of reach, or the object is damaged.
        """
        return self._read()[0]

    def update(self, change: Callable[[T], T]) -> T:
        """Change the value; the change is tried again on what others have written meanwhile.

        Returns:
            The value as it is stored; durable when this returns.

        Raises:
            StoreUnavailable: The store cannot be read or written.
        """
        while True:
            value, version = self._read()
            new = change(value)
            if new == value:
                return value
            if self._objects.swap(self._key, _bytes_of(new), version) is not None:
                return new

    def _read(self) -> tuple[T, str | None]:
        found = self._objects.get_versioned(self._key)
        if found is None:
            return self._parse({}), None
        return parsed(self._objects, self._key, self._parsed_bytes, found.data), found.version

    def _parsed_bytes(self, data: bytes) -> T:
        return self._parse(load(data, KIND))


def _bytes_of(value: object) -> bytes:
    record = value if isinstance(value, Mapping) else asdict(value)  # type: ignore[call-overload]
    if isinstance(value, Mapping):
        record = {"value": record}
    # The nonce makes every version's bytes new, so that a version never comes back.
    return dump({**record, "kind": KIND, "schema_version": 1, "nonce": uuid.uuid4().hex})
