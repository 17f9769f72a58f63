"""``lens-ray query``: SQL over a store, read-only."""

from __future__ import annotations

from typing import Annotated

import typer

from lens_ray.cli.options import Json, Store
from lens_ray.cli.output import print_json, print_table


def query(
    sql: Annotated[
        str,
        typer.Argument(metavar="SQL", help="DuckDB's SQL over runs, rows, scores and suites."),
    ],
    store: Store,
    as_json: Json = False,
) -> None:
    """Ask the tables runs, rows, scores and suites in SQL."""
    from lens_ray.store import Store as OpenStore

    table = OpenStore(store).query(sql)
    columns = [column.to_pylist() for column in table.columns]
    names = table.column_names
    rows = list(zip(*columns, strict=True))
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(names, rows)
