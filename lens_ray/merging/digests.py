"""Digests of weights: of a merge while it is written, and of its parents while they are read.

SHA-256 took 1.3 s a GB on a busy core, so that of a merge would take as long as the merge if it
began afterwards. That of the parents is kept: where a file's inode, size and times are the same
as when it was read, so is its digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lens_ray.merging.reader import Reader
from lens_ray.merging.writer import Writer
from lens_ray.node_cache import home

if TYPE_CHECKING:
    from hashlib import _Hash

_CHUNK = 1 << 20
#: Digests of smaller weights are made again; it takes less than a tenth of a second.
_KEPT_FROM = 1 << 26
#: A file written to so shortly ago might be written to again within a tick of its time.
_SETTLED_NS = 3 * 10**9
#: Folder below `home`.
_FOLDER = "digests"

#: Bytes done, and all of them.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Digests:
    """Of the weights of a merge.

    Attributes:
        weights: SHA-256 over all weight files, as `lens_ray.models.checkpoint.CheckpointFacts`
            has it.
        files: SHA-256 of each, by its name.
    """

    weights: str
    files: dict[str, str]


def follow(writer: Writer, progress: Progress | None = None) -> Digests | None:
    """The digests of what a writer writes, read behind it; None where it ended early.

    Args:
        writer: Of files whose names are in order.
        progress: Told how many bytes are written and digested, and of how many.
    """
    whole = sum(file.size for file in writer.files)
    before = 0
    total = hashlib.sha256()
    files = {}
    buffer = memoryview(bytearray(_CHUNK))
    for number, file in enumerate(writer.files):
        # The first file's digest is that of all files so far; it is not made twice.
        own = hashlib.sha256() if number else None
        into = [total, own] if own is not None else [total]
        for position in _followed(writer, number, buffer, into):
            if progress is not None:
                progress(before + position, whole)
        if writer.beyond(number, file.size - 1) is None:
            return None
        before += file.size
        files[file.name] = (own or total).hexdigest()
    return Digests(total.hexdigest(), files)


def _followed(writer: Writer, number: int, buffer: memoryview, into: list[_Hash]) -> Iterator[int]:
    """Take in a file as it grows; gives how far, until it is whole or the writer ended."""
    position = 0
    while position < writer.files[number].size:
        front = writer.beyond(number, position)
        if front is None:
            return
        while position < front:
            came = writer.read(number, position, buffer[: front - position])
            for one in into:
                one.update(buffer[:came])
            position += came
        yield position


def weights_digest(reader: Reader, stopped: threading.Event) -> str:
    """SHA-256 over all weight files of a parent; one that was made before is taken again.

    Args:
        reader: Of the parent.
        stopped: Nobody waits for it any more; then it is empty.

    Raises:
        CheckpointError: A file changed since it was opened.
    """
    kept = _place(reader)
    if kept is not None and (known := _known(kept)) is not None:
        return known
    total = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    for file in range(len(reader.files)):
        position = 0
        while came := reader.raw(file, position, buffer):
            if stopped.is_set():
                return ""
            total.update(buffer[:came])
            position += came
    reader.require_unchanged()
    if kept is not None:
        _keep(kept, total.hexdigest())
    return total.hexdigest()


def _place(reader: Reader) -> Path | None:
    """Where the digest of a parent is kept; None where it is not."""
    states = [reader.state(file) for file in range(len(reader.files))]
    newest = max(max(state.written_ns, state.changed_ns) for state in states)
    if sum(state.size for state in states) < _KEPT_FROM or newest > time.time_ns() - _SETTLED_NS:
        return None
    name = hashlib.sha256(json.dumps([state.told for state in states]).encode()).hexdigest()
    return home() / _FOLDER / name


def _known(place: Path) -> str | None:
    try:
        text = place.read_text()
    except OSError:
        return None
    whole = len(text) == 64 and all(character in "0123456789abcdef" for character in text)
    return text if whole else None


def _keep(place: Path, digest: str) -> None:
    partial = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
    with suppress(OSError):  # a full or read-only home costs the next merge some time
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(digest)
        os.replace(partial, place)
