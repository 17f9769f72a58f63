"""How the weights of a merge lie on disk, before a number of them is known: `lay_out`.

Types and shapes are those of the parents, so every header and every tensor's place can be written
down first, and the rows can then be put there in any order. Tensors go by alignment and name, as
safetensors itself orders them, so the files do not depend on how the parents are sharded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from lens_ray.models.checkpoint import WEIGHTS
from lens_ray.models.safetensors_header import TensorFacts

#: Types whose numbers are averaged; tensors of other types must be equal in all parents.
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tensor of the merge goes.

    Attributes:
        name: Of the tensor.
        source: Its type and shape in the parents.
        dtype: Its type in the merge, as safetensors names it.
        file: Number of its file in `Layout.files`.
        begin: Its first byte in that file.
    """

    name: str
    source: TensorFacts
    dtype: str
    file: int
    begin: int

    @property
    def merged(self) -> bool:
        """Whether its numbers are averaged; other tensors are copied."""
        return self.source.dtype in FLOATS

    @property
    def size(self) -> int:
        """Its bytes in the merge."""
        return int(TensorFacts(self.dtype, self.source.shape).size)


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One weight file of the merge.

    Attributes:
        name: Of the file.
        header: The bytes before its first tensor.
        size: All of its bytes.
    """

    name: str
    header: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """All weight files of a merge.

    Attributes:
        files: In the order of their names.
        places: Every tensor, in the order of the files and their bytes.
        index: Content of ``model.safetensors.index.json``; None of a single file.
    """

    files: tuple[WeightFile, ...]
    places: tuple[Place, ...]
    index: bytes | None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def lay_out(
    tensors: Mapping[str, TensorFacts], dtype: str | None = None, shard_gb: float = 5.0
) -> Layout:
    """Give every tensor its place.

    Args:
        tensors: Of the parents.
        dtype: Of the floating tensors, as a recipe has it; None keeps each one's.
        shard_gb: Largest weight file in GB (10^9 bytes); a single tensor may be larger.
    """
    new = {name: _dtype(facts, dtype) for name, facts in tensors.items()}
    order = sorted(tensors, key=lambda name: (-_width(new[name]), name))
    shards = _shards([(name, int(TensorFacts(new[name], tensors[name].shape).size)) for name in
                      order], int(shard_gb * 10**9))  # fmt: skip
    files, places = [], []
    for number, names in enumerate(shards):
        file, begins = _file(_file_name(number, len(shards)), names, tensors, new)
        files.append(file)
        places += [Place(name, tensors[name], new[name], number, begins[name]) for name in names]
    index = _index(files, places) if len(files) > 1 else None
    return Layout(tuple(files), tuple(places), index)


def row_ranges(shape: tuple[int, ...], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of whole rows, each of at most so many numbers (or of one row).

    Args:
        shape: Of the tensor; a scalar has one row.
        most: Numbers.
    """
    rows = shape[0] if shape else 1
    each = max(1, most // max(1, prod(shape[1:])))
    for first in range(0, rows, each):
        yield first, min(rows, first + each)


def _dtype(facts: TensorFacts, wanted: str | None) -> str:
    return _DTYPES[wanted] if wanted is not None and facts.dtype in FLOATS else facts.dtype


def _width(dtype: str) -> float:
    """Bytes of one number, larger ones first: then every tensor is aligned."""
    return TensorFacts(dtype, ()).size


def _shards(sizes: list[tuple[str, int]], most: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    room = most
    for name, size in sizes:
        if size > room and shards[-1]:
            shards.append([])
            room = most
        shards[-1].append(name)
        room -= size
    return shards


def _file_name(number: int, count: int) -> str:
    return WEIGHTS if count == 1 else f"model-{number + 1:05d}-of-{count:05d}.safetensors"


def _file(
    name: str, held: list[str], tensors: Mapping[str, TensorFacts], new: Mapping[str, str]
) -> tuple[WeightFile, dict[str, int]]:
    """One file, and where each of its tensors begins in it."""
    head: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begins, position = {}, 0
    for tensor in held:
        begins[tensor] = position
        end = position + int(TensorFacts(new[tensor], tensors[tensor].shape).size)
        head[tensor] = {
            "dtype": new[tensor],
            "shape": list(tensors[tensor].shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    header = len(text).to_bytes(8, "little") + text
    shifted = {tensor: begin + len(header) for tensor, begin in begins.items()}
    return WeightFile(name, header, len(header) + position), shifted


def _index(files: list[WeightFile], places: list[Place]) -> bytes:
    told = {
        "metadata": {
            "total_parameters": sum(place.source.elements for place in places),
            "total_size": sum(place.size for place in places),
        },
        "weight_map": {place.name: files[place.file].name for place in sorted(
            places, key=lambda place: place.name)},
    }  # fmt: skip
    return json.dumps(told, indent=2).encode() + b"\n"
