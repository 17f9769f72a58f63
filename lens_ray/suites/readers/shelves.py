"""Images that lie beside a table, named by path: in a folder, a ``.zip`` or a ``.tar``.

Names come from strangers: none leads out of the folder, none in an archive becomes a path.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Protocol

from lens_ray.errors import SuiteError
from lens_ray.suites.readers.pictures import MAX_ENCODED


class Shelf(Protocol):
    """Named images."""

    def read(self, name: str, where: str) -> bytes:
        """The encoded bytes of an image.

        Args:
            name: As the table says.
            where: Place in the table, for the error.

        Raises:
            SuiteError: There is none, it is too large, or its name leads elsewhere.
        """
        ...


def open_shelf(location: Path) -> Shelf:
    """The images in a folder or an archive.

    Raises:
        SuiteError: It is neither, is damaged, or holds a name that leads out of it.
    """
    if location.is_dir():
        return FolderShelf(location)
    if not location.exists():
        raise SuiteError(f"images {location}: there is no such folder or archive")
    if location.name.endswith(".zip"):
        return _ZipShelf(location)
    if location.name.endswith(".tar"):
        return _TarShelf(location)
    raise SuiteError(f"images {location}: give a folder, a .zip or a .tar of images")


def _inner(name: str, where: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0]:
        raise SuiteError(f"{where}: the image name {name[:100]!r} leads out of its folder")
    return path


class FolderShelf:
    """Images in a folder."""

    def __init__(self, folder: Path, top: Path | None = None) -> None:
        """Where they are.

        Args:
            folder: What names are relative to.
            top: Links inside may lead to anywhere below this folder; None takes `folder`.
        """
        self._folder = folder
        self._top = (top or folder).resolve()

    def read(self, name: str, where: str) -> bytes:
        """See `Shelf`."""
        file = self._folder / _inner(name, where)
        try:
            real = file.resolve(strict=True)
            if not real.is_relative_to(self._top):
                raise SuiteError(f"{where}: the image {name[:100]!r} is a link out of its folder")
            if real.stat().st_size > MAX_ENCODED:
                raise SuiteError(f"{where}: the image {name[:100]!r} is over {MAX_ENCODED} bytes")
            return real.read_bytes()
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error)
            raise SuiteError(f"{where}: the image {file} cannot be read ({said})") from error


class _ZipShelf:
    def __init__(self, archive: Path) -> None:
        self._archive = archive
        try:
            self._zip = zipfile.ZipFile(archive)  # stays open as long as the shelf
        except (zipfile.BadZipFile, OSError) as error:
            raise SuiteError(f"archive {archive}: cannot be read ({error})") from error
        self._members = {
            str(_member(archive, entry.filename)): entry
            for entry in self._zip.infolist()
            if not entry.is_dir()
        }

    def read(self, name: str, where: str) -> bytes:
        entry = self._members.get(str(_inner(name, where)))
        if entry is None:
            raise SuiteError(f"{where}: the image {name[:100]!r} is not in {self._archive}")
        try:
            with self._zip.open(entry) as stream:  # what a header says is no bound
                return _bounded(stream.read(MAX_ENCODED + 1), name, where)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
            raise SuiteError(
                f"{where}: the image {name[:100]!r} in {self._archive} is damaged ({error})"
            ) from error


class _TarShelf:
    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            self._tape = tarfile.open(archive, "r:")  # noqa: SIM115  as long as the shelf
            for member in self._tape:
                if member.isreg():
                    self._members[str(_member(archive, member.name))] = member
                elif not member.isdir():
                    raise SuiteError(f"archive {archive}: {member.name!r} is a link or a device")
        except (tarfile.TarError, OSError) as error:
            raise SuiteError(f"archive {archive}: cannot be read ({error})") from error

    def read(self, name: str, where: str) -> bytes:
        member = self._members.get(str(_inner(name, where)))
        stream = self._tape.extractfile(member) if member is not None else None
        if stream is None:
            raise SuiteError(f"{where}: the image {name[:100]!r} is not in {self._archive}")
        try:
            return _bounded(stream.read(MAX_ENCODED + 1), name, where)
        except (tarfile.TarError, OSError) as error:
            raise SuiteError(
                f"{where}: the image {name[:100]!r} in {self._archive} is damaged ({error})"
            ) from error


def _member(archive: Path, name: str) -> PurePosixPath:
    return _inner(name, f"archive {archive}")


def _bounded(data: bytes, name: str, where: str) -> bytes:
    if len(data) > MAX_ENCODED:
        raise SuiteError(f"{where}: the image {name[:100]!r} unpacks to over {MAX_ENCODED} bytes")
    return data
