"""``lens-ray store``: prove a store whole, merge small files, remove orphans."""

from __future__ import annotations

from typing import Annotated

import typer

from lens_ray.cli.options import Json, Store, Verbs
from lens_ray.cli.output import one_line, print_json

app = typer.Typer(cls=Verbs, help="Care for a store: check, compact, gc.", rich_markup_mode=None)


@app.command()
def check(store: Store, as_json: Json = False) -> None:
    """Read everything and name what is not whole; exit code 2 if anything is."""
    from lens_ray.store import Store as OpenStore

    problems = OpenStore(store).check()
    if as_json:
        print_json({"store": store, "problems": problems})
    else:
        for problem in problems:
            print(one_line(problem))
        print(f"{len(problems)} problems" if problems else "the store is whole")
    raise typer.Exit(2 if problems else 0)


@app.command()
def compact(store: Store, as_json: Json = False) -> None:
    """Merge the small files of finished runs; rows and scores stay what they are."""
    from lens_ray.store import Store as OpenStore

    merged = OpenStore(store).compact()
    if as_json:
        print_json({"store": store, "compacted": merged})
        return
    for run in merged:
        print(f"run {one_line(run.run_id)}: {run.before} files merged into {run.after}")
    print(f"{len(merged)} runs compacted; `lens-ray store gc` removes the replaced files later")


@app.command()
def gc(
    store: Store,
    grace: Annotated[
        float, typer.Option("--grace", min=0, metavar="SECONDS", help="Spare younger files.")
    ] = 86_400,
    as_json: Json = False,
) -> None:
    """Remove files that no manifest names and that are older than the grace period."""
    from lens_ray.store import Store as OpenStore

    removed = OpenStore(store).gc(grace)
    if as_json:
        print_json({"store": store, "removed": removed.keys, "bytes": removed.size})
        return
    for key in removed.keys:
        print(one_line(key))
    print(f"{len(removed.keys)} files removed, {removed.size} bytes")
