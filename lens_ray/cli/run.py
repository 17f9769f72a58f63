"""``lens-ray run``: evaluate the models of a job file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, StoreOverride
from lens_ray.cli.output import note, one_line, print_json, print_leaderboard

if TYPE_CHECKING:
    from lens_ray.evaluate import RunReport


def run(
    job: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job file.")],
    store: StoreOverride = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="RAY", help="A running Ray; left out, a local one."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="At most N samples.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME[,NAME]", help="Only these models; repeatable."),
    ] = None,
    no_cache: Annotated[
        bool,
        typer.Option("--no-cache", help="Pay again for answers that other runs have paid for."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Evaluate models x suite. Started again, it goes on where it stopped."""
    from lens_ray.cli.progress import progress_display
    from lens_ray.job import load_job

    spec = load_job(job, store=store)
    if only:
        spec = spec.only([name.strip() for part in only for name in part.split(",")])
    from lens_ray.evaluate import evaluate

    with progress_display() as show:
        report = evaluate(
            spec, store=store, address=address, on_progress=show, limit=limit, cache=not no_cache
        )
    if as_json:
        print_json({**_fields(report), "exit_code": report.exit_code})
    elif any(model.scores for model in report.models):
        _print(report)
    elif len(report.models) > 1:
        _print_reasons(report)
    if report.exit_code:
        note(f"lens-ray: {_complaint(report)}")
    raise typer.Exit(report.exit_code)


def _fields(report: RunReport) -> dict[str, object]:
    return {name: getattr(report, name) for name in report.__dataclass_fields__}


def _complaint(report: RunReport) -> str:
    """The first model that is not complete, and how many more there are."""
    lacking = [model for model in report.models if model.status != "complete"]
    more = f" (and {len(lacking) - 1} more models)" if len(lacking) > 1 else ""
    return f"model {lacking[0].model} {lacking[0].status}: {lacking[0].reason}{more}"


def _print_reasons(report: RunReport) -> None:
    for model in report.models:
        if model.reason:
            print(f"{model.model}: {model.status}: {one_line(model.reason)}")


def _print(report: RunReport) -> None:
    import pyarrow as pa

    from lens_ray.stats import scores_table

    print_leaderboard(
        pa.concat_tables(
            scores_table(
                model.scores, run_id=model.run_id or "", model=model.model, suite=report.suite
            )
            for model in report.models
            if model.scores
        )
    )
    print()
    _print_reasons(report)
    answered = sum(model.answered for model in report.models)
    resumed = sum(model.resumed for model in report.models)
    print(f"{answered} answers in {report.seconds:.1f} s, {resumed} were there already")
    for model in report.models:
        if model.left_out:
            whole = model.expected + model.left_out
            print(
                f"{one_line(model.model)}: {model.expected:,} of {whole:,} samples were enough "
                "(until); the others were left out"
            )
    for model in report.models:
        if model.spent_usd is not None:
            print(f"{one_line(model.model)}: ${model.spent_usd:.4f} spent so far")
    for line in report.notes:
        print(one_line(line))
    asked = sum(model.flip_n for model in report.models)
    if asked:
        flipped = sum(round((model.flip_rate or 0) * model.flip_n) for model in report.models)
        print(f"{flipped} of {asked} answers differ when they are asked again at batch 1")
    where = shlex.quote(report.store)
    print(f"rows and scores are in {one_line(report.store)}; next:")
    print(f"  lens-ray report --store {where} --out lens-report.html")
    print(f"  lens-ray leaderboard --store {where}")
    print(f"  lens-ray advise --store {where}")
    question = "SELECT model, status, count(*) AS n FROM rows GROUP BY ALL ORDER BY ALL"
    print(f'  lens-ray query "{question}" --store {where}')
