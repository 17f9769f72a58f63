"""The weight files of a merge, filled at known places by many threads at once: `Writer`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lens_ray.merging.layout import Layout, Place

#: Others may read a merge, as far as the process's umask lets them; safetensors writes 0600.
MODE = 0o644


class Writer:
    """Files of their full size, whose tensors come in pieces and in any order."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        """Make the files; each has its header and holes behind it.

        Raises:
            OSError: The folder cannot be written, or is full.
        """
        self._descriptors: list[int] = []
        self._paths = [folder / file.name for file in layout.files]
        try:
            for path, file in zip(self._paths, layout.files, strict=True):
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                descriptor = os.open(path, flags, MODE)
                self._descriptors.append(descriptor)
                os.ftruncate(descriptor, file.size)
                _put(descriptor, memoryview(file.header), 0)
        except BaseException:
            self.close()
            raise

    def write(self, place: Place, begin: int, data: memoryview) -> None:
        """Put some bytes of a tensor where they belong.

        Args:
            place: Of the tensor.
            begin: First byte, counted from the tensor's own.
            data: The bytes.

        Raises:
            OSError: The disk is full.
        """
        _put(self._descriptors[place.file], data, place.begin + begin)

    def sync(self) -> None:
        """Wait until the disk has all of it."""
        for descriptor in self._descriptors:
            os.fsync(descriptor)

    def close(self) -> None:
        """Close the files."""
        while self._descriptors:
            with suppress(OSError):
                os.close(self._descriptors.pop())


def _put(descriptor: int, data: memoryview, begin: int) -> None:
    while len(data):
        done = os.pwrite(descriptor, data, begin)
        data, begin = data[done:], begin + done
