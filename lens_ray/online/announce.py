"""`announce`: a trainer says that a checkpoint is whole; nothing of it can stop or slow training.

::

    from lens_ray.online import announce

    model.save_pretrained(folder)
    announce(folder, step, {"loss": loss, "lr": rate, "tokens": tokens})

Metrics may have any name; these are read: ``tokens`` (trained on so far), ``gpu_hours`` (spent so
far), ``seconds_per_step`` (of training), ``loss`` and ``lr``.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  # registers its end, which must come after `flush`
import logging
import math
import os
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import SupportsFloat

from lens_ray.online.marker import MARKER, Marker

log = logging.getLogger(__name__)

#: How long `flush` waits for announcements to a bucket that are under way.
PATIENCE_S = 10.0
_REMOTE = "s3://"
#: Files of optimisers and random states: other processes of a training may still be writing theirs
#: when the first one announces.
_NOT_THE_MODEL = (".pt", ".pth", ".distcp")
_under_way: set[threading.Thread] = set()


def announce(
    path: str | os.PathLike[str], step: int, metrics: Mapping[str, SupportsFloat] | None = None
) -> None:
    """Say that a checkpoint is whole: a small file, ``lens-ray.json``, is put into its folder.

    In a folder it is there when this returns (written beside, then renamed: whole or not at all).
    To a bucket it is put by a thread, and this returns at once. Whatever goes wrong is one warning
    in the log: training goes on.

    Args:
        path: Folder or ``s3://`` URL of the checkpoint, all of whose files are written.
        step: Optimiser steps so far.
        metrics: What is known of it, by name; see the module. Tensors of one number will do.
    """
    try:
        place, known = os.fspath(path), dict(metrics or {})
        if place.startswith(_REMOTE):
            _start(place, step, known)
        else:
            _tell(place, step, known)
    except Exception as error:  # a path of the wrong kind, no more threads: no reason to die
        _warn(path, step, error)


def flush(timeout_s: float = PATIENCE_S) -> bool:
    """Wait for announcements to buckets that are under way; True where none is left.

    Called by itself when the process ends.
    """
    until = time.monotonic() + timeout_s
    for thread in tuple(_under_way):
        thread.join(max(0.0, until - time.monotonic()))
    return not _under_way


# Not only atexit, which runs after the threads of concurrent.futures have ended: without them no
# host name is looked up.
getattr(threading, "_register_atexit", atexit.register)(flush)


def _start(place: str, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
    # A daemon: a bucket that hangs must not hold up the end of the process for ever.
    thread = threading.Thread(
        target=_tell, args=(place, step, metrics), name="lens-announce", daemon=True
    )
    _under_way.add(thread)
    thread.start()


def _tell(place: str, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
    try:
        if place.startswith(_REMOTE):
            _to_bucket(place, step, metrics)
        else:
            _to_folder(Path(place.removeprefix("file://")), step, metrics)
    except Exception as error:  # announcing must never end a training run
        _warn(place, step, error)
    finally:
        _under_way.discard(threading.current_thread())


def _warn(place: object, step: object, error: Exception) -> None:
    log.warning(
        "checkpoint %s (step %s) is not announced: %s: %s; the watcher takes it when its files "
        "no longer change", place, step, type(error).__name__, error,
    )  # fmt: skip


def _to_folder(folder: Path, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
    files = {
        entry.name: entry.stat().st_size
        for entry in os.scandir(folder)
        if entry.is_file() and _counts(entry.name)
    }
    partial = folder / f"{MARKER}.partial"
    partial.write_bytes(_marker(step, metrics, files).to_bytes())
    partial.replace(folder / MARKER)


def _to_bucket(url: str, step: int, metrics: Mapping[str, SupportsFloat]) -> None:
    from lens_ray.store.objects import open_objects

    objects = open_objects(url)
    files = {one.key: one.size for one in objects.list("") if _counts(one.key)}
    there = objects.get_versioned(MARKER)
    data = _marker(step, metrics, files).to_bytes()
    if objects.swap(MARKER, data, there.version if there else None) is None:
        raise RuntimeError("another process announces it at the same time")


def _counts(name: str) -> bool:
    return not name.startswith(MARKER) and not name.endswith(_NOT_THE_MODEL) and "/" not in name


def _marker(step: int, metrics: Mapping[str, SupportsFloat], files: Mapping[str, int]) -> Marker:
    known = {name: _number(value) for name, value in metrics.items()}
    return Marker(
        step=step,
        announced_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        files=dict(sorted(files.items())),
        metrics={name: value for name, value in known.items() if value is not None},
        unusable=tuple(name for name, value in known.items() if value is None),
    )


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # a tensor, a NumPy scalar, or nonsense
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
