"""Where a source's data set is: a folder, a file or the hub; `locate` and `Located`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lens_ray.errors import SuiteError
from lens_ray.suites.readers.columnar import ColumnarTable, identity_of
from lens_ray.suites.readers.folder import commit_of, data_set_folder, find_split
from lens_ray.suites.readers.hub import bring_split
from lens_ray.suites.readers.shelves import FolderShelf, Shelf, open_shelf
from lens_ray.suites.readers.table import Table
from lens_ray.suites.readers.vlmevalkit import as_published, source_of_file
from lens_ray.suites.sources.base import Place, Source

HUB = "hub"
_FILES = (".tsv", ".parquet", ".arrow")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Located:
    """The files of a source's split.

    Attributes:
        source: Name of the source.
        files: In order, at least one; a ``.tsv`` is VLMEvalKit's table.
        revision: Commit of the hub, or None.
        data_set: What to call it.
        top: Folder that images named by path must lie in, or None.
        images: Folder or archive of images that was named for it, or None.
    """

    source: str
    files: tuple[Path, ...]
    revision: str | None
    data_set: str
    top: Path | None = None
    images: Path | None = None

    def identity(self) -> str:
        """What changes when the files or their revision change."""
        facts = f"{identity_of(self.files)} {self.revision} {self.images}"
        return hashlib.sha256(facts.encode()).hexdigest()

    def open(self) -> Table:
        """The data set, its files looked at."""
        shelf: Shelf | None = None
        if self.images is not None:
            shelf = open_shelf(self.images)
        elif self.top is not None:
            shelf = FolderShelf(self.files[0].parent, self.top)
        if self.files[0].suffix == ".tsv":
            return as_published(self.source, self.files[0], shelf)
        return ColumnarTable(self.files, revision=self.revision, shelf=shelf)


@dataclass(frozen=True)
class Origin:
    """One ``--from``.

    Attributes:
        path: Folder or file; None is the hub.
        source: The only source that it is for, or None.
    """

    path: Path | None
    source: str | None = None


def read_origin(text: str, sources: Sequence[str]) -> Origin:
    """What a ``--from`` means: ``hub``, a folder, a file, or ``SOURCE=`` one of them.

    Raises:
        SuiteError: There is no such folder or file, or a file's source is not known.
    """
    name, equals, rest = text.partition("=")
    source = name if equals and name in sources else None
    given = rest if source is not None else text
    if given == HUB:
        return Origin(None, source)
    path = Path(given)
    if not path.exists():
        raise SuiteError(
            f"--from {text}: there is no such folder or file; give {HUB}, a folder, a .tsv, "
            "or SOURCE=FOLDER"
        )
    if path.is_file():
        if path.suffix not in _FILES:
            raise SuiteError(f"--from {text}: give a {', '.join(_FILES)} file or a folder")
        source = source or source_of_file(path)
        if source is None:
            raise SuiteError(
                f"--from {text}: whose table it is its name does not say; type "
                f"--from SOURCE={text}, with one of {', '.join(sources)}"
            )
    return Origin(path, source)


def missing(
    sources: Sequence[tuple[Source, Place]], origins: Sequence[Origin]
) -> list[tuple[str, str]]:
    """Sources that no origin has, each with the folder name that was looked for."""
    return [
        (source.name, place.hub[0].rpartition("/")[2])
        for source, place in sources
        if not any(
            one.path is None or _paths(source.name, place, one)
            for one in origins
            if one.source in (None, source.name)
        )
    ]


def locate(
    source: Source,
    place: Place,
    origins: Sequence[Origin],
    *,
    revision: str | None = None,
    images: Path | None = None,
    say: Say,
) -> Located:
    """The files of a source, from the first origin that has it; the hub's are fetched.

    Args:
        source: Which.
        place: Its data set on the hub.
        origins: Where to look, in order.
        revision: Commit to take from the hub instead of the place's.
        images: Folder or archive of images that a table names.
        say: Takes a line on what is fetched.

    Raises:
        SuiteError: No origin has it.
        EnvironmentFailure: The hub cannot be reached.
    """
    for origin in origins:
        if origin.source not in (None, source.name):
            continue
        if origin.path is None:
            files, commit = bring_split(
                place.hub, place.config, place.split, revision or place.revision, say
            )
            named = f"{place.hub[0]}{f' ({place.config})' if place.config else ''}"
            return Located(source.name, tuple(files), commit, named)
        found = _paths(source.name, place, origin)
        if isinstance(found, Path) and found.is_file():
            top = found.parent
            return Located(source.name, (found,), None, found.name, top, images)
        if isinstance(found, Path):
            shards = find_split(found, place.config, place.split)
            top = origin.path
            return Located(source.name, tuple(shards), commit_of(found), found.name, top, images)
    raise SuiteError(f"{source.name}: is in none of the folders that --from names")


def _paths(source: str, place: Place, origin: Origin) -> Path | None:
    """The data set's folder, or its one file, that an origin has for a source."""
    assert origin.path is not None
    if origin.path.is_file():
        return origin.path if origin.source == source else None
    folder = data_set_folder(origin.path, (*place.hub, *_own_names(source, place)))
    if folder is None and origin.source == source:
        folder = origin.path  # said to be this one, whatever it is called
    if folder is not None:
        return folder
    tables = sorted(origin.path.glob("*.tsv"))
    return next((one for one in tables if source_of_file(one) == source), None)


def _own_names(source: str, place: Place) -> tuple[str, ...]:
    """A folder may be called as the source is, unless its subset is meant."""
    return () if place.split == "lite" else (f"data/{source}",)
