"""Turns what a user wrote as ``path`` into a local checkpoint folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from lens_ray.errors import CheckpointError, StoreUnavailable

BUILTIN = "builtin:"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://.+")
_COPIED = {".safetensors", ".json", ".jinja", ".txt", ".model", ".py"}


def home() -> Path:
    """The folder that lens-ray keeps copies in: ``$LENS_RAY_HOME``, else the user's cache."""
    named = os.environ.get("LENS_RAY_HOME")
    return Path(named) if named else Path.home() / ".cache" / "lens-ray"


def builtin_root() -> Path:
    """Where the shipped checkpoints lie."""
    return Path(__file__).resolve().parent.parent / "builtin"


def builtin_names() -> list[str]:
    """Every ``NAME/STEP`` that ``builtin:`` knows."""
    root = builtin_root()
    return sorted(
        f"{config.parent.parent.name}/{config.parent.name}"
        for config in root.glob("*/*/config.json")
    )


def resolve(
    path: str,
    revision: str | None = None,
    *,
    storage_options: Mapping[str, object] | None = None,
) -> str:
    """Find the local folder of a checkpoint; a URL is copied into the cache first.

    Args:
        path: ``builtin:NAME/STEP``, folder, fsspec URL (``s3://``, ...) or hub id.
        revision: Branch, tag or commit of a hub id.
        storage_options: For fsspec, where ``path`` is a URL.

    Returns:
        An absolute folder; that it holds a checkpoint is for `inspect_checkpoint` to say.

    Raises:
        CheckpointError: Nothing is there.
        StoreUnavailable: The URL cannot be reached.
    """
    if "\0" in path or not path.strip():
        raise CheckpointError(f"{path!r} is no path of a checkpoint; write a folder")
    if path.startswith(BUILTIN):
        return _builtin(path)
    if revision is not None and (_URL.fullmatch(path) or Path(path).expanduser().exists()):
        raise CheckpointError(f"{path}: revision {revision!r} is only for a hub id; take it out")
    if path.startswith("file://"):
        path = path.removeprefix("file://")
    if _URL.fullmatch(path):
        return str(_copied(path.rstrip("/"), storage_options or {}))
    folder = Path(path).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if folder.exists():
        raise CheckpointError(
            f"{path} is a file; a checkpoint is a folder with config.json and *.safetensors, "
            f"perhaps {folder.parent}"
        )
    if _HUB_ID.fullmatch(path):
        return _from_hub_cache(path, revision)
    raise CheckpointError(f"no checkpoint folder at {path}; check the path (now in {Path.cwd()})")


def _builtin(path: str) -> str:
    name = path.removeprefix(BUILTIN)
    parts = name.split("/")
    if len(parts) == 2 and all(_PART.fullmatch(part) for part in parts):
        folder = builtin_root().joinpath(*parts)
        if (folder / "config.json").is_file():
            return str(folder)
    known = builtin_names()
    near = get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {BUILTIN}{near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
    raise CheckpointError(f"no built-in checkpoint is called {path!r}; {hint}")


def _from_hub_cache(repo: str, revision: str | None) -> str:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    at = f" --revision {revision}" if revision else ""
    try:
        return str(snapshot_download(repo, revision=revision, local_files_only=True))
    except HFValidationError as error:
        raise CheckpointError(f"{repo!r} is neither a folder nor a hub id: {error}") from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{repo!r} is no folder here and not in the hub's cache; "
            f"download it first: hf download {repo}{at}"
        ) from error


def _listing(
    url: str, options: Mapping[str, object]
) -> tuple[object, list[tuple[str, str, int, str]]]:
    """The file system of a URL, and (remote, name, size, version) of the checkpoint's files."""
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
        remote = str(entry["name"])
        name = PurePosixPath(remote).name
        if entry.get("type") != "file" or PurePosixPath(name).suffix not in _COPIED:
            continue
        if not _PART.fullmatch(name):
            raise CheckpointError(f"{url}: {name!r} is no file name of a checkpoint")
        version = str(entry.get("ETag") or entry.get("etag") or entry.get("mtime") or "")
        found.append((remote, name, int(entry["size"]), version))
    if not found:
        raise CheckpointError(f"no checkpoint at {url}: it holds no config.json, no *.safetensors")
    return files, sorted(found)


def _copied(url: str, options: Mapping[str, object]) -> Path:
    """The local copy of a checkpoint at a URL: made once for each state of its files."""
    files, found = _listing(url, options)
    state = hashlib.sha256(json.dumps([url, found]).encode()).hexdigest()[:32]
    target = home() / "checkpoints" / state
    if target.is_dir():
        return target
    partial = target.with_name(f"{state}.{uuid.uuid4().hex}.partial")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise StoreUnavailable(f"{partial.parent} cannot be written: {error}") from error
    try:
        for remote, name, size, _ in found:
            _fetch(files, remote, partial / name, size)
        partial.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster, with the same bytes
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _fetch(files: object, remote: str, local: Path, size: int) -> None:
    try:
        files.get_file(remote, str(local))  # type: ignore[attr-defined]
    except Exception as error:  # every protocol has its own exceptions
        raise StoreUnavailable(
            f"{remote} cannot be copied to {local.parent}: {type(error).__name__}: {error}"
        ) from error
    if local.stat().st_size != size:
        raise StoreUnavailable(
            f"{remote} has {size} bytes, {local.stat().st_size} arrived; run it again"
        )
