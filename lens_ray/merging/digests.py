"""Digests of weight files: while they are written, and those of parents that are known already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from lens_ray.merging.reader import Reader

_CHUNK = 1 << 22


def weights_digest(reader: Reader) -> str:
    """SHA-256 over all weight files, as `lens_ray.models.checkpoint.CheckpointFacts` has it."""
    total = hashlib.sha256()
    for data in _chunks(reader):
        total.update(data)
    return total.hexdigest()


def _chunks(reader: Reader) -> Iterable[memoryview]:
    buffer = memoryview(bytearray(_CHUNK))
    for file in range(len(reader.files)):
        begin = 0
        while came := reader.raw(file, begin, buffer):
            yield buffer[:came]
            begin += came
