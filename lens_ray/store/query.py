"""SQL over a store: one ``SELECT``, which sees the store's tables and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from lens_ray.errors import QueryError

if TYPE_CHECKING:
    import duckdb

    from lens_ray.store.store import Store

#: The table ``runs``: the header of a run, and how far it is.
RUNS: pa.Schema = pa.schema(
    [
        ("run_id", pa.string()),
        ("model", pa.string()),
        ("model_key", pa.string()),
        ("weights_digest", pa.string()),
        ("suite", pa.string()),
        ("suite_digest", pa.string()),
        ("template", pa.string()),
        ("backend", pa.string()),
        ("backend_path", pa.string()),
        ("access", pa.string()),
        ("step", pa.int64()),
        ("generation", pa.string()),
        ("job", pa.string()),
        ("created_at", pa.string()),
        ("samples", pa.int64()),
        ("failed", pa.int64()),
        ("expected", pa.int64()),
        ("left_out", pa.int64()),
        ("complete", pa.bool_()),
        ("committed_at", pa.string()),
        ("facts", pa.string()),
    ]
)
#: The table ``suites``; ``counts`` and ``weights`` are JSON.
SUITES: pa.Schema = pa.schema(
    [
        ("name", pa.string()),
        ("digest", pa.string()),
        ("licence", pa.string()),
        ("revision", pa.string()),
        ("samples", pa.int64()),
        ("images", pa.int64()),
        ("counts", pa.string()),
        ("weights", pa.string()),
    ]
)
_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    # No file, network or extension; no Python variable of the caller taken for a table.
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}


def answer(store: Store, sql: str) -> pa.Table:
    """See `lens_ray.store.store.Store.query`."""
    import duckdb

    with duckdb.connect(":memory:", config=_CLOSED) as connection:
        try:
            statement = _only_select(connection, sql)
            connection.execute("SET TimeZone = 'UTC'")
            for name in _tables_in(sql):
                connection.register(name, _TABLES[name](store))
            connection.execute("SET lock_configuration = true")
            result: pa.Table = connection.sql(statement).to_arrow_table()
        except (duckdb.Error, UnicodeError) as error:
            raise QueryError(f"query: {_one_line(error)}") from error
    return result


def _only_select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    import duckdb

    sql.encode()  # a lone surrogate is an error of the text, not of the call below
    statements = connection.extract_statements(sql)
    kinds = [str(statement.type).rpartition(".")[2] for statement in statements]
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        found = " and ".join(kinds) or "nothing"
        raise QueryError(f"query: {found} found; give exactly one SELECT, the store is read-only")
    return statements[0]


def _tables_in(sql: str) -> list[str]:
    """The tables worth reading: those whose names occur, or all where none does (SHOW TABLES)."""
    words = set(re.findall(r"\w+", sql.lower()))
    return [name for name in _TABLES if name in words] or list(_TABLES)


def _one_line(error: Exception) -> str:
    """DuckDB's message without its picture of the statement."""
    text = str(error).partition("\n\nLINE ")[0].partition("Traceback")[0]
    return " ".join(text.split())[:400] or type(error).__name__


def _runs(store: Store) -> pa.Table:
    rows = []
    for header, state in store.states():
        row = {name: getattr(header, name, None) for name in RUNS.names}
        row["generation"] = _json(header.generation)
        row |= {"samples": state.rows, "failed": len(state.open), "complete": state.complete}
        if state.commit is not None:
            row |= {
                "expected": state.commit.expected,
                "left_out": len(state.commit.left_out),
                "committed_at": state.commit.created_at,
                "facts": _json(state.commit.facts),
            }
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=RUNS)


def _suites(store: Store) -> pa.Table:
    rows = []
    for facts in store.suites():
        row = {name: facts.get(name) for name in SUITES.names}
        counts = facts.get("counts")
        groups = counts.values() if isinstance(counts, dict) else ()
        row["samples"] = sum(sum(group.values()) for group in groups)
        row |= {name: _json(facts.get(name)) for name in ("counts", "weights")}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=SUITES)


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)


_TABLES: dict[str, Callable[[Store], pa.Table]] = {
    "runs": _runs,
    "rows": lambda store: store.rows(),
    "scores": lambda store: store.scores(),
    "suites": _suites,
}
