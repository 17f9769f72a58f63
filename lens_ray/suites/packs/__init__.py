"""Packs: suites that are written as YAML, without Python. ``README.md`` beside this file has more.

``schema`` says what stands in a ``pack.yaml`` and ``formats`` what an answer may be; ``tables``,
``photos``, ``answers`` and ``rows`` read what it names; ``build`` makes it a suite; ``demo/`` draws
the pictures of the packs in ``shipped/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lens_ray.suites.packs.build import (
        PackContent,
        build_pack,
        load_pack,
        notices,
        pack_file,
    )

__all__ = ["PackContent", "build_pack", "load_pack", "notices", "pack_file"]


def __getattr__(name: str) -> object:
    # Whoever wants the table of units alone does not wait for numpy and pyarrow.
    if name not in __all__:
        raise AttributeError(name)
    from lens_ray.suites.packs import build

    return getattr(build, name)
