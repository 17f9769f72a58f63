"""The account of a run's money: one object, written by compare-and-swap."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from lens_ray.errors import RunBusy
from lens_ray.store.objects import ObjectStore
from lens_ray.store.reader import parsed
from lens_ray.store.records import dump, load

#: Its name below the run.
NAME = "purse.json"
_KIND = "purse"
_OWN = ("kind", "schema_version", "writer", "nonce", "beat")


class Book:
    """What a run has cost and what is granted, as one driver writes it down."""

    def __init__(self, objects: ObjectStore, key: str, run_id: str, writer: str) -> None:
        """Nothing is read yet.

        Args:
            objects: The store.
            key: Of the object.
            run_id: For messages.
            writer: The driver; the actors that it starts again write in its name.
        """
        self._objects = objects
        self._key = key
        self._run_id = run_id
        self._writer = writer
        self._nonce = uuid.uuid4().hex
        self._beat = 0
        self._version: str | None = None

    def read(self) -> Mapping[str, object] | None:
        """What is written; None where nothing is. A later `write` goes on from here.

        Raises:
            StoreUnavailable: The store is out of reach or the object is damaged.
        """
        found = self._objects.get_versioned(self._key)
        if found is None:
            self._version = None
            return None
        record = parsed(self._objects, self._key, parse_book, found.data)
        self._version = found.version
        return {key: value for key, value in record.items() if key not in _OWN}

    def write(self, record: Mapping[str, object]) -> None:
        """Write it down; durable when this returns.

        Raises:
            RunBusy: Somebody else wrote since `read`.
            StoreUnavailable: The store cannot be written.
        """
        while True:
            self._beat += 1
            # Nonce and beat make every version's bytes new, so that a version never comes back.
            own = {"writer": self._writer, "nonce": self._nonce, "beat": self._beat}
            data = dump({**record, **own, "kind": _KIND, "schema_version": 1})
            version = self._objects.swap(self._key, data, self._version)
            if version is not None:
                self._version = version
                return
            found = self._objects.get_versioned(self._key)
            if found is None or parse_book(found.data).get("writer") != self._writer:
                raise RunBusy(
                    f"run {self._run_id}: another driver writes its account of money; "
                    "this driver stops"
                )
            # A write landed though its answer was lost, or one of an actor that is dead by now:
            # what it granted and did not live to tell is not granted.
            self._version = found.version


def parse_book(data: bytes) -> dict[str, object]:
    """The record in an account's bytes.

    Raises:
        ValueError: It is damaged.
        StoreError: A newer version of lens-ray wrote it.
    """
    return load(data, _KIND)
