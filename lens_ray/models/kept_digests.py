"""Digests of weight files that need not be read again: `KeptDigest`.

SHA-256 takes half a second a GB. Where a file's inode, size and times are the same as when it was
read, so is its digest: whoever evaluated a checkpoint need not hash it again to merge it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lens_ray.node_cache import home

#: Digests of smaller weights are made again; it takes less than a tenth of a second.
_KEPT_FROM = 1 << 26
#: A file written to so shortly ago might be written to again within a tick of its time.
_SETTLED_NS = 3 * 10**9
#: Folder below `home`.
_FOLDER = "digests"


@dataclass(frozen=True, slots=True)
class FileState:
    """A file at a moment; any write changes it.

    Attributes:
        device: Where it lies.
        inode: The same.
        size: Bytes.
        written_ns: When its content was written.
        changed_ns: When its inode changed, which no one can set; a new hard link does it too.
    """

    device: int
    inode: int
    size: int
    written_ns: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileState:
        """From the system's answer."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    @property
    def content(self) -> tuple[int, ...]:
        """Without the inode's time: backups make hard links while we read."""
        return (self.device, self.inode, self.size, self.written_ns)

    @property
    def told(self) -> tuple[int, ...]:
        """All of it."""
        return (*self.content, self.changed_ns)


class KeptDigest:
    """The digest over some files, in this order, as far as somebody made it before."""

    def __init__(self, files: Sequence[FileState]) -> None:
        """Files as they are before they are read; what was written just now is not kept."""
        self._place = _place(files)

    def known(self) -> str | None:
        """The digest; None where nobody made it."""
        if self._place is None:
            return None
        try:
            text = self._place.read_text()
        except (OSError, UnicodeDecodeError):
            return None
        whole = len(text) == 64 and all(character in "0123456789abcdef" for character in text)
        return text if whole else None

    def keep(self, digest: str) -> None:
        """Keep what was read; the files are still in the state that they were in before."""
        if self._place is None:
            return
        partial = self._place.with_name(f".{self._place.name}.{uuid.uuid4().hex}")
        with suppress(OSError):  # a full or read-only home costs the next reader some time
            partial.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(digest)
            os.replace(partial, self._place)


def _place(files: Sequence[FileState]) -> Path | None:
    """Where the digest is kept; None where it is not."""
    newest = max((max(each.written_ns, each.changed_ns) for each in files), default=0)
    small = sum(each.size for each in files) < _KEPT_FROM
    if small or newest > time.time_ns() - _SETTLED_NS:
        return None
    name = hashlib.sha256(json.dumps([each.told for each in files]).encode()).hexdigest()
    return home() / _FOLDER / name
