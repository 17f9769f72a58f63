"""Digests of the parents' weights: `weights_digest`.

That of three parents takes as long as their merge, so it is kept (`lens_ray.models.kept_digests`).
"""

from __future__ import annotations

import hashlib
import threading

from lens_ray.merging.reader import Reader
from lens_ray.models.kept_digests import KeptDigest

_CHUNK = 1 << 20


def weights_digest(reader: Reader, stopped: threading.Event) -> str:
    """SHA-256 over all weight files of a parent; one that was made before is taken again.

    Args:
        reader: Of the parent.
        stopped: Nobody waits for it any more; then it is empty.

    Raises:
        CheckpointError: A file changed since it was opened.
    """
    kept = KeptDigest([reader.state(file) for file in range(len(reader.files))])
    if (known := kept.known()) is not None:
        return known
    total = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    for file in range(len(reader.files)):
        position = 0
        while came := reader.raw(file, position, buffer):
            if stopped.is_set():
                return ""
            total.update(buffer[:came])
            position += came
    reader.require_unchanged()
    kept.keep(total.hexdigest())
    return total.hexdigest()
