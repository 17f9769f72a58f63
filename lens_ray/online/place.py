"""Where a training run writes its checkpoints: `Place`, a folder or an ``s3://`` prefix.

Only what lies one folder below the run's path counts; and, where that folder holds no model, an
announced checkpoint one level deeper (Ray Train's ``checkpoint_TIME/checkpoint``). Everything is
read, nothing is written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from lens_ray.errors import StoreError, StoreUnavailable
from lens_ray.online.marker import MARKER
from lens_ray.store.bucket import BucketObjects

#: Files by which a checkpoint is known; an optimiser's state and logs are none.
_KNOWN = frozenset({".safetensors", ".json", ".jinja", ".txt", ".model", ".py"})
#: Written by trainers beside the model, or by `announce`, after the model.
_BESIDE = frozenset({MARKER, "trainer_state.json"})


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file of a checkpoint.

    Attributes:
        size: Bytes.
        version: What changes with its content: time of its last change, or ETag.
        written: When that was, in seconds since 1970, by the clock of its place.
        arrived: When it came to be there as it is: no copy can set it back.
    """

    size: int
    version: str
    written: float
    arrived: float


@dataclass(frozen=True, slots=True)
class FolderFact:
    """A folder below a run's path.

    Attributes:
        name: Of the folder, below the run's path.
        path: Folder or URL.
        files: Directly in it, by name.
        trouble: Why nobody can look into it; one line.
    """

    name: str
    path: str
    files: Mapping[str, FileFact]
    trouble: str | None = None

    @property
    def model_files(self) -> dict[str, FileFact]:
        """Those that make the model, by name."""
        return {
            name: fact
            for name, fact in sorted(self.files.items())
            if PurePosixPath(name).suffix in _KNOWN and name not in _BESIDE
        }

    @property
    def mark(self) -> str:
        """Fingerprint of the model's files."""
        facts = [[name, fact.size, fact.version] for name, fact in self.model_files.items()]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    @property
    def written(self) -> float:
        """When the last of the model's files was written; 0 without files."""
        return max((fact.written for fact in self.model_files.values()), default=0.0)

    @property
    def arrived(self) -> float:
        """When the last of the model's files came to be there; 0 without files."""
        return max((fact.arrived for fact in self.model_files.values()), default=0.0)

    @property
    def size(self) -> int:
        """Bytes of the model's files."""
        return sum(fact.size for fact in self.model_files.values())


class Place(Protocol):
    """The path of a run."""

    def folders(self) -> list[FolderFact]:
        """The folders below it, by name.

        Raises:
            StoreUnavailable: It cannot be listed.
            FileNotFoundError: There is no such path; it may come.
        """
        ...

    def read(self, folder: FolderFact, name: str, start: int, length: int) -> bytes:
        """Some bytes of a file, fewer where it ends before.

        Raises:
            StoreUnavailable: It cannot be read.
            FileNotFoundError: It is gone.
        """
        ...


def open_place(path: str) -> Place:
    """The place of a run.

    Raises:
        StoreError: The path names none.
    """
    if path.startswith("s3://"):
        return BucketPlace(path)
    scheme, separator, rest = path.partition("://")
    if separator and scheme != "file":
        raise StoreError(f"{path}: {scheme}:// cannot be watched; give a folder or an s3:// URL")
    return FolderPlace(rest if separator else path)


class FolderPlace:
    """A `Place` on a disk or a mount."""

    def __init__(self, path: str) -> None:
        """Nothing is read yet."""
        self._root = Path(os.path.abspath(os.path.expanduser(path)))

    def folders(self) -> list[FolderFact]:
        """See `Place.folders`."""
        try:
            with os.scandir(self._root) as entries:
                names = sorted(entry.name for entry in entries if _is_folder(entry))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unreadable(self._root, error) from error
        found = []
        for name in names:
            folder = self._root / name
            try:
                files, inner = _content(folder)
                found.append(FolderFact(name, str(folder), files))
                for below in () if _is_model(files) else inner:
                    files, _ = _content(folder / below)
                    if MARKER in files:
                        found.append(FolderFact(f"{name}/{below}", str(folder / below), files))
            except FileNotFoundError:
                continue  # deleted meanwhile
            except OSError as error:
                found.append(FolderFact(name, str(folder), {}, str(_unreadable(folder, error))))
        return found

    def read(self, folder: FolderFact, name: str, start: int, length: int) -> bytes:
        """See `Place.read`."""
        path = Path(folder.path, name)
        try:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(length)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unreadable(path, error) from error


class BucketPlace:
    """A `Place` in a bucket."""

    def __init__(self, url: str) -> None:
        """Nothing is asked yet."""
        self._objects = BucketObjects(url)

    def folders(self) -> list[FolderFact]:
        """See `Place.folders`."""
        files: dict[str, dict[str, FileFact]] = {}
        try:
            for found in self._objects.list(""):
                folder, _, name = found.key.rpartition("/")
                if folder and name and folder.count("/") < 2:
                    when = found.modified
                    fact = FileFact(found.size, found.tag or str(when), when, when)
                    files.setdefault(folder, {})[name] = fact
        except StoreUnavailable as error:
            raise _not_a_store(error) from error
        root = self._objects.url
        return [
            FolderFact(name, f"{root}/{name}", held)
            for name, held in sorted(files.items())
            if "/" not in name
            or (MARKER in held and not _is_model(files.get(name.partition("/")[0], {})))
        ]

    def read(self, folder: FolderFact, name: str, start: int, length: int) -> bytes:
        """See `Place.read`."""
        try:
            data = self._objects.get_range(f"{folder.name}/{name}", start, length)
        except StoreUnavailable as error:
            raise _not_a_store(error) from error
        if data is None:
            raise FileNotFoundError(f"{folder.path}/{name}")
        return data


def _content(folder: Path) -> tuple[dict[str, FileFact], list[str]]:
    """The files and the folders directly in a folder."""
    files, inner = {}, []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if _is_folder(entry):
                    inner.append(entry.name)
                    continue
                facts = entry.stat()
            except OSError:
                continue  # deleted meanwhile, or a link to nowhere
            files[entry.name] = FileFact(
                facts.st_size, str(facts.st_mtime_ns), facts.st_mtime, facts.st_ctime
            )
    return files, sorted(inner)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_model(files: Mapping[str, FileFact]) -> bool:
    return MARKER in files or "config.json" in files


def _unreadable(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"{path}: {error.strerror or type(error).__name__}; check the path")


def _not_a_store(error: StoreUnavailable) -> StoreUnavailable:
    """The same; what is watched is no store, and is only read."""
    text = str(error).removeprefix("store ").replace("s3:GetObject, s3:PutObject", "s3:GetObject")
    return StoreUnavailable(text)
