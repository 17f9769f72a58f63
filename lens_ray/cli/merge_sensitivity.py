"""``lens-ray merge sensitivity``: how much each tensor matters to what a model should say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lens_ray.cli.options import Json
from lens_ray.cli.output import one_line, print_json, print_table

_SHOWN = 10


def sensitivity(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder, builtin: name or URL.")],
    suite: Annotated[
        str, typer.Option("--suite", metavar="SUITE", help="Whose answers it should give.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.json", help="The table, for a recipe's `table`.")
    ],
    abilities: Annotated[
        list[str] | None, typer.Option("--ability", metavar="NAME", help="Only this; repeatable.")
    ] = None,
    splits: Annotated[
        list[str] | None,
        typer.Option("--split", metavar="NAME", help="anchor, search or sealed; repeatable."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="At most N samples.")
    ] = 256,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples a gradient.")] = 8,
    threads: Annotated[int, typer.Option("--threads", min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Score every tensor of a checkpoint by mean |t * dL/dt| over a suite's answers.

    The splits anchor and search are taken unless others are named: sealed samples confirm a merge.
    """
    from lens_ray.merging.answers import examples_of
    from lens_ray.merging.sensitivity import sensitivity as score
    from lens_ray.merging.sensitivity import write_table
    from lens_ray.models.resolve import resolve
    from lens_ray.suites.suite import load_suite

    asked = load_suite(suite)
    chosen = asked.select(abilities or None, limit, splits or ("anchor", "search"))
    table = score(resolve(model), examples_of(asked, chosen), batch=batch, threads=threads)
    write_table(table, out)
    if as_json:
        print_json({"model": model, "suite": suite, "out": str(out), "table": table})
        return
    print_table(
        ("tensor", "mean |t * dL/dt|"),
        [(name, f"{score:.3g}") for name, score in list(table.scores.items())[:_SHOWN]],
    )
    print(
        one_line(
            f"{len(table.scores)} tensors in {out}; loss {table.loss:.4f} nats a token over "
            f"{table.examples} samples of {suite}"
        )
    )
