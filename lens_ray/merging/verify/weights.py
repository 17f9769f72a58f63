"""Rows of the tensors of a checkpoint folder, read when they are asked for: `Weights`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lens_ray.merging.reader import Reader
from lens_ray.merging.stream import torch_types
from lens_ray.models.checkpoint import INDEX, WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor


class Folded(Protocol):
    """What changes a tensor while it is read: `lens_ray.merging.adapters.Adapter`."""

    def adapted(self, tensor: str, rows: tuple[int, int], numbers: Tensor) -> Tensor:
        """Some rows with the adapter folded in, float32 or wider; as they are without one."""
        ...


class Weights:
    """A checkpoint's tensors; a context that closes its files.

    Files are read and not mapped, as in a merge: one that shrinks meanwhile is an error and no
    SIGBUS.
    """

    def __init__(self, folder: Path, adapter: Folded | None = None) -> None:
        """Open the files.

        Args:
            folder: Local.
            adapter: Folded into what is read, which is float32 where it changes.
        """
        self._adapter = adapter
        self._reader = Reader(folder, _files(folder))

    def __enter__(self) -> Weights:
        """Itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the files."""
        self._reader.close()

    @property
    def names(self) -> list[str]:
        """Of all tensors, sorted."""
        return sorted(self._reader.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor."""
        return self._reader.tensors[name].shape

    def dtype(self, name: str) -> str:
        """Of a tensor, as safetensors calls it."""
        return self._reader.tensors[name].dtype

    def rows(self, name: str, first: int, last: int, *, folded: bool = True) -> Tensor:
        """Some rows, flat; (0, 1) of a scalar. Of types that are not floating, their bytes."""
        import torch

        facts = self._reader.tensors[name]
        size = int(facts.size) // max(1, facts.shape[0] if facts.shape else 1) * (last - first)
        read = torch.empty(size, dtype=torch.uint8)
        memory: Any = read.numpy()  # a buffer, which numpy's types do not say
        self._reader.read(name, (first, last), memoryview(memory))
        found = read.view(torch_types().get(facts.dtype, torch.uint8))
        adapter = self._adapter if folded else None
        return found if adapter is None else adapter.adapted(name, (first, last), found)


def _files(folder: Path) -> list[str]:
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    held = json.loads((folder / INDEX).read_bytes())["weight_map"]
    return sorted(set(held.values()))
