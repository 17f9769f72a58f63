"""Turns what a user wrote as ``path`` into a local checkpoint folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from lens_ray.errors import CheckpointError
from lens_ray.models.made import is_made, made
from lens_ray.models.remote import copied, is_remote

BUILTIN = "builtin:"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


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
        path: ``builtin:NAME/STEP``, folder, fsspec URL (``s3://``, ...), hub id, or
            ``merge:RECIPE``, which is made here.
        revision: Branch, tag or commit of a hub id.
        storage_options: For fsspec, where ``path`` is a URL.

    Returns:
        An absolute folder; that it holds a checkpoint is for `inspect_checkpoint` to say. A copy
        is in use by this process until `lens_ray.node_cache.release`.

    Raises:
        CheckpointError: Nothing is there.
        StoreUnavailable: The URL cannot be reached, or there is no room for a copy.
    """
    if "\0" in path or not path.strip():
        raise CheckpointError(f"{path!r} is no path of a checkpoint; write a folder")
    if path.startswith(BUILTIN):
        return _builtin(path)
    if is_made(path):
        if revision is not None:
            raise CheckpointError(f"{path[:80]}: a merge has no revision; take it out")
        return str(made(path))
    at_url = is_remote(path) or path.startswith("file://")
    if revision is not None and (at_url or Path(path).expanduser().exists()):
        raise CheckpointError(f"{path}: revision {revision!r} is only for a hub id; take it out")
    if is_remote(path):
        return str(copied(path, storage_options))
    path = path.removeprefix("file://")
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
