"""Read the rows and scores of many runs: exactly one row a sample, files asked for in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.errors import StoreUnavailable
from lens_ray.store.fold import Fold, LiveFile
from lens_ray.store.objects import THREADS, ObjectStore, get_many
from lens_ray.store.records import FileRef
from lens_ray.store.schema import ROWS, SCORES
from lens_ray.store.tables import conform, from_parquet

T = TypeVar("T")


class FileGone(Exception):
    """A data file is not there: it was replaced and collected, or the store is damaged."""


@dataclass(frozen=True, slots=True)
class _Part:
    key: str
    live: LiveFile


def run_key(run_id: str, name: str) -> str:
    """The key of something of a run."""
    return f"runs/{run_id}/{name}"


def damaged(objects: ObjectStore, key: str, cause: object) -> StoreUnavailable:
    """The error that names an object that cannot be used."""
    return StoreUnavailable(
        f"store {objects.url}: {key} is damaged ({cause}); "
        "`lens-ray store check` lists every problem"
    )


def parsed(objects: ObjectStore, key: str, parse: Callable[[bytes], T], data: bytes) -> T:
    """What an object holds.

    Raises:
        StoreUnavailable: It is damaged.
    """
    try:
        return parse(data)
    except ValueError as error:
        raise damaged(objects, key, error) from error


def read_rows(
    objects: ObjectStore, runs: Iterable[tuple[str, Fold]], columns: Sequence[str] | None = None
) -> pa.Table:
    """The rows that count, in the order of the runs, with the columns of this version.

    Args:
        objects: Where they are.
        runs: Run ids and what is known of each.
        columns: Only these.

    Raises:
        FileGone: A file is not there.
        StoreUnavailable: A file is damaged, or the store out of reach.
        ValueError: A column is unknown.
    """
    for name in columns or ():
        if name not in ROWS.names:
            raise ValueError(f"rows have no column {name!r}")
    parts = [
        _Part(run_key(run_id, live.file.path), live)
        for run_id, fold in runs
        for live in fold.live_files()
    ]
    # A batch at a time, so that Parquet bytes and tables are not all in memory together.
    tables = []
    for start in range(0, len(parts), THREADS):
        batch = parts[start : start + THREADS]
        for part, data in zip(batch, get_many(objects, [p.key for p in batch]), strict=True):
            tables.append(_live_rows(objects, part, data, columns))
    empty = conform(ROWS.empty_table(), ROWS, columns)
    return pa.concat_tables([empty, *tables])


def _live_rows(
    objects: ObjectStore, part: _Part, data: bytes | None, columns: Sequence[str] | None
) -> pa.Table:
    table = read_file(objects, part.key, part.live.file, data, _with_id(part.live, columns))
    if part.live.dead:
        dead = pa.array(sorted(part.live.dead), pa.string())
        table = table.filter(pc.invert(pc.is_in(table["sample_id"], value_set=dead)))
    return conform(table, ROWS, columns)


def _with_id(live: LiveFile, columns: Sequence[str] | None) -> Sequence[str] | None:
    if columns is None or not live.dead or "sample_id" in columns:
        return columns
    return [*columns, "sample_id"]


def read_file(
    objects: ObjectStore,
    key: str,
    file: FileRef,
    data: bytes | None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The table of a data file whose bytes were read; their number is compared.

    Raises:
        FileGone: There were none.
        StoreUnavailable: It is damaged.
    """
    if data is None:
        raise FileGone(key)
    if len(data) != file.size:
        raise damaged(objects, key, f"{len(data)} bytes where {file.size} were written")
    try:
        return from_parquet(data, columns)
    except ValueError as error:
        raise damaged(objects, key, error) from error


def read_scores(objects: ObjectStore, runs: Iterable[tuple[str, Fold]]) -> pa.Table:
    """The scores of each run's latest commit.

    Raises:
        StoreUnavailable: A file is missing or damaged, or the store out of reach.
    """
    wanted = [
        (run_key(run_id, fold.commit.scores.path), fold.commit.scores)
        for run_id, fold in runs
        if fold.commit is not None
    ]
    tables = [SCORES.empty_table()]
    for (key, file), data in zip(wanted, get_many(objects, [k for k, _ in wanted]), strict=True):
        try:
            tables.append(conform(read_file(objects, key, file, data), SCORES))
        except FileGone as error:
            raise damaged(objects, key, "it is missing") from error
    return pa.concat_tables(tables)
