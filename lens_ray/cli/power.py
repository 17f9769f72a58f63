"""``lens-ray power``: how many samples for this difference, and what can this suite see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, StoreOverride
from lens_ray.cli.output import one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.stats.power import PowerReport


def power(
    a: Annotated[str | None, typer.Argument(metavar="[A", help="A model of the store.")] = None,
    b: Annotated[str | None, typer.Argument(metavar="B]", help="Another one.")] = None,
    store: StoreOverride = None,
    suite: Annotated[
        str | None,
        typer.Option("--suite", metavar="NAME", help="Without A and B: the suite to plan for."),
    ] = None,
    difference: Annotated[
        float | None,
        typer.Option("--difference", metavar="D", help="Of corrected scores, to be found: 0.02."),
    ] = None,
    wanted: Annotated[
        float, typer.Option("--power", metavar="P", help="Probability of finding it.")
    ] = 0.8,
    level: Annotated[float, typer.Option("--level", metavar="L", help="Of the test.")] = 0.05,
    discordance: Annotated[
        float | None,
        typer.Option(
            "--discordance", metavar="S", help="Assumed share of samples that one gets right alone."
        ),
    ] = None,
    accuracy: Annotated[
        float | None, typer.Option("--accuracy", metavar="P", help="Assumed of both, instead.")
    ] = None,
    correlation: Annotated[
        float | None,
        typer.Option("--correlation", metavar="R", help="Assumed of both on a sample: 0.8."),
    ] = None,
    cluster_correlation: Annotated[
        float,
        typer.Option("--cluster-correlation", metavar="R", help="Assumed within an image."),
    ] = 0.0,
    on: Annotated[
        str, typer.Option("--on", metavar="all|common", help="See `lens-ray compare`.")
    ] = "all",
    as_json: Json = False,
) -> None:
    """How many samples a difference needs, and which one can be seen; in samples and dollars.

    Two models of a store say how much they differ; without them, say what is assumed.
    """
    from lens_ray.errors import UserError
    from lens_ray.stats.power import measured_power
    from lens_ray.stats.power_plan import planned_power

    if a is not None:
        if b is None or store is None:
            raise UserError("power of two models: type lens-ray power A B --store URL")
        report = measured_power(
            store, a, b, suite=suite, difference=difference, power=wanted, level=level, on=on
        )
    else:
        report = planned_power(
            suite, discordance=discordance, accuracy=accuracy, correlation=correlation,
            cluster_correlation=cluster_correlation, difference=difference, power=wanted,
            level=level,
        )  # fmt: skip
    if as_json:
        print_json(report)
    else:
        _print(report)


def _print(report: PowerReport) -> None:
    asked = report.difference is not None
    columns = ["", "units", "images", "sees"]
    if asked:
        columns += [f"power for {report.difference:g}", "samples needed", "dollars"]
    rows = []
    for line in report.lines:
        cells: list[object] = [line.figure, line.n, line.clusters, line.sees]
        if asked:
            cells += [line.power, line.needed, line.usd]
        rows.append(cells)
    print_table(columns, rows)
    print()
    print(one_line(f"{report.basis}; test at {report.level:g}, power {report.power:g}"))
    print("unit: a sample, or samples that are marked as one")
    print("sees: the smallest true difference of corrected scores that is found with that power")
    for note in report.notes:
        print(one_line(f"- {note}"))
    for line in report.lines:
        if line.reason:
            print(one_line(f"- {line.figure}: {line.reason}"))
    for why in dict.fromkeys(line.usd_reason for line in report.lines if line.usd_reason):
        print(one_line(f"- dollars: {why}"))
