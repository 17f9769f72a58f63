"""Built-in things and those that other packages declare by entry points, by name: `Registry`."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """The built-in ones and, looked up at first need, those of entry points."""

    def __init__(
        self,
        builtin: Mapping[str, T],
        group: str,
        load: Callable[[EntryPoint, Container[str]], T],
    ) -> None:
        """Nothing is looked up yet.

        Args:
            builtin: By name.
            group: Of the entry points; their names are the names.
            load: Loads one, given the names that exist already; raises where it may not be one.
        """
        self._known = dict(builtin)
        self._group = group
        self._load = load
        self._complete = False

    def __getitem__(self, name: str) -> T:
        if name not in self._known:
            self._look_up()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        self._look_up()
        return iter(self._known)

    def __len__(self) -> int:
        self._look_up()
        return len(self._known)

    def _look_up(self) -> None:
        if self._complete:
            return
        for entry in entry_points(group=self._group):
            self._known[entry.name] = self._load(entry, self._known)
        self._complete = True
