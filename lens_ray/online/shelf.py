"""Marks of checkpoints between two looks: `Shelf`, which makes them from rows at most once.

A look over a run would else read all rows of all its checkpoints again: of 500 checkpoints x 12,000
samples that takes minutes, of what is kept here seconds. What is kept can be removed at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from lens_ray.errors import StoreError
from lens_ray.online.checkpoint import Depth
from lens_ray.online.column import COLUMNS, UNITS, Column, column_of
from lens_ray.online.series import Health
from lens_ray.stats.marks import NotComparable
from lens_ray.store import Store
from lens_ray.store.marks_file import MarksFile, parse_marks
from lens_ray.store.tables import conform, from_parquet, sha256, to_parquet
from lens_ray.store.watch_log import Kept, WatchLog

if TYPE_CHECKING:
    import pyarrow as pa

#: Runs whose rows are read beside each other: a bucket's latency dominates.
_THREADS = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose marks.

    Attributes:
        step: Of the checkpoint.
        run_id: Of its run in the store.
        depth: Which of its rows.
        broken: Why its weights cannot be trusted, where somebody looked.
    """

    step: int
    run_id: str
    depth: Depth
    broken: str | None = None

    @property
    def name(self) -> str:
        """What its marks are kept under."""
        return f"{self.step}-{self.depth}"


class Shelf:
    """Keeps the marks of a watch's checkpoints, in its store and compact in memory."""

    def __init__(self, store: Store, watch: str | None, *, keep: bool = True) -> None:
        """Nothing is read yet.

        Args:
            store: Where the rows are.
            watch: Name of the watch; None keeps nothing in the store and takes nothing from it.
            keep: Whether new marks are put into the store; who only reads leaves that to the
                watcher.
        """
        self._store = store
        self._log: WatchLog | None = None if watch is None else store.watch(watch)
        self._keep = keep
        self._files: dict[str, bytes] = {}
        self._units: dict[str, pa.Table] = {}

    def columns(self, run: str, wanted: Sequence[Wanted]) -> list[Column]:
        """The marks of some checkpoints of a training run, in the order given.

        Raises:
            NotComparable: The rows of one do not belong together.
            StoreUnavailable: The store is out of reach or damaged.
        """
        files = self._current(run, wanted)
        missing = [one for one in wanted if one not in files]
        made = {one: self._packed(one, upto, column) for one, upto, column in self._made(missing)}
        if self._log is not None and self._keep and made:
            self._put(self._log, run, made)
        return [self._column(one, made.get(one) or files[one]) for one in wanted]

    def _current(self, run: str, wanted: Sequence[Wanted]) -> dict[Wanted, MarksFile]:
        """What is kept and was made of the rows as they are now."""
        if self._log is None:
            return {}
        keys = self._log.kept(run).read().keys
        listed = {one: keys[one.name] for one in wanted if one.name in keys}
        unknown = [key for key in listed.values() if key not in self._files]
        for key, data in zip(unknown, self._log.marks(run, unknown), strict=True):
            if data is not None:
                self._files[key] = data
        found = {}
        for one, key in listed.items():
            file = _parsed(self._files.get(key))
            if file is not None and file.run_id == one.run_id and self._known(file):
                found[one] = file
        # Two steps with the same weights share a run.
        upto: dict[str, int] = {}
        for file in found.values():
            upto[file.run_id] = min(file.upto, upto.get(file.run_id, file.upto))
        same = self._store.unchanged(upto)
        return {one: file for one, file in found.items() if file.run_id in same}

    def _known(self, file: MarksFile) -> bool:
        """Whether its units are there, as its name for them says."""
        if file.units not in self._units and self._log is not None:
            data = self._log.units(file.units)
            if data is None or sha256(data) != file.units:
                return False
            self._units[file.units] = conform(from_parquet(data), UNITS).combine_chunks()
        return bool(self._units[file.units].num_rows == len(file.score))

    def _made(self, wanted: Sequence[Wanted]) -> list[tuple[Wanted, int, Column]]:
        """Marks from the rows, with how many manifests these were in."""
        if len(wanted) < 2:
            return [self._made_one(one) for one in wanted]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="lens-marks") as pool:
            return list(pool.map(self._made_one, wanted))

    def _made_one(self, one: Wanted) -> tuple[Wanted, int, Column]:
        log = self._store.run(one.run_id)
        rows = log.rows(COLUMNS)
        try:
            return one, log.state.manifests, column_of(rows, one.depth)
        except ValueError as error:
            raise NotComparable(
                f"run {one.run_id} (step {one.step}): {error}; "
                f"type `lens-ray store check {self._store.url}`"
            ) from error

    def _packed(self, one: Wanted, upto: int, column: Column) -> MarksFile:
        digest, score = self._shared(column)
        health = asdict(column.health)
        return MarksFile(one.run_id, one.step, one.depth, upto, digest, score, health)

    def _shared(self, column: Column) -> tuple[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        """The units that a column is of, and its scores on them.

        Where a checkpoint lacks a few answers, its units are those of another one with holes:
        else each such checkpoint would keep units of its own.
        """
        for digest, units in self._units.items():
            place = pc.index_in(column.units["unit"], value_set=units["unit"].combine_chunks())
            if place.null_count or not units.take(place).equals(column.units):
                continue
            score = np.full(units.num_rows, np.nan)
            score[place.to_numpy()] = column.score
            return digest, score
        data = to_parquet(column.units)
        digest = sha256(data)
        self._units[digest] = column.units
        return digest, column.score

    def _put(self, log: WatchLog, run: str, made: Mapping[Wanted, MarksFile]) -> None:
        """Keep new marks: units first, then marks, then where they are."""
        for digest in sorted({file.units for file in made.values()}):
            log.put_units(digest, to_parquet(self._units[digest]))
        keys = {}
        for one, file in made.items():
            data = file.to_bytes()
            keys[one.name] = f"{one.name}-{sha256(data)[:12]}"
            log.put_marks(run, keys[one.name], data)
            self._files[keys[one.name]] = data
        log.kept(run).update(lambda kept: Kept({**kept.keys, **keys}))

    def _column(self, one: Wanted, file: MarksFile) -> Column:
        return Column(self._units[file.units], file.score, _health(file.health, one.broken))


def _parsed(data: bytes | None) -> MarksFile | None:
    """Marks, or None where they are to be made again."""
    try:
        return None if data is None else parse_marks(data)
    except (ValueError, StoreError):
        return None


def _health(kept: Mapping[str, object], broken: str | None) -> Health:
    n, commonest = kept.get("n"), kept.get("commonest")
    return Health(
        n=n if isinstance(n, int) else 0,
        empty=_number(kept.get("empty")),
        commonest={str(kind): _number(share) for kind, share in commonest.items()}
        if isinstance(commonest, dict)
        else {},
        unparsed=_number(kept.get("unparsed")),
        broken=broken,
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
