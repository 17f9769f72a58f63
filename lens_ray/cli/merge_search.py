"""``lens-ray merge search``: find a merge that beats every single checkpoint, and confirm it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, StoreOverride
from lens_ray.cli.output import note, one_line, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lens_ray.engine.search_bill import SearchBill
    from lens_ray.merging.record import Score
    from lens_ray.merging.search.found import Confirmation, Found
    from lens_ray.searching import Searched


def search(
    job: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The merge file.")],
    store: StoreOverride = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder that the found merge becomes."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="RAY", help="A running Ray; left out, a local one."),
    ] = None,
    need: Annotated[
        list[str] | None,
        typer.Option(
            "--need",
            metavar="ABILITY=WEIGHT[,...]",
            help="How much each ability counts, in the place of the file's needs; repeatable.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="HTML page: parents, final and merge."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find the merge of some checkpoints that is better than each of them, and confirm it.

    Started again, it goes on where it stopped. Exit code 3: none is shown to be better, so --out
    stays empty; 4: it cannot be said whether one is; 6: the budget was spent first.
    """
    from lens_ray.errors import BudgetReached, CannotSay, NoGo
    from lens_ray.merging.spec import load_merge
    from lens_ray.report.files import check_target
    from lens_ray.searching import search_merges

    spec = load_merge(job, store=store)
    if report is not None:
        check_target(report)
    found = search_merges(spec, address=address, out=out, needs=_weights(need), on_line=note)
    if report is not None:
        from lens_ray.report.merged import write_merged_page

        write_merged_page(found.found, report)
    if as_json:
        print_json(found.to_json())
    else:
        _print(found, spec.store)
    if found.found.stopped is not None:
        raise BudgetReached(found.found.stopped)
    nothing = "" if out is None else f"nothing is written to {out}: "
    if found.found.verdict == "unconfirmed":
        raise CannotSay(f"{spec.name}: {nothing}{found.found.why}")
    if out is not None and found.out is None:
        raise NoGo(f"{spec.name}: {nothing}{found.found.why}")


def _weights(given: list[str] | None) -> dict[str, float] | None:
    """``--need counting=2,ocr=1`` as weights.

    Raises:
        UserError: It is not written so.
    """
    from lens_ray.errors import UserError

    weights: dict[str, float] = {}
    for part in (part for text in given or () for part in text.split(",")):
        name, _, number = (piece.strip() for piece in part.partition("="))
        try:
            weights[name] = float(number)
        except ValueError:
            name = ""
        if not name or not 0 <= weights[name] < float("inf"):
            raise UserError(
                f"--need {part!r}: write ability=weight with a weight of 0 or more, such as "
                "--need counting=2,ocr=1"
            )
    return weights or None


def _print(searched: Searched, store: str) -> None:
    from lens_ray.report.merged import lines_of_merged

    found = searched.found
    _print_tried(found)
    print()
    for line in lines_of_merged(found):
        print(line)
    if found.confirmation is not None:
        _print_claims(found.confirmation)
    print()
    print(one_line(f"{found.verdict}: {found.why}"))
    for parent in found.recommended.recipe.parents:
        share = "" if found.recommended.single else f"{parent.weight:.3f} x "
        print(f"  {share}{parent.name} ({one_line(parent.path)})")
    for group in found.recommended.recipe.groups:
        shares = ", ".join(f"{share:.3f} x {name}" for name, share in group.weights.items())
        print(f"  {one_line(group.match)}: {shares}")
    if found.optimism is not None:
        luck = found.optimism
        print(
            f"on the samples of the search its gain was {luck.gain:+.4f}; being the best of "
            f"{luck.candidates} adds {luck.expected:.4f} to that by luck"
        )
    for line in found.notes:
        print(one_line(f"- {line}"))
    print_cost(searched.bill, found)
    _print_next(searched, store)


def _print_tried(found: Found) -> None:
    abilities = [name for name, weight in found.weights.items() if weight > 0]
    columns = ("trial", "step", "ground", *abilities, "overall", "gain", "verdict")
    rows = [
        (
            one.trial.name,
            one.step,
            one.ground,
            *(_value(one.scores, name) for name in (*abilities, "overall")),
            None if one.gain is None else round(one.gain, 4),
            one.verdict,
        )
        for one in found.tried
    ]
    print_table(columns, rows)


def _print_claims(confirmed: Confirmation) -> None:
    print()
    print("what must hold of a merge, on those samples:")
    for claim in confirmed.claims:
        one = claim.difference
        if one.difference is None or one.ci_low is None or one.ci_high is None:
            print(one_line(f"- {claim.figure} against {claim.against}: {one.reason}"))
            continue
        holds = "holds" if claim.holds else "does not hold"
        print(
            one_line(
                f"- {claim.figure} against {claim.against}: {one.difference:+.4f} "
                f"[{one.ci_low:+.4f}, {one.ci_high:+.4f}], {claim.change}: {holds}"
            )
        )


def _value(scores: Mapping[str, Score], name: str) -> float | None:
    score = scores.get(name)
    return None if score is None or score.value is None else round(score.value, 4)


def print_cost(bill: SearchBill, found: Found) -> None:
    """What the search took, beside the training, and what a large one would take."""
    spent = found.spent
    print()
    print(
        f"cost      {spent.samples:,} answers, {spent.candidates} merges, "
        f"{bill.device_s:,.0f} device-seconds of replicas, {bill.merge_s:.1f} s of merging"
        + (f", ${spent.usd:.2f}" if spent.usd is not None else "")
    )
    if bill.share is not None and bill.training_s is not None:
        print(f"          {bill.share:.1%} of the training's {bill.training_s:,.0f} device-seconds")
    if bill.large_gpu_hours is not None:
        form = ".2g" if bill.large_gpu_hours < 10 else ".0f"
        hours = f"{bill.large_gpu_hours:{form}}"
        print(f"7B        {hours} GPU-hours predicted: {one_line(bill.large_basis)}")


def _print_next(searched: Searched, store: str) -> None:
    if searched.out is None:
        return
    place = shlex.quote(searched.out)
    print(f"the merge is in {one_line(searched.out)}; next:")
    print(f"  lens-ray merge verify {place} --store {shlex.quote(store)}")
