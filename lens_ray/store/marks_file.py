"""A checkpoint's marks in a few kilobytes, made from its rows: `MarksFile`.

The rows stay what counts: each file says of which run's rows it was made and how many manifests
these were in, so that whoever reads it can see whether there are newer ones, and make it again.
The bytes are one line of JSON, then the scores as float64 (little-endian), compressed by zlib.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lens_ray.store.records import build, dump, load

_KIND = "marks"
_VERSION = 1
#: A suite with more units has no use for this.
_MOST = 50_000_000
_LEVEL = 6


@dataclass(frozen=True)
class MarksFile:
    """The marks of one checkpoint.

    Attributes:
        run_id: Of its run.
        step: Its step.
        depth: ``anchor`` or ``full``.
        upto: How many manifests the rows were in.
        units: Digest of the units (`lens_ray.store.watch_log.WatchLog.units`).
        score: Of each of these, in their order; NaN where the checkpoint has no answer.
        health: What its answers are like, as JSON values.
    """

    run_id: str
    step: int
    depth: str
    upto: int
    units: str
    score: npt.NDArray[np.float64] = field(repr=False)
    health: Mapping[str, object] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """As it is stored."""
        head = {
            "kind": _KIND,
            "schema_version": _VERSION,
            "run_id": self.run_id,
            "step": self.step,
            "depth": self.depth,
            "upto": self.upto,
            "units": self.units,
            "count": len(self.score),
            "health": dict(self.health),
        }
        return dump(head) + zlib.compress(self.score.astype("<f8").tobytes(), _LEVEL)


def parse_marks(data: bytes) -> MarksFile:
    """The marks in some bytes.

    Raises:
        ValueError: They are damaged.
        StoreError: A newer version of lens-ray wrote them.
    """
    line, separator, packed = data.partition(b"\n")
    if not separator:
        raise ValueError("no marks")
    head = load(line, _KIND)
    count = head.get("count")
    if type(count) is not int or not 0 <= count <= _MOST:
        raise ValueError(f"count {count!r}")
    unpack = zlib.decompressobj()
    try:
        raw = unpack.decompress(packed, 8 * count + 1)
    except zlib.error as error:
        raise ValueError(f"its scores are damaged ({error})") from error
    if len(raw) != 8 * count or not unpack.eof:
        raise ValueError(f"{len(raw) // 8} scores where there are {count}")
    found = build(MarksFile, head, score=np.frombuffer(raw, dtype="<f8").astype(np.float64))
    if type(found.step) is not int or type(found.upto) is not int:
        raise ValueError("step and upto are numbers")
    if not isinstance(found.units, str) or not isinstance(found.health, dict):
        raise ValueError("units or health are missing")
    return found
