"""``lens-ray merge repair``: a short fine-tune of a merge, and whether it was worth it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, without_secrets
from lens_ray.cli.output import one_line, print_json

if TYPE_CHECKING:
    from lens_ray.merging.repair import RepairRecord
    from lens_ray.repairing import RepairReport


def repair(
    merge: Annotated[str, typer.Argument(metavar="DIR", help="The merge, or any checkpoint.")],
    calibration: Annotated[
        str,
        typer.Option("--calibration", metavar="SUITE", help="What it is trained on."),
    ],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="New folder.")],
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="MODEL",
            help="Train this checkpoint too, at equal cost, into DIR-continued: the final one.",
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option("--suite", metavar="SUITE", help="Compare them on this; needs --store."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="URL", callback=without_secrets, help="Where rows go."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="RAY", help="A running Ray; left out, a local one."),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of the optimiser.")] = 100,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples a step.")] = 16,
    lr: Annotated[float, typer.Option("--lr", help="Highest learning rate.")] = 2e-5,
    accumulate: Annotated[
        int, typer.Option("--accumulate", min=1, help="Parts of a batch, to save memory.")
    ] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="GLOB", help="Train these parameters only; repeatable."),
    ] = None,
    abilities: Annotated[
        list[str] | None,
        typer.Option("--ability", metavar="NAME", help="Train on this only; repeatable."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Train on at most N samples.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the order of samples.")] = 0,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Of torch, in training.")] = 1,
    as_json: Json = False,
) -> None:
    """Fine-tune a merge on a small calibration suite, and compare it with continued fine-tuning.

    No sample of the calibration suite may be in a suite on which the merge is judged. Where DIR is
    there already, from the same command, nothing is trained again.
    """
    from lens_ray.cli.progress import progress_display
    from lens_ray.errors import UserError
    from lens_ray.merging.repair import RepairPlan
    from lens_ray.repairing import Calibration, repair_merge

    if not 0 < lr <= 1:
        raise UserError(f"--lr {lr:g}: a rate is above 0 and at most 1, such as 2e-5")
    plan = RepairPlan(
        steps=steps, batch=batch, lr=lr, accumulate=accumulate, seed=seed, only=tuple(only or ())
    )
    mix = Calibration(calibration, tuple(abilities) if abilities else None, limit=limit)
    with progress_display() as show:
        report = repair_merge(
            merge, mix, out, plan, against=against, suite=suite, store=store, address=address,
            threads=threads, on_progress=show,
        )  # fmt: skip
    if as_json:
        print_json(_told(report))
    else:
        _print(report)


def _told(report: RepairReport) -> dict[str, object]:
    def plain(record: RepairRecord | None) -> object:
        return None if record is None else record.model_dump(mode="json")

    fields = {name: getattr(report, name) for name in report.__dataclass_fields__}
    return fields | {"repaired": plain(report.repaired), "continued": plain(report.continued)}


def _print(report: RepairReport) -> None:
    from lens_ray.merging.repair.judge import cost_line

    made = report.repaired
    print(one_line(f"{report.out}: repaired on {made.calibration}, {made.examples:,} samples"))
    print(f"loss: {made.loss_before:.4f} before, {made.loss_after:.4f} after, nats a token")
    print(cost_line(made, report.continued))
    if report.verdict is None:
        return
    print(one_line(f"on {report.suite}, paired by sample:"))
    for line in report.verdict.says:
        print(one_line(f"- {line}"))
