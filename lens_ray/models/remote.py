"""Checkpoints at URLs, copied to this machine's disk: `copied`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lens_ray.errors import CheckpointError, StoreUnavailable
from lens_ray.fetching import Remote, fetch, remote
from lens_ray.models.made import is_made
from lens_ray.node_cache import CHECKPOINTS, hold, home, keep, memory_home

_URL = re.compile(r"[a-z][a-z0-9+.-]*://.+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COPIED = {".safetensors", ".json", ".jinja", ".txt", ".model", ".py"}


def is_remote(path: str) -> bool:
    """Whether a checkpoint's path is a URL whose files are copied before they are used."""
    return _URL.fullmatch(path) is not None and not path.startswith("file://")


def is_brought(path: str) -> bool:
    """Whether a checkpoint is brought to each machine: copied from a URL, or made there."""
    return is_remote(path) or is_made(path)


def copied(url: str, options: Mapping[str, object] | None = None, *, beyond: bool = True) -> Path:
    """The local copy of a checkpoint at a URL: made once for each state of its files.

    Args:
        url: fsspec URL of the folder.
        options: For fsspec.
        beyond: Whether it may be larger than ``$LENS_RAY_CACHE_GB`` leaves room for.

    Raises:
        CheckpointError: Nothing is there.
        StoreUnavailable: It cannot be reached, changes meanwhile, or there is no room for it.
    """
    url = url.rstrip("/")
    options = options or {}
    files, found = _listing(url, options)
    sizes = {one.name: one.size for one in found}

    def fill(folder: Path) -> None:
        fetch(files, found, folder)
        if _listing(url, options)[1] != found:
            raise StoreUnavailable(
                f"{url} was written to while it was copied; run it again once it is whole"
            )

    def sound(folder: Path) -> bool:
        # A crash of the machine may leave files shorter than they were.
        return all(_size(folder / name) == size for name, size in sizes.items())

    return keep(place_of(_state(url, found)), fill, sum(sizes.values()), sound, beyond=beyond)


def place_of(state: str) -> Path:
    """Where the copy of a checkpoint in a state lies, or would, on this machine."""
    return home() / CHECKPOINTS / state


def places_of(state: str) -> tuple[Path, ...]:
    """Where it may lie, as one that is made need not be on a disk."""
    memory = memory_home()
    held = (memory / CHECKPOINTS / state,) if memory is not None else ()
    return (*held, place_of(state))


def held_copy(folder: str) -> str | None:
    """The copy here of what another machine has in a folder; in use from now on."""
    there = Path(folder)
    for place in (there, *places_of(there.name)):
        if hold(place):
            return str(place)
    return None


def _state(url: str, found: list[Remote]) -> str:
    facts = [url, [[one.path, one.name, one.size, one.version] for one in found]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None


def _listing(url: str, options: Mapping[str, object]) -> tuple[Any, list[Remote]]:
    """The file system of a URL, and the checkpoint's files."""
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(url, **{"use_listings_cache": False, **options})
    except (ValueError, ImportError) as error:
        raise CheckpointError(f"{url}: {error}") from error
    try:
        entries = files.ls(root, detail=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {url}; check bucket and prefix") from error
    except Exception as error:  # every protocol has its own exceptions for "cannot reach it"
        raise StoreUnavailable(
            f"{url} cannot be listed: {type(error).__name__}: {error}"
        ) from error
    found = []
    for entry in entries:
        name = PurePosixPath(str(entry["name"])).name
        if entry.get("type") != "file" or PurePosixPath(name).suffix not in _COPIED:
            continue
        if not _NAME.fullmatch(name):
            raise CheckpointError(f"{url}: {name!r} is no file name of a checkpoint")
        found.append(remote(entry, name))
    if not found:
        raise CheckpointError(f"no checkpoint at {url}: it holds no config.json, no *.safetensors")
    return files, sorted(found)
