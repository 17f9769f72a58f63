"""A suite in one file: unpacked name by name, because an archive is untrusted."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from lens_ray.errors import SuiteError
from lens_ray.suites.files import FILES

#: No file of an archive may unpack to more bytes than this.
MAX_BYTES = 32 * 1024**3


def unpack(archive: Path, target: Path) -> None:
    """Unpack the three files of a suite, and nothing else, into a folder.

    They may lie in one folder of the archive. The names in the archive never become paths.

    Raises:
        SuiteError: A name leads out of the archive, is a link or no file of a suite, one is
            missing, one is too large, or the archive is damaged.
    """
    seen: set[str] = set()
    try:
        for name, size, stream in _members(archive):
            path = PurePosixPath(name.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
                raise SuiteError(f"archive {archive}: the name {name!r} leads out of the archive")
            if stream is None:
                raise SuiteError(f"archive {archive}: {name!r} is a link or a device")
            if path.name not in FILES or len(path.parts) > 2 or path.name in seen:
                raise SuiteError(
                    f"archive {archive}: {name!r} is no file of a suite; "
                    f"pack only {', '.join(FILES)}"
                )
            if size > MAX_BYTES:
                raise SuiteError(f"archive {archive}: {name!r} unpacks to {size} bytes")
            seen.add(path.name)
            with stream, (target / path.name).open("wb") as sink:
                shutil.copyfileobj(stream, sink)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise SuiteError(f"archive {archive}: cannot be unpacked ({error})") from error
    missing = [file for file in FILES if file not in seen]
    if missing:
        raise SuiteError(f"archive {archive}: {missing[0]} is missing in it")


def _members(archive: Path) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    """Name, size and content of every member that is no folder; None for links and devices."""
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                if not entry.is_dir():
                    is_link = entry.external_attr >> 28 == 0xA
                    yield entry.filename, entry.file_size, None if is_link else packed.open(entry)
        return
    with tarfile.open(archive) as tape:
        for member in tape:
            if not member.isdir():
                yield member.name, member.size, tape.extractfile(member) if member.isreg() else None
