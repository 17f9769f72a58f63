"""What a store keeps of a watch beside its runs: `WatchLog`.

Each object but marks and units is written by compare-and-swap, so that any watcher can go on where
another one was killed::

    watch/index.json                     every watch and its training runs
    watch/<name>/lease.json              which watcher is at work
    watch/<name>/spec.json               the watch file, as it was last used
    watch/<name>/<run>/state.json        every checkpoint and what became of it: `WatchState`
    watch/<name>/<run>/told.json         alerts that were delivered: `Told`
    watch/<name>/<run>/pins.json         checkpoints that are to stay: `Pins`
    watch/<name>/<run>/marks.json        which marks are the latest: `Kept`
    watch/<name>/<run>/marks/<key>       written once: a checkpoint's marks, made from its rows
    watch/<name>/units/<digest>          written once: the units of a suite
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lens_ray.store import lease
from lens_ray.store.cell import Cell
from lens_ray.store.json_values import check_by_name, list_in, object_of, parse_object
from lens_ray.store.objects import ObjectStore, get_many
from lens_ray.store.records import build

#: Below the store.
WATCH = "watch"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_BLOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")

Depth = Literal["anchor", "full"]
#: ``growing``: not whole so far; ``whole``: it may be asked; ``skipped``: the policy left it out;
#: ``failed``: it cannot be asked; ``gone``: it was deleted before it was asked.
SeenStatus = Literal["growing", "whole", "skipped", "failed", "gone"]
_STATUSES = ("growing", "whole", "skipped", "failed", "gone")


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint of a training run, as a watcher saw it.

    Attributes:
        step: Optimiser steps; one checkpoint a step.
        path: Folder or URL.
        mark: Fingerprint of its files (names, sizes, times or etags).
        first_at: When anything of it was first seen, ISO 8601 in UTC.
        status: What became of it.
        whole_at: When it was first seen to be whole.
        depth: How far it was asked; None is not so far.
        run_id: Of its run in the store, once it was asked.
        asked_mark: Its fingerprint then; another one now means that it was rewritten since.
        asked_at: When the deepest answer came.
        seconds: From the question to the last row.
        swapped: Whether a warm replica took it by a hot swap.
        tries: Failed ones since the last answer.
        reason: Why it was skipped, has failed, or lacks answers; one line.
        shell: Digest of config, tokenizer and processor; None is not known.
        broken: Why its weights cannot be trusted (NaN, ...).
        metrics: What the trainer said of it.
        written: When its files were last written, in seconds since 1970, as their place says.
        size: Bytes of its files.
    """

    step: int
    path: str
    mark: str
    first_at: str
    status: SeenStatus = "growing"
    whole_at: str | None = None
    depth: Depth | None = None
    run_id: str | None = None
    asked_mark: str | None = None
    asked_at: str | None = None
    seconds: float | None = None
    swapped: bool | None = None
    tries: int = 0
    reason: str | None = None
    shell: str | None = None
    broken: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    written: float | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that a watcher noticed and somebody should look at; see `online.findings.Alarm`.

    Attributes:
        kind: As `lens_ray.online.findings.AlarmKind`.
        step: Where; None is the whole run.
        line: In one line.
        at: When it was first noticed.
    """

    kind: str
    step: int | None
    line: str
    at: str


@dataclass(frozen=True, slots=True)
class WatchState:
    """Everything that a watcher knows of one training run.

    Attributes:
        seen: Its checkpoints, by ascending step.
        incidents: What was noticed, in the order in which it was.
        stopped_at: When the trainer was told to stop.
        pruned: Steps whose files were deleted by ``--prune``.
    """

    seen: tuple[Seen, ...] = ()
    incidents: tuple[Incident, ...] = ()
    stopped_at: str | None = None
    pruned: tuple[int, ...] = ()

    def at(self, step: int) -> Seen | None:
        """The checkpoint of a step."""
        return next((one for one in self.seen if one.step == step), None)

    def with_seen(self, *changed: Seen) -> WatchState:
        """With checkpoints added, or in the place of those of their steps."""
        held = {one.step: one for one in self.seen} | {one.step: one for one in changed}
        return replace(self, seen=tuple(held[step] for step in sorted(held)))

    def with_incidents(self, *new: Incident) -> WatchState:
        """With what is new; the first of a kind and step stays."""
        known = {(one.kind, one.step) for one in self.incidents}
        added = []
        for one in new:
            if (one.kind, one.step) not in known:
                known.add((one.kind, one.step))
                added.append(one)
        return replace(self, incidents=(*self.incidents, *added)) if added else self

    def stopped(self, now: str) -> WatchState:
        """With the trainer told to stop; the first time stays."""
        return self if self.stopped_at is not None else replace(self, stopped_at=now)

    @property
    def asked(self) -> tuple[Seen, ...]:
        """Checkpoints that have answers, by ascending step."""
        return tuple(one for one in self.seen if one.depth is not None and one.run_id is not None)


@dataclass(frozen=True, slots=True)
class Told:
    """Alerts that were delivered.

    Attributes:
        keys: When, by the alert's key and who heard it.
    """

    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pins:
    """Which checkpoints stay, whatever is pruned.

    Attributes:
        steps: Why, by step.
        keep: What a prune keeps besides them; None is everything.
    """

    steps: Mapping[int, str] = field(default_factory=dict)
    keep: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """Marks that are kept of the checkpoints of a training run.

    Attributes:
        keys: Of their objects, by ``<step>-<depth>``.
    """

    keys: Mapping[str, str] = field(default_factory=dict)


class WatchLog:
    """What is kept of one watch; any number of processes may read it.

    Attributes:
        name: Of the watch.
    """

    def __init__(self, objects: ObjectStore, name: str) -> None:
        """Make it by `Store.watch`; nothing is read yet.

        Raises:
            ValueError: It can be no part of a key.
        """
        self.name = checked_name(name)
        self._objects = objects

    def acquire(self, owner: str, *, ttl_s: float = 15.0, wait_s: float = 30.0) -> lease.Lease:
        """Become the watcher; as `lens_ray.store.run_log.RunLog.acquire`.

        Raises:
            RunBusy: Another watcher lives.
            StoreUnavailable: The store is out of reach, read-only or damaged.
        """
        return lease.acquire(
            self._objects,
            f"{WATCH}/{self.name}/lease.json",
            f"watch {self.name}",
            owner,
            ttl_s=ttl_s,
            wait_s=wait_s,
        )

    def state(self, run: str) -> Cell[WatchState]:
        """Of a training run: its checkpoints."""
        return Cell(self._objects, self._key(run, "state.json"), parse_state)

    def told(self, run: str) -> Cell[Told]:
        """Of a training run: the alerts that were delivered."""
        return Cell(self._objects, self._key(run, "told.json"), parse_told)

    def pins(self, run: str) -> Cell[Pins]:
        """Of a training run: the checkpoints that stay."""
        return Cell(self._objects, self._key(run, "pins.json"), parse_pins)

    def kept(self, run: str) -> Cell[Kept]:
        """Of a training run: which marks are the latest."""
        return Cell(self._objects, self._key(run, "marks.json"), parse_kept)

    def put_marks(self, run: str, key: str, data: bytes) -> None:
        """Keep the marks of a checkpoint; where some of that key are there, the first ones stay.

        Args:
            run: Of the training run.
            key: ``<step>-<depth>-<sha12>``; says what they were made from.
            data: The marks.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        self._objects.create(self._key(run, f"marks/{_checked_blob(key)}"), data)

    def marks(self, run: str, keys: Sequence[str]) -> list[bytes | None]:
        """The marks of many checkpoints, asked for in parallel; None where none are kept.

        Raises:
            StoreUnavailable: The store is out of reach.
        """
        wanted = [self._key(run, f"marks/{_checked_blob(key)}") for key in keys]
        return get_many(self._objects, wanted)

    def put_units(self, digest: str, data: bytes) -> None:
        """Keep the units of a suite, once by their digest.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        self._objects.create(f"{WATCH}/{self.name}/units/{_checked_blob(digest)}", data)

    def units(self, digest: str) -> bytes | None:
        """The units of a suite; None where they are not kept.

        Raises:
            StoreUnavailable: The store is out of reach.
        """
        return self._objects.get(f"{WATCH}/{self.name}/units/{_checked_blob(digest)}")

    def register(self, runs: Sequence[str], spec: Mapping[str, object]) -> None:
        """Put the watch and its training runs into the store's index, and keep its file.

        Raises:
            StoreUnavailable: The store cannot be written.
        """

        def entered(known: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
            held = dict.fromkeys((*known.get(self.name, ()), *map(checked_name, runs)))
            return {**known, self.name: tuple(held)}

        self._spec_cell().update(lambda _: dict(spec))
        index_of(self._objects).update(entered)

    def spec(self) -> Mapping[str, object]:
        """The watch file as it was last used; empty where there is none.

        Raises:
            StoreUnavailable: The store is out of reach, or the object is damaged.
        """
        return self._spec_cell().read()

    def _spec_cell(self) -> Cell[Mapping[str, object]]:
        return Cell(self._objects, f"{WATCH}/{self.name}/spec.json", parse_object)

    def _key(self, run: str, name: str) -> str:
        return f"{WATCH}/{self.name}/{checked_name(run)}/{name}"


def index_of(objects: ObjectStore) -> Cell[Mapping[str, tuple[str, ...]]]:
    """Every watch of a store and its training runs."""
    return Cell(objects, f"{WATCH}/index.json", parse_index)


def checked_name(name: str) -> str:
    """A name that is safe as part of a key; ``units`` and the like are no names of runs.

    Raises:
        ValueError: It is not.
    """
    if not _NAME.fullmatch(name) or name in ("units", "index.json", "lease.json", "spec.json"):
        raise ValueError(f"{name!r} cannot be the name of a watch or of a training run")
    return name


def _checked_blob(key: str) -> str:
    if not _BLOB.fullmatch(key):
        raise ValueError(f"key {key!r}: use letters, digits and . _ - only")
    return key


# Values from and to JSON.


def parse_state(record: Mapping[str, Any]) -> WatchState:
    """The state of a training run.

    Raises:
        ValueError: It is damaged.
    """
    seen = tuple(_parse_seen(one) for one in list_in(record, "seen"))
    steps = [one.step for one in seen]
    if steps != sorted(set(steps)):
        raise ValueError("its steps do not ascend")
    incidents = tuple(build(Incident, object_of(one)) for one in list_in(record, "incidents"))
    pruned = tuple(int(step) for step in list_in(record, "pruned"))
    stopped = record.get("stopped_at")
    return WatchState(seen, incidents, stopped if isinstance(stopped, str) else None, pruned)


def _parse_seen(record: object) -> Seen:
    known = object_of(record)
    seen = build(Seen, known)
    if type(seen.step) is not int or not isinstance(seen.path, str):
        raise ValueError(f"step {seen.step!r} or path {seen.path!r}")
    if seen.status not in _STATUSES or seen.depth not in (None, "anchor", "full"):
        raise ValueError(f"status {seen.status!r}, depth {seen.depth!r}")
    return replace(seen, metrics=dict(object_of(seen.metrics)))


def parse_told(record: Mapping[str, Any]) -> Told:
    """The alerts that were delivered.

    Raises:
        ValueError: It is damaged.
    """
    return Told({str(key): str(at) for key, at in object_of(record.get("keys", {})).items()})


def parse_pins(record: Mapping[str, Any]) -> Pins:
    """The checkpoints that stay.

    Raises:
        ValueError: It is damaged.
    """
    steps = object_of(record.get("steps", {}))
    keep = record.get("keep")
    return Pins(
        {int(step): str(why) for step, why in steps.items()},
        keep if isinstance(keep, str) else None,
    )


def parse_kept(record: Mapping[str, Any]) -> Kept:
    """Which marks are the latest.

    Raises:
        ValueError: It is damaged.
    """
    keys = object_of(record.get("keys", {}))
    return Kept({str(name): _checked_blob(str(key)) for name, key in keys.items()})


def parse_index(record: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """Every watch and its training runs.

    Raises:
        ValueError: It is damaged.
    """
    found = object_of(record.get("value", {}))
    return {
        checked_name(name): tuple(checked_name(str(run)) for run in list_in(found, name))
        for name in found
    }


def check_object(key: str, data: bytes) -> None:
    """Whether an object of a watch can be read; its marks and units are made again where not.

    Raises:
        ValueError: It is damaged.
        StoreError: A newer version of lens-ray wrote it.
    """
    check_by_name(_PARSERS, key, data)


_PARSERS: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "index.json": parse_index,
    "spec.json": parse_object,
    "state.json": parse_state,
    "told.json": parse_told,
    "pins.json": parse_pins,
    "marks.json": parse_kept,
}
