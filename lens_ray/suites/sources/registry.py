"""The sources by name: `SOURCES`, the eleven and those of the entry points ``lens_ray.sources``."""

from __future__ import annotations

from collections.abc import Container, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint

from lens_ray.errors import SuiteError
from lens_ray.registry import Registry
from lens_ray.suites.sources import (
    ai2d,
    chartqa,
    conbench,
    mirb,
    mmbench,
    mme,
    mmstar,
    muirbench,
    ocrbench,
    seed_bench,
    synthdog,
)
from lens_ray.suites.sources.base import Source

GROUP = "lens_ray.sources"


def _load(entry: EntryPoint, known: Container[str]) -> Source:
    found = entry.load()
    if not isinstance(found, Source):
        raise SuiteError(
            f"source {entry.name!r}: entry point {entry.value!r} is no lens_ray Source"
        )
    if found.name != entry.name or found.name in known:
        raise SuiteError(
            f"source {entry.name!r}: entry point {entry.value!r} is named {found.name!r}; "
            "both names must be one that no other source has"
        )
    return found


#: The eleven of AbilityLens, in the order of the publication.
ELEVEN: tuple[str, ...] = (
    "mme", "seed_bench", "mmbench", "ocrbench", "chartqa", "ai2d", "conbench", "mmstar",
    "muirbench", "mirb", "synthdog",
)  # fmt: skip

#: Every source by name.
SOURCES: Mapping[str, Source] = Registry(
    {
        module.SOURCE.name: module.SOURCE
        for module in (
            mme, seed_bench, mmbench, ocrbench, chartqa, ai2d, conbench, mmstar, muirbench, mirb,
            synthdog,
        )
    },
    GROUP,
    _load,
)  # fmt: skip


def find_source(name: str) -> Source:
    """The source of that name.

    Raises:
        SuiteError: No such source; the nearest name is given.
    """
    try:
        return SOURCES[name]
    except KeyError:
        near = get_close_matches(name, SOURCES, 1, 0.0)[0]
        raise SuiteError(f"source {name!r} is not known; the nearest is {near!r}") from None
