"""``lens-ray export``: rows, scores or the leaderboard as a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lens_ray.cli.options import Json, OnlyAbilities, OnlyModels, OnlySuite, Pool, Store
from lens_ray.cli.output import one_line, print_json
from lens_ray.cli.scores import chosen, only

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from lens_ray.stats.leaderboard import Leaderboard
    from lens_ray.stats.pool import Pool as PoolScores
    from lens_ray.store import Store as OpenStore

What = Literal["leaderboard", "scores", "rows"]
#: Format by the end of a file's name.
_ENDS = {
    ".csv": "csv", ".md": "markdown", ".markdown": "markdown", ".json": "json",
    ".parquet": "parquet",
}  # fmt: skip


def export(
    store: Store,
    what: Annotated[What, typer.Option("--what", help="What to write.")] = "leaderboard",
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv, markdown, json or parquet; left out, the end of FILE says it.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Left out, to standard output."),
    ] = None,
    model: OnlyModels = None,
    suite: OnlySuite = None,
    ability: OnlyAbilities = None,
    pool: Pool = None,
    as_json: Json = False,
) -> None:
    """Write the leaderboard, scores or rows as CSV, Markdown, JSON or Parquet."""
    from lens_ray.errors import UserError
    from lens_ray.report.export import check_form, write
    from lens_ray.report.export import export as write_file
    from lens_ray.report.files import check_target
    from lens_ray.stats.pool import load_pool

    form = form or _of_name(out) or ("json" if as_json else None)
    if form is None:
        raise UserError("--format is missing: add it, or --out FILE.csv, .md, .json or .parquet")
    if as_json and out is None and form != "json":
        raise UserError(f"--json: {form} is no JSON; add --out FILE, or leave --json out")
    check_form(form)
    if out is not None:
        check_target(out)
    found = _found(store, what, model, suite, ability, None if pool is None else load_pool(pool))
    if out is None:
        _to_stdout(form)
        write(found, form, sys.stdout.buffer)
        return
    path = write_file(found, form, out)
    if as_json:
        print_json({"what": what, "format": form, "file": str(path), "bytes": path.stat().st_size})
    else:
        print(f"{what} written: {one_line(str(path))}")


def _of_name(out: Path | None) -> str | None:
    """The format that the end of a file's name says."""
    return _ENDS.get(out.suffix.lower()) if out is not None else None


def _to_stdout(form: str) -> None:
    from lens_ray.errors import UserError

    if form == "parquet" and sys.stdout.isatty():
        raise UserError("format parquet: a terminal cannot show it; add --out FILE.parquet")
    sys.stdout.flush()


def _found(
    store: str,
    what: What,
    models: Sequence[str] | None,
    suite: str | None,
    abilities: Sequence[str] | None,
    pool: PoolScores | None,
) -> Iterable[pa.Table] | Leaderboard:
    """What is to be written."""
    from lens_ray.stats.leaderboard import leaderboard
    from lens_ray.stats.pool_scores import scores_against
    from lens_ray.store import Store as OpenStore

    opened = OpenStore(store)
    if what == "leaderboard":
        return leaderboard(opened, models, suite=suite, abilities=abilities, pool=pool)
    ids = [run.run_id for run in chosen(opened.runs(), models or [], suite)]
    if what == "scores":
        table = opened.scores(ids)
        if pool is not None:
            table = scores_against(opened, table, pool)
        return [only(table, abilities) if abilities else table]
    return _rows(opened, ids, abilities)


def _rows(
    store: OpenStore, run_ids: Sequence[str], abilities: Sequence[str] | None
) -> Iterator[pa.Table]:
    """The rows of one run after the other: a store's may be more than memory holds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from lens_ray.store.schema import ROWS

    yield ROWS.empty_table()
    for run_id in run_ids:
        rows = store.rows([run_id])
        if abilities:
            rows = rows.filter(pc.is_in(rows["ability"], value_set=pa.array(abilities)))
        yield rows
