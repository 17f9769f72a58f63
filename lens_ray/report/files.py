"""A file is there whole or not at all: `whole_file`."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lens_ray.errors import EnvironmentFailure, UserError

#: Failures of the machine; any other is a path that cannot be written to.
_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def check_target(path: Path) -> None:
    """Refuse a file that cannot be written before anything is read for it.

    Raises:
        UserError: It is a folder or no regular file, or its folder is not there.
    """
    if path.is_dir():
        raise UserError(f"out: {path} is a folder; name a file in it, as {path / 'report.html'}")
    if path.exists() and not path.is_file():
        raise UserError(f"out: {path} is not a regular file; name another")
    if not path.parent.is_dir():
        raise UserError(f"out: {path.parent} is not a folder; make it or name another file")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes its name at once when the block ends without an error.

    Raises:
        UserError: The file cannot be written.
        EnvironmentFailure: The disk is full or fails.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            with suppress(OSError):
                partial.unlink()
    except OSError as error:
        line = f"out: {path} cannot be written ({error.strerror})"
        if error.errno in _MACHINE:
            raise EnvironmentFailure(f"{line}; make room or name another file") from error
        raise UserError(f"{line}; name a file in a folder that you may write to") from error
