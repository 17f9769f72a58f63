"""The weight files of a merge, filled at known places by many threads at once: `Writer`."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lens_ray.merging.layout import Layout, Place

#: Others may read a merge, as far as the process's umask lets them; safetensors writes 0600.
MODE = 0o644
#: Bytes that the disk is given at once.
_SYNCED = 1 << 28
_CHUNK = 1 << 20

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


class Writer:
    """Files of their full size, whose tensors come in pieces and in any order.

    Who writes the bytes that the digests come to next takes them in at once, while they are in its
    processor's cache, and behind them what others wrote meanwhile. SHA-256 takes half a second a
    GB; a thread of its own that read all of it back and was woken for every piece took 1.4 s of 2
    GB, and a GB a second less went through the others.
    """

    def __init__(self, folder: Path, layout: Layout, progress: Progress | None = None) -> None:
        """Make the files; each has its header and holes behind it.

        Args:
            folder: Where.
            layout: Files whose names are in order.
            progress: Told how many bytes are written and digested, and of how many; by the thread
                that writes.

        Raises:
            OSError: The folder cannot be written, or is full.
        """
        self.files = layout.files
        self._descriptors: list[int] = []
        self._fronts = [len(file.header) for file in layout.files]
        self._ahead: list[dict[int, int]] = [{} for _ in layout.files]
        self._moved = threading.Condition()
        self._awaited = 0
        self._ended = False
        self._progress = progress
        self._trail = _Trail(layout)
        self._trailing = threading.Lock()
        try:
            for file in layout.files:
                self._make(folder / file.name, file.header, file.size)
        except BaseException:
            self.close()
            raise

    def _make(self, path: Path, header: bytes, size: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, MODE)
        self._descriptors.append(descriptor)
        os.ftruncate(descriptor, size)
        _put(descriptor, memoryview(header), 0)

    def write(self, place: Place, begin: int, data: memoryview) -> None:
        """Put some bytes of a tensor where they belong.

        Args:
            place: Of the tensor.
            begin: First byte, counted from the tensor's own.
            data: The bytes.

        Raises:
            OSError: The disk is full.
        """
        start = place.begin + begin
        _put(self._descriptors[place.file], data, start)
        with self._moved:
            ahead, front = self._ahead[place.file], self._fronts[place.file]
            ahead[start] = start + len(data)
            while front in ahead and len(data):
                front = ahead.pop(front)
            self._fronts[place.file] = front
            if front >= self._awaited:
                self._moved.notify_all()
        if self._trailing.acquire(blocking=False):
            try:
                self._take_in(place.file, start, data)
            finally:
                self._trailing.release()

    def _take_in(self, file: int, start: int, data: memoryview) -> None:
        """Bring the digests forward, as far as everything before is written."""
        trail = self._trail
        if (trail.file, trail.position) == (file, start):
            trail.update(data)
        while trail.file < len(self.files):
            many = min(self._fronts[trail.file] - trail.position, _CHUNK)
            if not many:
                break
            part = trail.buffer[:many]
            came = os.preadv(self._descriptors[trail.file], [part], trail.position)
            if not came:
                raise OSError(errno.EIO, "what was written is gone", self.files[trail.file].name)
            trail.update(part[:came])
        if self._progress is not None:
            self._progress(trail.done, sum(one.size for one in self.files))

    def digests(self) -> Digests:
        """Of the files, which are whole."""
        with self._trailing:
            self._take_in(0, -1, memoryview(b""))
            return self._trail.digests()

    def sync(self) -> None:
        """Have the disk take everything while it is still being written; returns when it has.

        The last wait is then for the last part only.
        """
        for number, file in enumerate(self.files):
            position = 0
            while position < file.size:
                front = self._beyond(number, min(position + _SYNCED, file.size))
                if front is None:
                    return
                os.fsync(self._descriptors[number])
                position = front

    def _beyond(self, file: int, position: int) -> int | None:
        """Wait until a file is whole up to a position; how far, or None where it never will be."""
        with self._moved:
            self._awaited = position
            while self._fronts[file] < position and not self._ended:
                self._moved.wait()
            front = self._fronts[file]
            return front if front >= position else None

    def end(self) -> None:
        """Nothing more will be written; who waits waits no longer."""
        with self._moved:
            self._ended = True
            self._moved.notify_all()

    def close(self) -> None:
        """Close the files."""
        self.end()
        while self._descriptors:
            with suppress(OSError):
                os.close(self._descriptors.pop())


class _Trail:
    """Digests of files, taken in from the first byte of the first one to the last.

    Attributes:
        file: Whose bytes are next.
        position: The next of them.
        done: Bytes taken in.
        buffer: For what is read back.
    """

    def __init__(self, layout: Layout) -> None:
        self._files = layout.files
        self.file = self.position = self.done = 0
        self.buffer = memoryview(bytearray(_CHUNK))
        self._total = hashlib.sha256()
        self._own = hashlib.sha256()
        self._of: dict[str, str] = {}

    def update(self, data: memoryview) -> None:
        """Take in the next bytes."""
        self._total.update(data)
        if self.file:  # the first file's digest is that of all files so far; it is not made twice
            self._own.update(data)
        self.position += len(data)
        self.done += len(data)
        if self.position == self._files[self.file].size:
            name = self._files[self.file].name
            self._of[name] = (self._own if self.file else self._total).hexdigest()
            self.file, self.position, self._own = self.file + 1, 0, hashlib.sha256()

    def digests(self) -> Digests:
        """Once everything is taken in."""
        assert self.file == len(self._files), "digests of files that are not whole"
        return Digests(self._total.hexdigest(), self._of)


def _put(descriptor: int, data: memoryview, begin: int) -> None:
    while len(data):
        done = os.pwrite(descriptor, data, begin)
        data, begin = data[done:], begin + done
