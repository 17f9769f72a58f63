"""``lens-ray checkpoints``: what is kept of watched training runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, StoreOverride, Verbs
from lens_ray.cli.output import one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.online.keep import Pruned
    from lens_ray.online.retention import Retention
    from lens_ray.online.spec import RunSpec, WatchSpec
    from lens_ray.store import Store

app = typer.Typer(
    cls=Verbs,
    help="Checkpoints of watched runs: list, pin, unpin, keep, candidates.",
    rich_markup_mode=None,
)

Watch = Annotated[str, typer.Argument(metavar="WATCH.yaml", help="The watch file.")]
Steps = Annotated[list[int], typer.Argument(metavar="STEP...", help="Steps of checkpoints.")]
Run = Annotated[
    str | None,
    typer.Option("--run", metavar="NAME", help="Which run; needed where there are several."),
]


@app.command("list")
def list_(
    watch: Watch, store: StoreOverride = None, run: Run = None, as_json: Json = False
) -> None:
    """Show every checkpoint, whether it is kept, and why."""
    from lens_ray.online.retention import retained, run_of

    spec, opened = _opened(watch, store)
    chosen = spec.runs if run is None else (run_of(spec, run),)
    found = [retained(spec, opened, each) for each in chosen]
    if as_json:
        print_json({"watch": spec.name, "runs": found})
        return
    for each in found:
        _print(each)


@app.command()
def pin(
    watch: Watch,
    steps: Steps,
    store: StoreOverride = None,
    run: Run = None,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Shown with the pin.")] = "",
    as_json: Json = False,
) -> None:
    """Keep checkpoints, whatever the rule says."""
    from lens_ray.online.retention import pin as pin_steps

    spec, opened, chosen = _chosen(watch, store, run)
    pins = pin_steps(spec, opened, chosen, steps, why)
    _print_pins(chosen, pins.steps, as_json)


@app.command()
def unpin(
    watch: Watch,
    steps: Steps,
    store: StoreOverride = None,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Let the rule decide over checkpoints again."""
    from lens_ray.online.retention import unpin as unpin_steps

    spec, opened, chosen = _chosen(watch, store, run)
    pins = unpin_steps(spec, opened, chosen, steps)
    _print_pins(chosen, pins.steps, as_json)


@app.command()
def keep(
    watch: Watch,
    rule: Annotated[
        str | None,
        typer.Argument(
            metavar="RULE",
            help="best_per_ability, milestones, before_falls, everything; several with commas."
            " Left out: the rule as it is.",
        ),
    ] = None,
    store: StoreOverride = None,
    run: Run = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete now what is not kept; else it is only shown.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Set what is kept of a run besides the newest and the pinned; delete the rest if told to."""
    from lens_ray.online.keep import parse_keep
    from lens_ray.online.retention import delete_rest, retained, set_rule

    spec, opened, chosen = _chosen(watch, store, run)
    if rule is not None:
        set_rule(spec, opened, chosen, parse_keep(rule))
    gone = delete_rest(spec, opened, chosen) if delete else ()
    found = retained(spec, opened, chosen)
    if as_json:
        print_json({"watch": spec.name, "runs": [found], "deleted": gone if delete else None})
    else:
        _print(found)
        _print_deleted(gone) if delete else _print_hint(found, watch)
    if any(not each.deleted for each in gone):
        raise typer.Exit(6)


@app.command()
def candidates(
    watch: Watch,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where the file is written.")
    ] = Path("candidates.yaml"),
    store: StoreOverride = None,
    run: Run = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Of the stored rows that the run's replay: names.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the checkpoints that are worth merging to a file that `merge search` reads."""
    from lens_ray.online.candidates import write_candidates
    from lens_ray.online.retention import merge_candidates

    spec, opened, chosen = _chosen(watch, store, run, create=replay)
    found = merge_candidates(spec, opened, chosen, replay=replay)
    write_candidates(found, out)
    if as_json:
        print_json({"file": str(out), **found.model_dump(mode="json")})
        return
    rows = [(each.step, each.scores.get("overall"), "; ".join(each.why), each.path)
            for each in found.checkpoints]  # fmt: skip
    print_table(("step", "overall", "why", "path"), rows)
    print(one_line(f"written to {out}; base: {found.base}"))


def _opened(watch: str, store: str | None, *, create: bool = False) -> tuple[WatchSpec, Store]:
    from lens_ray.online.spec import load_watch
    from lens_ray.store import Store as OpenStore

    spec = load_watch(watch, store=store)
    return spec, OpenStore(spec.store, create=create)


def _chosen(
    watch: str, store: str | None, run: str | None, *, create: bool = False
) -> tuple[WatchSpec, Store, RunSpec]:
    from lens_ray.online.retention import run_of

    spec, opened = _opened(watch, store, create=create)
    return spec, opened, run_of(spec, run)


def _print(found: Retention) -> None:
    if not found.fates:
        print(one_line(f"run {found.run}: no checkpoint was seen so far; type lens-ray watch"))
        return
    print(one_line(f"run {found.run}, kept: {', '.join(found.keep)}"))
    rows = [
        (
            each.step,
            "gone" if not each.there else "kept" if each.kept else "may go",
            None if each.size is None or not each.there else f"{each.size / 1e6:,.1f} MB",
            "; ".join(each.why),
        )
        for each in found.fates
    ]
    print_table(("step", "", "size", "why"), rows)
    print()


def _print_hint(found: Retention, watch: str) -> None:
    going = [each for each in found.fates if not each.kept and each.there]
    if going:
        size = sum(each.size or 0 for each in going) / 1e6
        print(
            one_line(
                f"{len(going)} checkpoints ({size:,.1f} MB) may go; nothing was deleted; to delete "
                f"them: lens-ray checkpoints keep {watch} --run {found.run} --delete"
            )
        )


def _print_deleted(gone: tuple[Pruned, ...]) -> None:
    for each in gone:
        said = "deleted" if each.deleted else f"not deleted: {each.reason}"
        print(one_line(f"step {each.step}: {said}: {each.path}"))
    print(f"{sum(each.deleted for each in gone)} checkpoints deleted")


def _print_pins(run: RunSpec, steps: object, as_json: bool) -> None:
    if as_json:
        print_json({"run": run.name, "pinned": steps})
        return
    assert isinstance(steps, dict)
    for step, why in sorted(steps.items()):
        print(one_line(f"step {step} is pinned" + (f": {why}" if why else "")))
    print(one_line(f"run {run.name}: {len(steps)} checkpoints are pinned"))
