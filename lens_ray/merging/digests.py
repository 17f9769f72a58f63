"""Digests of the parents' weights: `weights_digest`.

SHA-256 takes half a second a GB, so that of three parents takes as long as their merge. They are
kept: where a file's inode, size and times are the same as when it was read, so is its digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

from lens_ray.merging.reader import Reader
from lens_ray.node_cache import home

_CHUNK = 1 << 20
#: Digests of smaller weights are made again; it takes less than a tenth of a second.
_KEPT_FROM = 1 << 26
#: A file written to so shortly ago might be written to again within a tick of its time.
_SETTLED_NS = 3 * 10**9
#: Folder below `home`.
_FOLDER = "digests"


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
