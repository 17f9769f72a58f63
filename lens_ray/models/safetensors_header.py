"""Reads what a safetensors file says of itself, without its tensors.

The length of the file is compared with what its header promises, so that a truncated download or
a half-written checkpoint is found before any memory is spent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path

from lens_ray.errors import CheckpointError

_HEADER_LIMIT = 100_000_000
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """Type and shape of one tensor on disk."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def size(self) -> float:
        """Its bytes."""
        return self.elements * _BITS[self.dtype] / 8


@dataclass(frozen=True, slots=True)
class Span:
    """Where one tensor lies in its file.

    Attributes:
        facts: Its type and shape.
        begin: Its first byte in the file.
        end: The byte after its last one.
    """

    facts: TensorFacts
    begin: int
    end: int


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a name appears twice")
    return out


def _header(path: Path) -> tuple[dict[str, object], int]:
    """The decoded header, and how many bytes of tensors follow it."""
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f"{path}: the file is empty; copy the checkpoint again")
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= _HEADER_LIMIT:
            raise CheckpointError(
                f"{path}: not a safetensors file (it says that its header has {length} bytes); "
                "save the model with save_pretrained(..., safe_serialization=True)"
            )
        if 8 + length > size:
            raise CheckpointError(
                f"{path}: truncated: the header alone has {length} bytes, the file {size}; "
                "copy the checkpoint again"
            )
        raw = file.read(length)
    try:
        header = json.loads(raw, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: its safetensors header is no valid JSON: {error}"
        ) from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: its safetensors header is no JSON object")
    return header, size - 8 - length


def _tensor(path: Path, name: str, entry: object) -> tuple[TensorFacts, int, int]:
    bad = CheckpointError(
        f"{path}: tensor {name!r} has an impossible entry in the header: {entry!r}"
    )
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise bad
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not (isinstance(dtype, str) and isinstance(shape, list) and isinstance(offsets, list)):
        raise bad
    numbers = [*shape, *offsets]
    if len(offsets) != 2 or not all(type(n) is int and n >= 0 for n in numbers):
        raise bad
    if dtype not in _BITS:
        raise CheckpointError(f"{path}: tensor {name!r} has the unknown type {dtype!r}")
    facts = TensorFacts(dtype, tuple(shape))
    if facts.elements * _BITS[dtype] != 8 * (offsets[1] - offsets[0]):
        raise bad
    return facts, offsets[0], offsets[1]


def read_header(path: Path) -> dict[str, TensorFacts]:
    """Names, types and shapes of the tensors in a safetensors file.

    Raises:
        CheckpointError: The file is truncated, has bytes too many, or is no safetensors file.
    """
    return {name: span.facts for name, span in read_spans(path).items()}


def read_spans(path: Path) -> dict[str, Span]:
    """Where the tensors of a safetensors file lie.

    Raises:
        CheckpointError: The file is truncated, has bytes too many, or is no safetensors file.
    """
    header, room = _header(path)
    start = path.stat().st_size - room
    spans: dict[str, Span] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        facts, begin, end = _tensor(path, name, entry)
        spans[name] = Span(facts, start + begin, start + end)
    position = 0
    for begin, end in sorted((span.begin - start, span.end - start) for span in spans.values()):
        if begin != position:
            raise CheckpointError(f"{path}: tensors overlap or leave a gap at byte {position}")
        position = end
    if position > room:
        raise CheckpointError(
            f"{path}: truncated: the header promises {position} bytes, {room} are there; "
            "copy the checkpoint again"
        )
    if position < room:
        raise CheckpointError(
            f"{path}: {room - position} bytes too many at its end; copy the checkpoint again"
        )
    return spans
