"""Objects as files below a folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from lens_ray.errors import StoreUnavailable
from lens_ray.store.objects import TEMPORARY, Listed, Versioned

#: What `os.link` answers where the file system has no hard links.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EROFS: "mount it for writing or give another --store",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.ENOTDIR: "a part of the path is a file; give another --store",
}


class FolderObjects:
    """An `ObjectStore` over a folder, for many processes of one machine or one shared mount.

    A file appears under its name complete and synced to disk, or not at all.
    """

    def __init__(self, root: str) -> None:
        """Name the folder; it is made at the first write."""
        self._root = _absolute(root)

    def __reduce__(self) -> tuple[type[FolderObjects], tuple[str]]:
        return FolderObjects, (str(self._root),)

    @property
    def url(self) -> str:
        """The folder's absolute path."""
        return str(self._root)

    def get(self, key: str) -> bytes | None:
        """See `ObjectStore.get`."""
        path = self._root / key
        with self._guard(path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def get_versioned(self, key: str) -> Versioned | None:
        """See `ObjectStore.get_versioned`."""
        data = self.get(key)
        return None if data is None else Versioned(data, _version(data))

    def create(self, key: str, data: bytes) -> bool:
        """See `ObjectStore.create`."""
        path = self._root / key
        with self._guard(path):
            if path.exists():
                return path.read_bytes() == data
            with self._written(path, data) as temporary:
                try:
                    self._publish(temporary, path)
                except FileExistsError:
                    return path.read_bytes() == data
                _sync_folder(path.parent)
        return True

    def swap(self, key: str, data: bytes, version: str | None) -> str | None:
        """See `ObjectStore.swap`."""
        path = self._root / key
        with self._guard(path), self._written(path, data) as temporary, _locked(path.parent):
            found = path.read_bytes() if path.exists() else None
            if (None if found is None else _version(found)) != version:
                return None
            os.replace(temporary, path)
            _sync_folder(path.parent)
        return _version(data)

    def list(self, prefix: str) -> Iterator[Listed]:
        """See `ObjectStore.list`."""
        start = self._root / prefix
        with self._guard(start):
            for folder, names, files in os.walk(start, onerror=_unless_gone):
                names.sort()
                for name in sorted(files):
                    path = Path(folder, name)
                    with contextlib.suppress(FileNotFoundError):  # it is gone meanwhile
                        facts = path.stat()
                        key = path.relative_to(self._root).as_posix()
                        yield Listed(key, facts.st_size, facts.st_mtime)

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        path = self._root / key
        with self._guard(path):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _guard(self, path: Path) -> Iterator[None]:
        """Say an operating system's error in one line that names the path."""
        try:
            yield
        except OSError as error:
            code = error.errno or 0
            hint = _HINTS.get(code, "check the disk or give another --store")
            raise StoreUnavailable(
                f"store {self._root}: {path}: {error.strerror or type(error).__name__}; {hint}"
            ) from error

    @contextlib.contextmanager
    def _written(self, path: Path, data: bytes) -> Iterator[Path]:
        """A synced file beside ``path``; whatever fails, neither it nor a new folder stays."""
        made: list[Path] = []
        temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            _make_folders(path.parent, made)
            with open(temporary, "xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            yield temporary
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            for folder in reversed(made):
                with contextlib.suppress(OSError):  # something is in it: it stays
                    folder.rmdir()

    @staticmethod
    def _publish(temporary: Path, path: Path) -> None:
        """Give the file its name, unless something has it.

        Raises:
            FileExistsError: Something has it.
        """
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with _locked(path.parent):
                if path.exists():
                    raise FileExistsError(errno.EEXIST, "File exists", str(path)) from error
                os.rename(temporary, path)


def file_in_the_way(path: str) -> str | None:
    """What of a folder's path exists and is no folder."""
    place = _absolute(path)
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    return None if place.is_dir() else str(place)


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and its parents, and note those that were not there."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was faster
            folder.mkdir()
            made.append(folder)
            _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder's advisory lock; the kernel frees it when the process dies."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
