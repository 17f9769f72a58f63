"""``lens-ray estimate``: a model's scores on a whole suite, from its anchors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, Store
from lens_ray.cli.output import one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.stats.anchors import Estimate


def estimate(
    model: Annotated[str, typer.Argument(help="Has answered the split anchor.")],
    reference: Annotated[
        str,
        typer.Option(
            "--from", metavar="MODEL", help="Has answered the whole suite; best a kin of it."
        ),
    ],
    store: Store,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="NAME[@DIGEST]", help="Where they share some.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Estimate MODEL's scores on the whole suite from its anchors (a fifth of it)."""
    from lens_ray.stats.anchors import estimate as estimate_anchors

    found = estimate_anchors(store, model, reference, suite=suite)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: Estimate) -> None:
    columns = ("", "anchors", "of", "score", "95 %", "on this suite", "anchors alone", "worth")
    rows = [
        (
            one.figure, one.anchors, one.whole, _figure(one.estimate),
            _range(one.ci_low, one.ci_high), _range(one.suite_low, one.suite_high),
            None if one.alone is None
            else f"{one.alone:.3f} {_range(one.alone_low, one.alone_high)}",
            one.worth,
        )
        for one in found.figures
    ]  # fmt: skip
    print_table(columns, rows)
    print()
    model, reference = found.model, found.reference
    print(one_line(f"corrected scores of {model}, from its anchors and {reference} as reference"))
    print("on this suite: where the score will lie once all of it is answered")
    print("worth: anchors that would be needed for the same interval without the reference")
    for one in found.figures:
        if one.reason:
            print(one_line(f"- {one.figure}: {one.reason}"))


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _range(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
