"""Whether weights hold numbers at all: `broken_weights` looks for NaN and infinity on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Bits of the exponent, all of which are set in NaN and infinity, and those of the fraction.
_FORMATS: dict[str, tuple[str, int, int]] = {
    "BF16": ("<u2", 0x7F80, 0x007F),
    "F16": ("<u2", 0x7C00, 0x03FF),
    "F32": ("<u4", 0x7F800000, 0x007FFFFF),
    "F64": ("<u8", 0x7FF0000000000000, 0x000FFFFFFFFFFFFF),
}
_CHUNK = 1 << 24
#: Infinity is a mistake in these, and a way to write a mask in buffers.
_LEARNED = (".weight", ".bias")

#: Some bytes of a file: name, start, length.
Read = Callable[[str, int, int], bytes]


@dataclass(frozen=True, slots=True)
class ScanLimit:
    """How much is read.

    Attributes:
        size: Bytes of all files together; of larger weights the first of each tensor.
        tensors: Of each file, spread evenly; None is all.
    """

    size: int = 1 << 30
    tensors: int | None = None


def broken_weights(read: Read, files: Mapping[str, int], limit: ScanLimit) -> str | None:
    """Why weights cannot be trusted, in one line; None where nothing was found.

    A training step with NaN gradients leaves NaN in every tensor, so the beginning of each shows
    it. Formats of 8 bits and fewer are not looked at.

    Args:
        read: Reads the files.
        files: Bytes of each safetensors file; their headers are sound.
        limit: How much is read.

    Raises:
        StoreUnavailable: A file cannot be read.
        FileNotFoundError: A file is gone.
    """
    total = max(1, sum(files.values()))
    bad, looked = [], 0
    for file, size in files.items():
        head = int.from_bytes(read(file, 0, 8), "little")
        tensors = _spread(_floats(json.loads(read(file, 8, head))), limit.tensors)
        room = limit.size * size // total if total > limit.size else size
        each = max(1 << 16, room // max(1, len(tensors)))
        for name, (dtype, begin, end) in tensors:
            looked += 1
            until = end if total <= limit.size else min(end, begin + each // 8 * 8)
            if _is_broken(read, file, name, dtype, 8 + head + begin, 8 + head + until):
                bad.append(name)
    if not bad:
        return None
    return f"{len(bad)} of {looked} tensors hold NaN or infinity, {bad[0]} is one"


def _floats(header: Mapping[str, Any]) -> list[tuple[str, tuple[str, int, int]]]:
    found = []
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] in _FORMATS:
            begin, end = entry["data_offsets"]
            found.append((name, (str(entry["dtype"]), int(begin), int(end))))
    return found


def _spread(
    tensors: list[tuple[str, tuple[str, int, int]]], most: int | None
) -> list[tuple[str, tuple[str, int, int]]]:
    if most is None or len(tensors) <= most:
        return tensors
    return [tensors[number * len(tensors) // most] for number in range(most)]


def _is_broken(read: Read, file: str, name: str, dtype: str, begin: int, end: int) -> bool:
    kind, exponent, fraction = _FORMATS[dtype]
    width = int(kind[2:])
    for start in range(begin, end, _CHUNK):
        data = read(file, start, min(_CHUNK, end - start))
        bits = np.frombuffer(data[: len(data) // width * width], kind)
        odd = bits[(bits & exponent) == exponent]
        if odd.size and (name.endswith(_LEARNED) or bool((odd & fraction).any())):
            return True
    return False
