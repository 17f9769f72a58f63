"""``lens-ray pool``: the frozen pools that DVS and RES are measured against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, Store, Verbs
from lens_ray.cli.output import one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.stats.marks import Marks
    from lens_ray.stats.pool import Pool

app = typer.Typer(
    cls=Verbs,
    help="Pools that DVS and RES are measured against: make, show, extend, list.",
    rich_markup_mode=None,
)

Models = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="NAME", help="Only this model or run; repeatable."),
]
Suite = Annotated[
    str | None, typer.Option("--suite", metavar="NAME[@DIGEST]", help="The suite's runs.")
]
Ref = Annotated[
    str,
    typer.Argument(metavar="POOL", help="A file, or the NAME[@VERSION] of a built-in pool."),
]


@app.command()
def make(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case name of the pool.")],
    store: Store,
    model: Models = None,
    suite: Suite = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where the file is written.")
    ] = Path("pools"),
    as_json: Json = False,
) -> None:
    """Freeze the scores of a store's runs on one suite as version 1 of a pool."""
    from lens_ray.stats.pool_making import pool_of_marks

    _save(pool_of_marks(name, _marks(store, model, suite)), out, as_json)


@app.command()
def extend(
    pool: Annotated[Path, typer.Argument(metavar="FILE", help="The pool as it is.")],
    store: Store,
    model: Annotated[
        list[str], typer.Option("--model", metavar="NAME", help="Model to add; repeatable.")
    ],
    as_json: Json = False,
) -> None:
    """Write the next version of a pool, with further models, beside the one that it extends."""
    from lens_ray.errors import UserError
    from lens_ray.stats.pool import load_pool
    from lens_ray.stats.pool_making import extended

    before = load_pool(pool)
    marks = _marks(store, model, _suite_of(store, before))
    after = extended(before, marks)
    there = pool.parent / f"{after.name}-v{after.version}.json"
    if there.exists() and load_pool(there).digest != after.digest:
        raise UserError(f"{there} is there already, with other models; extend that one")
    _save(after, pool.parent, as_json)


@app.command()
def show(pool: Ref, as_json: Json = False) -> None:
    """Name a pool's models, and the mean and spread of each subtask over them."""
    from lens_ray.stats.pool import load_pool

    found = load_pool(pool)
    facts = _facts(found)
    subtasks = _subtasks(found)
    if as_json:
        print_json({**facts, "scores": found.scores, "subtasks": subtasks})
        return
    print(one_line(f"pool {found.label} of the suite {found.suite_digest[:12]}"))
    print(one_line(f"{len(found.models)} models: {', '.join(found.models)}"))
    print(f"digest {found.digest}\n")
    columns = ("ability", "subtask", "mean", "sd", "lowest", "highest")
    print_table(columns, [[line[column] for column in columns] for line in subtasks])


@app.command("list")
def list_(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Also the pools in it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Name the built-in pools, and those of a folder."""
    from lens_ray.errors import UserError
    from lens_ray.stats.pool import builtin_pools, load_pool

    listed = [{**_facts(pool), "file": None} for pool in builtin_pools()]
    if folder is not None:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; `lens-ray pool make` writes to ./pools")
        listed += [
            {**_facts(load_pool(file)), "file": str(file)} for file in sorted(folder.glob("*.json"))
        ]
    if as_json:
        print_json(listed)
        return
    rows = [
        (each["pool"], len(models) if isinstance(models := each["models"], tuple) else 0,
         str(each["suite_digest"])[:12], each["file"] or "built in")
        for each in listed
    ]  # fmt: skip
    print_table(("pool", "models", "suite", "file"), rows)


def _marks(store: str, models: list[str] | None, suite: str | None) -> Marks:
    from lens_ray.stats.marks import load_marks
    from lens_ray.store import Store as OpenStore

    return load_marks(OpenStore(store), models or None, suite=suite)


def _suite_of(store: str, pool: Pool) -> str:
    """The pool's suite, as the runs of a store name it."""
    from lens_ray.errors import UserError
    from lens_ray.store import Store as OpenStore

    for run in OpenStore(store).runs():
        if run.suite_digest == pool.suite_digest:
            return f"{run.suite.partition('@')[0]}@{run.suite_digest}"
    raise UserError(f"store {store} has no run on the suite of {pool.label}")


def _save(pool: Pool, folder: Path, as_json: bool) -> None:
    from lens_ray.stats.pool import save_pool

    path = save_pool(pool, folder)
    if as_json:
        print_json({**_facts(pool), "file": str(path)})
        return
    print(one_line(f"pool {pool.label}: {len(pool.models)} models, written to {path}"))
    print(one_line(f"measure against it with --pool {path}"))


def _facts(pool: Pool) -> dict[str, object]:
    return {
        "pool": pool.label,
        "name": pool.name,
        "version": pool.version,
        "suite_digest": pool.suite_digest,
        "models": pool.models,
        "digest": pool.digest,
    }


def _subtasks(pool: Pool) -> list[dict[str, object]]:
    from statistics import fmean, stdev

    found: list[dict[str, object]] = []
    for ability, subtasks in sorted(pool.scores[pool.models[0]].items()):
        for subtask in sorted(subtasks):
            scores = pool.corrected(ability, subtask) or ()
            found.append(
                {
                    "ability": ability,
                    "subtask": subtask,
                    "mean": fmean(scores),
                    "sd": stdev(scores) if len(scores) > 1 else None,
                    "lowest": min(scores),
                    "highest": max(scores),
                }
            )
    return found
