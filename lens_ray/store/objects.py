"""The few things that a place must do to hold a store: `ObjectStore`, `open_objects`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from lens_ray.errors import StoreError

#: Requests in flight at once: a bucket's latency dominates, not its bandwidth.
THREADS = 16
#: Start of the names of files that are being written.
TEMPORARY = ".tmp-"


@dataclass(frozen=True, slots=True)
class Versioned:
    """An object's bytes and the version that they are of."""

    data: bytes
    version: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a listing.

    Attributes:
        key: Its key.
        size: Bytes.
        modified: When it was written, in seconds since 1970.
        tag: What changes with its content, where the place keeps it (an ETag).
    """

    key: str
    size: int
    modified: float
    tag: str = ""


class ObjectStore(Protocol):
    """Objects by key, below one root; keys are relative paths with ``/``.

    Every method raises `StoreUnavailable` where the place is out of reach, read-only or full.
    """

    @property
    def url(self) -> str:
        """Where it is: a folder's absolute path, or a URL."""
        ...

    def get(self, key: str) -> bytes | None:
        """The bytes of an object, or None."""
        ...

    def get_versioned(self, key: str) -> Versioned | None:
        """The bytes and version of an object, or None."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Write an object that is not there yet.

        Returns:
            True where it now holds these bytes (also where an earlier try had landed), False
            where it holds others.
        """
        ...

    def swap(self, key: str, data: bytes, version: str | None) -> str | None:
        """Write an object if it still has that version (None: if it is not there).

        Returns:
            The new version, or None where the object had changed. The bytes must differ from all
            earlier ones of that key.
        """
        ...

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object below a prefix, temporary files included; for `check` and `gc` only."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object, if it is there; for `gc` only."""
        ...


def open_objects(url: str) -> ObjectStore:
    """The place that a store URL names; nothing is read yet.

    Raises:
        StoreError: It names none.
    """
    if url.startswith("s3://"):
        from lens_ray.store.bucket import BucketObjects

        return BucketObjects(url)
    scheme, separator, rest = url.partition("://")
    if separator and scheme != "file":
        raise StoreError(
            f"store {url}: {scheme}:// is not supported; give a folder or an s3:// URL"
        )
    path = rest if separator else url
    if not path.strip() or "\0" in path:
        raise StoreError(f"store {url!r}: no such place; give a folder or an s3:// URL")
    from lens_ray.store.folder import FolderObjects, file_in_the_way

    file = file_in_the_way(path)
    if file is not None:
        raise StoreError(f"store {path}: {file} is a file; give a folder or an s3:// URL")
    return FolderObjects(path)


def get_many(objects: ObjectStore, keys: Sequence[str]) -> list[bytes | None]:
    """The bytes of many objects, asked for in parallel."""
    if len(keys) < 2:
        return [objects.get(key) for key in keys]
    with ThreadPoolExecutor(min(THREADS, len(keys)), thread_name_prefix="lens-store") as pool:
        return list(pool.map(objects.get, keys))
