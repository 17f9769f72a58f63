"""``lens-ray sequential``: two models compared while they are still being asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, Store
from lens_ray.cli.output import one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.stats.sequential import SequentialComparison


def sequential(
    a: Annotated[str, typer.Argument(metavar="A", help="A model of the store.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    store: Store,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="NAME[@DIGEST]", help="Where they share some.")
    ] = None,
    level: Annotated[
        float,
        typer.Option("--level", metavar="L", help="Probability of a false decision, at most."),
    ] = 0.05,
    as_json: Json = False,
) -> None:
    """Who is better, by a test that may be looked at as often as one likes.

    On the samples that both have answered so far, finished or not.
    """
    from lens_ray.stats.sequential import compare_sequentially

    found = compare_sequentially(store, a, b, suite=suite, level=level)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: SequentialComparison) -> None:
    columns = ("", "samples", "A ahead", "B ahead", "e", "p (Holm)", "better", "after samples")
    rows = [
        (one.figure, one.n, one.wins, one.losses, one.e, one.p_holm, one.better, one.decided_at)
        for one in found.figures
    ]
    print_table(columns, rows)
    print()
    print(one_line(f"A is {found.a}, B is {found.b}; ahead: images on which one has more right"))
    print(
        f"better: where p is at most {found.level:g}, at any look; where none is, asking may go on,"
    )
    print("and they need not be equal (`lens-ray compare` has the interval)")
    print("after samples: in a random order, how many would have decided it alone")
    for note in found.notes:
        print(one_line(f"- {note}"))
    for one in found.figures:
        if one.reason:
            print(one_line(f"- {one.figure}: {one.reason}"))
