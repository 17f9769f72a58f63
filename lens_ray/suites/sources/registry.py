"""The sources by name: `SOURCES`, the eleven and those of the entry points ``lens_ray.sources``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import entry_points

from lens_ray.errors import SuiteError
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


class _Registry(Mapping[str, Source]):
    """The built-in sources and, looked up at first need, those of entry points."""

    def __init__(self, builtin: Sequence[Source]) -> None:
        self._known = {source.name: source for source in builtin}
        self._complete = False

    def __getitem__(self, name: str) -> Source:
        if name not in self._known:
            self._load()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(self._known)

    def __len__(self) -> int:
        self._load()
        return len(self._known)

    def _load(self) -> None:
        if self._complete:
            return
        for entry in entry_points(group=GROUP):
            found = entry.load()
            if not isinstance(found, Source):
                raise SuiteError(
                    f"source {entry.name!r}: entry point {entry.value!r} is no lens_ray Source"
                )
            if found.name != entry.name or found.name in self._known:
                raise SuiteError(
                    f"source {entry.name!r}: entry point {entry.value!r} is named {found.name!r}; "
                    "both names must be one that no other source has"
                )
            self._known[found.name] = found
        self._complete = True


#: The eleven of AbilityLens, in the order of the publication.
ELEVEN: tuple[str, ...] = (
    "mme", "seed_bench", "mmbench", "ocrbench", "chartqa", "ai2d", "conbench", "mmstar",
    "muirbench", "mirb", "synthdog",
)  # fmt: skip

#: Every source by name.
SOURCES: Mapping[str, Source] = _Registry(
    [
        module.SOURCE
        for module in (
            mme, seed_bench, mmbench, ocrbench, chartqa, ai2d, conbench, mmstar, muirbench, mirb,
            synthdog,
        )
    ]
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
