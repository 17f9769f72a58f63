"""``lens-ray leaderboard``: models ranked, with what is sure and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lens_ray.cli.options import Json, Pool, Store
from lens_ray.cli.output import print_json, terminal_width


def leaderboard(
    store: Store,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="Only this (or a run's id); repeatable."),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option("--suite", metavar="NAME[@DIGEST]", help="Which, where there are several."),
    ] = None,
    ability: Annotated[
        list[str] | None,
        typer.Option("--ability", metavar="NAME", help="Only this; repeatable; the first sorts."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="GROUP", help="Compare groups, too: access or backend."),
    ] = None,
    accelerator: Annotated[
        str | None,
        typer.Option("--accelerator", metavar="NAME", help="GPUs of runs that do not say it."),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help="A price table; wins over LENS_RAY_PRICES."),
    ] = None,
    pool: Pool = None,
    as_json: Json = False,
) -> None:
    """Rank models per ability: rank intervals, stability, cost, open against closed."""
    from lens_ray.prices import load_prices
    from lens_ray.stats.leaderboard import leaderboard as rank_models
    from lens_ray.stats.pool import load_pool
    from lens_ray.store import Store as OpenStore

    board = rank_models(
        OpenStore(store), model, suite=suite, abilities=ability, by=by,
        pool=None if pool is None else load_pool(pool), prices=load_prices(prices),
        accelerator=accelerator,
    )  # fmt: skip
    if as_json:
        print_json(board)
        return
    from lens_ray.report.board import render_board

    print(render_board(board, terminal_width()))
