"""Rows as Arrow tables and Parquet bytes, cast up to the schema of this version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lens_ray.store.schema import ROWS, SCHEMA_VERSION, STATUSES

#: A data file holds about this much before compression.
FILE_BYTES = 64 * 2**20
_ROW_GROUP = 65536


def to_table(rows: Sequence[Mapping[str, object]] | pa.Table) -> pa.Table:
    """Rows as a table with exactly the columns of `ROWS`; a column that is not given is null.

    Raises:
        ValueError: A column is unknown, or a value does not fit its column.
    """
    if isinstance(rows, pa.Table):
        names = set(rows.column_names)
    else:
        names = set().union(*rows) if rows else set()
    unknown = sorted(names - set(ROWS.names))
    if unknown:
        raise ValueError(f"rows have no column {unknown[0]!r}")
    try:
        if isinstance(rows, pa.Table):
            return conform(rows, ROWS)
        columns = [pa.array([row.get(f.name) for row in rows], f.type) for f in ROWS]
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"rows do not fit the schema: {error}") from error
    return pa.Table.from_arrays(columns, schema=ROWS)


def check_rows(table: pa.Table, run_id: str) -> None:
    """Refuse rows that are of another run, or lack what every row has.

    Raises:
        ValueError: They do.
    """
    if table.num_rows == 0:
        return
    if pc.unique(table["run_id"]).to_pylist() != [run_id]:
        raise ValueError(f"every row's run_id must be {run_id!r}")
    if table["sample_id"].null_count:
        raise ValueError("every row needs a sample_id")
    wrong = set(pc.unique(table["status"]).to_pylist()) - set(STATUSES)
    if wrong:
        raise ValueError(f"status {wrong.pop()!r}: it is one of {', '.join(STATUSES)}")


def conform(table: pa.Table, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """The table with the columns of a schema, in its order; columns that it lacks are null.

    Args:
        table: As it was stored, by this or an older version.
        schema: As it is now.
        columns: Only these.
    """
    names = schema.names if columns is None else columns
    fields = [schema.field(name) for name in names]
    arrays = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in fields
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def to_parquet(table: pa.Table) -> bytes:
    """Parquet bytes; equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    marked = table.replace_schema_metadata({"lens_ray.schema_version": str(SCHEMA_VERSION)})
    pq.write_table(marked, sink, compression="zstd", row_group_size=_ROW_GROUP)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def from_parquet(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table in Parquet bytes, only those of the columns that it has.

    Raises:
        ValueError: The bytes are damaged.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            present = file.schema_arrow.names
            wanted = None if columns is None else [name for name in columns if name in present]
            # In this thread: one of Arrow's, still freeing Python's bytes while the interpreter
            # ends, ends the process with SIGABRT (seen once in some hundred jobs).
            found = file.read(columns=wanted, use_threads=False)
            return found.replace_schema_metadata(None)
    except (pa.ArrowException, OSError) as error:
        raise ValueError("no readable Parquet") from error


def sha256(data: bytes) -> str:
    """The hash that manifests carry."""
    return hashlib.sha256(data).hexdigest()


def in_files(table: pa.Table) -> Iterator[pa.Table]:
    """The table, sorted and cut into parts of about `FILE_BYTES`."""
    table = table.sort_by([("ability", "ascending"), ("sample_id", "ascending")])
    parts = -(-table.nbytes // FILE_BYTES)
    step = max(1, -(-table.num_rows // max(1, parts)))
    for start in range(0, table.num_rows, step):
        yield table.slice(start, step)


def ids_by_status(table: pa.Table) -> dict[str, tuple[str, ...]]:
    """Status to the ids of its samples, in the order of the table."""
    grouped: dict[str, list[str]] = {}
    pairs = zip(table["status"].to_pylist(), table["sample_id"].to_pylist(), strict=True)
    for status, sample_id in pairs:
        grouped.setdefault(status, []).append(sample_id)
    return {status: tuple(ids) for status, ids in grouped.items()}
