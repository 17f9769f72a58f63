"""What lies beside the weights of a merge: the model's other files, the index, the record."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from lens_ray.errors import CheckpointError
from lens_ray.merging.layout import Layout
from lens_ray.merging.same_files import model_files
from lens_ray.merging.writer import MODE
from lens_ray.models.checkpoint import INDEX

#: Where a configuration says in which type its numbers are, old and new.
_DTYPE_KEYS = ("dtype", "torch_dtype")


def write_companions(
    first: Path, layout: Layout, dtype: str | None, folder: Path, *, durable: bool
) -> dict[str, str]:
    """Copy the model's other files, which are equal in all parents.

    Args:
        first: Folder of the first parent, whose copies are taken.
        layout: Of the weights.
        dtype: Of the recipe; where it is given, ``config.json`` says it too.
        folder: Of the merge.
        durable: Whether the disk is waited for.

    Returns:
        SHA-256 of each file, by name.

    Raises:
        CheckpointError: A file of the parent is gone.
        OSError: The folder cannot be written, or is full.
    """
    digests = {}
    for name in model_files(first):
        data = _read(first / name)
        if name == "config.json" and dtype is not None:
            data = _in_dtype(data, dtype)
        digests[name] = write_file(folder / name, data, durable=durable)
    if layout.index is not None:
        digests[INDEX] = write_file(folder / INDEX, layout.index, durable=durable)
    return digests


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); was it deleted meanwhile?"
        ) from error


def write_file(path: Path, data: bytes, *, durable: bool) -> str:
    """Write a small file that others may read; returns its SHA-256."""
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    return hashlib.sha256(data).hexdigest()


def _in_dtype(config: bytes, dtype: str) -> bytes:
    told = json.loads(config)
    changed = _replaced(told, dtype)
    return config if changed == told else json.dumps(changed, indent=2).encode() + b"\n"


def _replaced(value: object, dtype: str) -> object:
    if isinstance(value, dict):
        return {
            key: dtype if key in _DTYPE_KEYS and isinstance(item, str) else _replaced(item, dtype)
            for key, item in value.items()
        }
    return [_replaced(item, dtype) for item in value] if isinstance(value, list) else value
