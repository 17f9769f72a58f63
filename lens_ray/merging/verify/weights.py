"""Rows of the tensors of a checkpoint folder, read when they are asked for: `Weights`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

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

    The folder was read by `lens_ray.models.checkpoint.inspect_checkpoint` before, so headers are
    sound.
    """

    def __init__(self, folder: Path, adapter: Folded | None = None) -> None:
        """Open the files.

        Args:
            folder: Local.
            adapter: Folded into what is read, which is float32 where it changes.
        """
        from safetensors import safe_open

        self._adapter = adapter
        self._stack = ExitStack()
        self._of: dict[str, Any] = {}
        for file in _files(folder):
            opened = self._stack.enter_context(safe_open(str(folder / file), framework="pt"))
            self._of.update(dict.fromkeys(opened.keys(), opened))

    def __enter__(self) -> Weights:
        """Itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the files."""
        self._stack.close()

    @property
    def names(self) -> list[str]:
        """Of all tensors, sorted."""
        return sorted(self._of)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor."""
        return tuple(self._of[name].get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """Of a tensor, as safetensors calls it."""
        return str(self._of[name].get_slice(name).get_dtype())

    def rows(self, name: str, first: int, last: int, *, folded: bool = True) -> Tensor:
        """Some rows, flat; (0, 1) of a scalar."""
        scalar = not self.shape(name)
        held = self._of[name].get_tensor(name) if scalar else self._of[name].get_slice(name)
        found: Tensor = (held if scalar else held[first:last]).reshape(-1)
        adapter = self._adapter if folded else None
        return found if adapter is None else adapter.adapted(name, (first, last), found)


def _files(folder: Path) -> list[str]:
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    held = json.loads((folder / INDEX).read_bytes())["weight_map"]
    return sorted(set(held.values()))
