"""Where a merge goes: made beside its place and renamed, so that it is whole or not there.

`making` gives the folder ``OUT.partial`` to fill. A lock in it, which the kernel drops with its
holder, keeps other processes out; what a dead one left there is removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lens_ray.errors import RunBusy, StoreUnavailable, UserError
from lens_ray.node_cache import is_full

PARTIAL = ".partial"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Making:
    """A merge that is being made.

    Attributes:
        out: Its final name.
        partial: The folder to fill.
        durable: Whether the disk is waited for.
    """

    out: Path
    partial: Path
    durable: bool

    def require_room(self, need: int) -> None:
        """Say at once what a full disk would say in the end.

        Raises:
            StoreUnavailable: There is less than so many bytes.
        """
        free = shutil.disk_usage(self.partial).free
        if free < need:
            raise StoreUnavailable(
                f"{self.out}: no room for a merge of {need / 1e9:.3g} GB, {free / 1e9:.3g} GB "
                "free; free some, or take --out on a larger disk"
            )

    def finish(self) -> None:
        """Give the folder its final name; what is in it must be whole and written.

        Raises:
            UserError: Another process made something of that name meanwhile.
        """
        with suppress(FileNotFoundError):
            (self.partial / _LOCK).unlink()
        if self.durable:
            sync_folder(self.partial)
        try:
            self.partial.rename(self.out)
        except OSError as error:
            if self.out.exists():
                raise _taken(self.out) from error
            raise
        if self.durable:
            sync_folder(self.out.parent)


@contextmanager
def making(out: Path, *, durable: bool) -> Iterator[Making]:
    """A folder beside `out` that only this process fills; gone afterwards unless finished.

    Args:
        out: Absolute; whether anything is there is for the caller to see, now that nobody else
            puts something there.
        durable: Whether the disk is waited for.

    Raises:
        RunBusy: Another process is merging to it.
        StoreUnavailable: It cannot be written, or the disk is full.
    """
    partial = out.with_name(out.name + PARTIAL)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(partial)
    except OSError as error:
        raise unwritable(out, error) from error
    try:
        _empty(partial)
        yield Making(out, partial, durable)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        if partial.is_dir() and _is_ours(partial, descriptor):
            shutil.rmtree(partial, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def is_taken(out: Path) -> bool:
    """Whether there is anything but an empty folder."""
    return os.path.lexists(out) and not (
        out.is_dir() and not out.is_symlink() and not any(out.iterdir())
    )


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(out: Path, error: OSError) -> StoreUnavailable:
    """The line to say where a merge cannot be written."""
    if is_full(error):
        return StoreUnavailable(
            f"{out}: the disk is full ({error.strerror}); nothing is left of the merge: free some, "
            "or take --out on a larger disk, and run it again"
        )
    return StoreUnavailable(
        f"{out} cannot be written ({error.strerror or error}); take another --out"
    )


def _taken(out: Path) -> UserError:
    return UserError(
        f"{out} is there already, and is not this merge; take another --out, or remove it"
    )


def _locked(partial: Path) -> int | None:
    """The lock of a partial folder, made where it is missing; None where there are no locks."""
    while True:
        partial.mkdir(exist_ok=True)
        try:
            descriptor = os.open(partial / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:  # renamed or removed meanwhile by who had it
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise RunBusy(
                f"{partial}: another process is merging to it; wait for it, or take another --out"
            ) from error
        except OSError:
            os.close(descriptor)
            return None
        if _is_ours(partial, descriptor):
            return descriptor
        os.close(descriptor)


def _is_ours(partial: Path, descriptor: int | None) -> bool:
    """Whether the lock that is held is the one that lies there."""
    if descriptor is None:
        return True
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(partial / _LOCK))
    except OSError:
        return False


def _empty(partial: Path) -> None:
    for path in partial.iterdir():
        if path.name == _LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
