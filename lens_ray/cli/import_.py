"""``lens-ray import``: results of other tools, people and machines become a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from lens_ray.cli.options import Json, without_secrets
from lens_ray.cli.output import note, one_line, print_json, print_leaderboard

if TYPE_CHECKING:
    from lens_ray.imports import Access, ImportReport, Tool


def import_(
    tool: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="lmms-eval: its samples (.jsonl, or the model's folder). vlmevalkit: its "
            "predictions (.tsv, .json, .xlsx, or the model's folder). inspect: a log (.eval, "
            ".json). csv: any table (.csv, .tsv, .json, .jsonl, .parquet, .xlsx) of sample id and "
            "answer.",
        ),
    ],
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The file or folder.")],
    suite: Annotated[
        str,
        typer.Option(
            "--suite",
            metavar="SUITE",
            callback=without_secrets,
            help="What was asked: NAME@DIGEST, or the folder, archive or URL of a suite.",
        ),
    ],
    store: Annotated[
        str,
        typer.Option(
            "--store", metavar="URL", callback=without_secrets, help="Folder or URL to write to."
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="What to call who answered.")
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--source", metavar="NAME", help="The rows' source, where the file's name lacks it."
        ),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Leave samples without an answer out, on purpose."),
    ] = False,
    access: Annotated[
        str, typer.Option("--access", metavar="open|closed", help="As of a model in a job.")
    ] = "open",
    id_column: Annotated[
        str, typer.Option("--id-column", metavar="NAME", help="Of csv: where the ids stand.")
    ] = "sample_id",
    answer_column: Annotated[
        str, typer.Option("--answer-column", metavar="NAME", help="Of csv: where the answers are.")
    ] = "answer",
    as_json: Json = False,
) -> None:
    """Import answers; lens-ray marks them as its own. The same file again adds nothing."""
    _one_of("FORMAT", tool, ("lmms-eval", "vlmevalkit", "inspect", "csv"))
    _one_of("--access", access, ("open", "closed"))
    from lens_ray.imports import import_results

    report = import_results(
        cast("Tool", tool),
        path,
        suite=suite,
        store=store,
        model=model,
        source=source,
        partial_run=partial,
        access=cast("Access", access),
        id_column=id_column,
        answer_column=answer_column,
    )
    if as_json:
        fields = {name: getattr(report, name) for name in report.__dataclass_fields__}
        print_json({**fields, "exit_code": report.exit_code})
    else:
        _print(report)
    if report.exit_code:
        note(f"lens-ray: {_complaint(report)}")
    raise typer.Exit(report.exit_code)


def _one_of(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        from difflib import get_close_matches

        from lens_ray.errors import UserError

        near = get_close_matches(given, known, 1, 0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"{what} {given!r}: type one of {', '.join(known)}{hint}")


def _print(report: ImportReport) -> None:
    from lens_ray.store import Store

    print_leaderboard(Store(report.store).scores([report.run_id]))
    print()
    print(
        one_line(
            f"run {report.run_id} of {report.model} on {report.suite}: {report.answered} of "
            f"{report.expected} samples answered, {report.new} rows stored now"
        )
    )
    if report.repeated:
        print(f"{report.repeated} rows say again what another says")
    if report.other:
        print(
            f"{report.other} rows are of questions that the suite does not ask, or that cannot be "
            "told apart"
        )


def _complaint(report: ImportReport) -> str:
    """What lacks an answer, and what to do."""
    parts = []
    if report.missing:
        parts.append(
            f"{report.missing} samples have no answer in the file, first {report.first_missing} "
            "(--partial leaves such out on purpose)"
        )
    parts += [f"{count} failed there ({status})" for status, count in report.failed.items()]
    return f"model {report.model} incomplete: {'; '.join(parts)}"
