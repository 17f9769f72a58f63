"""What a store keeps of a search for a merge beside its runs: `MergeLog`.

Written by compare-and-swap, so that any driver can go on where another one was killed::

    merges/index.json            every search
    merges/<name>/lease.json     which driver is at work
    merges/<name>/spec.json      the merge file, as it was last used
    merges/<name>/state.json     what was tried, in which runs, and what it cost: `MergeState`
    merges/<name>/found.json     what the search says, once it has ended
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lens_ray.store import lease
from lens_ray.store.cell import Cell
from lens_ray.store.json_values import check_by_name, object_of, parse_object
from lens_ray.store.objects import ObjectStore
from lens_ray.store.records import build
from lens_ray.store.watch_log import checked_name

#: Below the store.
MERGES = "merges"


@dataclass(frozen=True, slots=True)
class Tried:
    """One model that a search has asked, or was about to.

    Attributes:
        name: Of the trial.
        recipe: How it is made.
        runs: Its runs by the samples that it was asked in full: ``SUITE_DIGEST:GROUND``.
        begun: Grounds that it was being asked when this was written last.
        samples: Answers that were counted as its cost.
        single: Whether it is a checkpoint as it lies there.
    """

    name: str
    recipe: Mapping[str, Any]
    runs: Mapping[str, str] = field(default_factory=dict)
    begun: tuple[str, ...] = ()
    samples: int = 0
    single: bool = False


@dataclass(frozen=True, slots=True)
class MergeState:
    """Everything that a search knows.

    Attributes:
        tried: By key: of the recipe, its parents' bytes and how it is hosted.
        seconds: Of replicas, so far.
        merge_seconds: Of merging.
    """

    tried: Mapping[str, Tried] = field(default_factory=dict)
    seconds: float = 0.0
    merge_seconds: float = 0.0

    def with_tried(self, changed: Mapping[str, Tried]) -> MergeState:
        """With trials added, or in the place of those of their keys."""
        return replace(self, tried={**self.tried, **changed})

    @property
    def candidates(self) -> int:
        """Merges that were made."""
        return sum(not one.single for one in self.tried.values())

    @property
    def samples(self) -> int:
        """Answers that were asked."""
        return sum(one.samples for one in self.tried.values())


class MergeLog:
    """What is kept of one search; any number of processes may read it.

    Attributes:
        name: Of the search.
    """

    def __init__(self, objects: ObjectStore, name: str) -> None:
        """Make it by `Store.merge`; nothing is read yet.

        Raises:
            ValueError: It can be no part of a key.
        """
        self.name = checked_name(name)
        self._objects = objects

    def acquire(self, owner: str, *, ttl_s: float = 15.0, wait_s: float = 30.0) -> lease.Lease:
        """Become the driver; as `lens_ray.store.run_log.RunLog.acquire`.

        Raises:
            RunBusy: Another driver lives.
            StoreUnavailable: The store is out of reach, read-only or damaged.
        """
        key = f"{MERGES}/{self.name}/lease.json"
        what = f"merge search {self.name}"
        return lease.acquire(self._objects, key, what, owner, ttl_s=ttl_s, wait_s=wait_s)

    @property
    def state(self) -> Cell[MergeState]:
        """What was tried."""
        return Cell(self._objects, self._key("state.json"), parse_state)

    @property
    def spec(self) -> Cell[Mapping[str, object]]:
        """The merge file as it was last used; empty where there is none."""
        return Cell(self._objects, self._key("spec.json"), parse_object)

    @property
    def found(self) -> Cell[Mapping[str, object]]:
        """What the search says; empty where it has not ended."""
        return Cell(self._objects, self._key("found.json"), parse_object)

    def register(self, spec: Mapping[str, object]) -> None:
        """Put the search into the store's index, and keep its file.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        self.spec.update(lambda _: dict(spec))
        index_of(self._objects).update(lambda known: {**known, self.name: True})

    def _key(self, name: str) -> str:
        return f"{MERGES}/{self.name}/{name}"


def index_of(objects: ObjectStore) -> Cell[Mapping[str, object]]:
    """Every search of a store, by name."""
    return Cell(objects, f"{MERGES}/index.json", parse_object)


# Values from and to JSON.


def parse_state(record: Mapping[str, Any]) -> MergeState:
    """What was tried.

    Raises:
        ValueError: It is damaged.
    """
    tried = {str(key): _parse_tried(one) for key, one in object_of(record.get("tried", {})).items()}
    seconds = [float(record.get(name, 0.0)) for name in ("seconds", "merge_seconds")]
    if not all(0 <= each < float("inf") for each in seconds):
        raise ValueError(f"seconds {seconds}")
    return MergeState(tried, *seconds)


def _parse_tried(record: object) -> Tried:
    one = build(Tried, object_of(record))
    if not isinstance(one.name, str) or type(one.samples) is not int or one.samples < 0:
        raise ValueError(f"name {one.name!r}, samples {one.samples!r}")
    if not isinstance(one.begun, list | tuple):
        raise ValueError(f"begun {one.begun!r}")
    return replace(
        one,
        recipe=object_of(one.recipe),
        runs={str(ground): str(run) for ground, run in object_of(one.runs).items()},
        begun=tuple(map(str, one.begun)),
        single=one.single is True,
    )


def check_object(key: str, data: bytes) -> None:
    """Whether an object of a search can be read.

    Raises:
        ValueError: It is damaged.
        StoreError: A newer version of lens-ray wrote it.
    """
    check_by_name(_PARSERS, key, data)


_PARSERS: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "index.json": parse_object,
    "spec.json": parse_object,
    "state.json": parse_state,
    "found.json": parse_object,
}
