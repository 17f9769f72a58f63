"""``lens-ray advise``: which model to take, for a use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, OnlySuite, Store
from lens_ray.cli.output import one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.stats.advice import Advice


def advise(
    store: Store,
    need: Annotated[
        str | None,
        typer.Option(
            "--need", metavar="NEEDS.yaml", help="What is needed; else all abilities count alike."
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "--models", metavar="NAME", help="Only this; repeatable."),
    ] = None,
    suite: OnlySuite = None,
    on: Annotated[
        str,
        typer.Option(
            "--on", metavar="all|common", help="common: on the samples that all models answered."
        ),
    ] = "all",
    prices: Annotated[
        str | None, typer.Option("--prices", metavar="FILE", help="Price table (YAML).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which model to take, how sure that is, and what would make it surer.

    Exit code 4: no model meets the needs, or it cannot be said whether one does.
    """
    from lens_ray.errors import CannotSay
    from lens_ray.prices import load_prices
    from lens_ray.stats.advice import Needs, load_needs
    from lens_ray.stats.advice import advise as advise_on
    from lens_ray.store import Store as OpenStore

    needs = load_needs(need) if need is not None else Needs()
    advice = advise_on(
        OpenStore(store),
        needs,
        models=models or None,
        suite=suite,
        on=on,
        prices=load_prices(prices) if prices is not None else None,
    )
    if as_json:
        print_json(advice.to_dict())
    else:
        _print(advice)
    if advice.recommended is None:
        raise CannotSay(str(advice.reason))


def _print(advice: Advice) -> None:
    from lens_ray.report import advice as words

    print(one_line(words.heading(advice)))
    print()
    for line in words.verdict_lines(advice):
        print(one_line(line))
    print()
    print_table(words.COLUMNS, words.option_rows(advice))
    for line in words.LEGEND:
        print(line)
    print()
    for part in (words.undecided_lines, words.combination_lines):
        for line in part(advice):
            print(one_line(line))
    for line in words.reason_lines(advice):
        print(one_line(f"- {line}"))
