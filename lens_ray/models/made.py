"""Checkpoints that are made on each machine that needs them: paths such as ``merge:RECIPE``.

Who makes them lies above this package, so it is found by name, as backends of other packages are.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Protocol, cast

MERGE = "merge:"
GROUP = "lens_ray.checkpoints"
_MAKERS = {
    MERGE: EntryPoint("merge", "lens_ray.merging.materialise:materialise", GROUP),
}


class Maker(Protocol):
    """Makes a checkpoint in this machine's cache, once for all of its processes."""

    def __call__(self, path: str, *, beyond: bool = True) -> Path:
        """The folder, in use by this process until `lens_ray.node_cache.release`.

        Its name says what is in it, whichever machine made it.
        """
        ...


def is_made(path: str) -> bool:
    """Whether the checkpoint of a path is made where it is needed."""
    return path.startswith(tuple(_MAKERS))


def made(path: str, *, beyond: bool = True) -> Path:
    """Make a checkpoint, or find it made.

    Args:
        path: As the user wrote it.
        beyond: As `lens_ray.models.remote.copied`.

    Raises:
        UserError: It says nothing that can be made.
        StoreUnavailable: There is no room for it, or what it is made of is out of reach.
    """
    scheme = path.partition(":")[0] + ":"
    maker = cast("Maker", _MAKERS[scheme].load())
    return maker(path, beyond=beyond)
