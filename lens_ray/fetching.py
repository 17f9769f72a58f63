"""Files at a URL, brought to a local folder several at once: `fetch`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lens_ray.errors import StoreUnavailable
from lens_ray.node_cache import is_full

#: Files that come at once.
_AT_ONCE = 4
#: A transfer that broke is tried again so often; what s3fs repeats by itself not counted.
_TRIES = 3
_PAUSE_S = 0.5
#: s3fs would hold ten pieces of 50 MiB of each file in memory.
_PIECES = {"chunksize": 16 * 2**20, "max_concurrency": 4}


@dataclass(frozen=True, slots=True, order=True)
class Remote:
    """A file at a URL.

    Attributes:
        path: As its file system names it.
        name: Of the local file.
        size: Bytes.
        version: What changes with its content, as far as the file system says (ETag, mtime).
    """

    path: str
    name: str
    size: int
    version: str


def remote(entry: dict[str, Any], name: str) -> Remote:
    """A file as fsspec describes it."""
    version = str(entry.get("ETag") or entry.get("etag") or entry.get("mtime") or "")
    return Remote(str(entry["name"]), name, int(entry["size"]), version)


def fetch(files: Any, wanted: Sequence[Remote], folder: Path) -> None:
    """Bring files to a folder, the largest first.

    Args:
        files: fsspec's file system.
        wanted: Which.
        folder: Is there, and lacks them.

    Raises:
        StoreUnavailable: One cannot be read, or has another size than it was said to have.
        OSError: The disk is full.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as threads:
        ordered = sorted(wanted, key=lambda one: -one.size)
        coming = [threads.submit(_fetch, files, one, folder / one.name) for one in ordered]
        done, _ = wait(coming, return_when=FIRST_EXCEPTION)
        if any(one.exception() is not None for one in done):
            threads.shutdown(wait=False, cancel_futures=True)
    for one in coming:
        if not one.cancelled():
            one.result()


def _fetch(files: Any, one: Remote, local: Path) -> None:
    protocol = files.protocol
    given = _PIECES if "s3" in ((protocol,) if isinstance(protocol, str) else protocol) else {}
    for left in reversed(range(_TRIES)):
        try:
            files.get_file(one.path, str(local), **given)
            break
        except Exception as error:  # every protocol has its own exceptions
            if is_full(error):
                raise
            if not left or isinstance(error, FileNotFoundError | PermissionError):
                cause = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                raise StoreUnavailable(
                    f"{one.path} cannot be copied to {local.parent}: {cause}"
                ) from error
            time.sleep(_PAUSE_S)
    if local.stat().st_size != one.size:
        raise StoreUnavailable(
            f"{one.path} has {one.size} bytes, {local.stat().st_size} arrived; run it again"
        )
