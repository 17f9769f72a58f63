"""The weight files of a merge, filled at known places by many threads at once: `Writer`."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from lens_ray.merging.layout import Layout, Place

#: Others may read a merge, as far as the process's umask lets them; safetensors writes 0600.
MODE = 0o644
#: Bytes that the disk is given at once.
_SYNCED = 1 << 28


class Writer:
    """Files of their full size, whose tensors come in pieces and in any order.

    What is whole from a file's first byte on can be read behind the writers, for its digest.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        """Make the files; each has its header and holes behind it.

        Raises:
            OSError: The folder cannot be written, or is full.
        """
        self.files = layout.files
        self._descriptors: list[int] = []
        self._fronts = [len(file.header) for file in layout.files]
        self._ahead: list[dict[int, int]] = [{} for _ in layout.files]
        self._moved = threading.Condition()
        self._ended = False
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
            if front != self._fronts[place.file]:
                self._fronts[place.file] = front
                self._moved.notify_all()

    def beyond(self, file: int, position: int) -> int | None:
        """Wait until a file is whole beyond a position; how far, or None where it never will be."""
        with self._moved:
            while self._fronts[file] <= position and not self._ended:
                self._moved.wait()
            front = self._fronts[file]
            return front if front > position else None

    def read(self, file: int, begin: int, into: memoryview) -> int:
        """Read back what was written."""
        return os.preadv(self._descriptors[file], [into], begin)

    def sync(self) -> None:
        """Have the disk take everything while it is still being written; returns when it has.

        The last wait is then for the last part only.
        """
        for number, file in enumerate(self.files):
            position = 0
            while position < file.size:
                front = self.beyond(number, min(position + _SYNCED, file.size - 1))
                if front is None:
                    return
                os.fsync(self._descriptors[number])
                position = front

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


def _put(descriptor: int, data: memoryview, begin: int) -> None:
    while len(data):
        done = os.pwrite(descriptor, data, begin)
        data, begin = data[done:], begin + done
