"""``lens-ray stability``: how steady one model is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, Pool, Store, without_secrets_each
from lens_ray.cli.output import one_line, print_json, print_table, with_interval

if TYPE_CHECKING:
    from lens_ray.stats.model_stability import Stability
    from lens_ray.store import RunHeader
    from lens_ray.suites.sample import Sample


def stability(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its name, or the id of a run.")],
    store: Store,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="NAME[@DIGEST]", help="Its run on this suite.")
    ] = None,
    pool: Pool = None,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            "--variants",
            metavar="SUITE",
            help="Its run on this variant of the suite (suite or run id); repeatable. Left out:"
            " all of rotate, rephrase, resize and jpeg that the store has.",
        ),
    ] = None,
    repeats: Annotated[
        list[str] | None,
        typer.Option(
            "--repeats",
            metavar="URL",
            callback=without_secrets_each,
            help="Another store with repeated runs, such as another night's; repeatable.",
        ),
    ] = None,
    questions: Annotated[
        list[str] | None,
        typer.Option(
            "--questions",
            metavar="SUITE",
            callback=without_secrets_each,
            help="Folder or URL of a suite that is not installed here; repeatable. Rotated"
            " options are compared by their text, so both suites are read.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how steady a model is: over subtasks, over variants, from run to run."""
    from lens_ray.stats.model_stability import stability as stability_of
    from lens_ray.stats.model_stability import variant_runs
    from lens_ray.store import Store as OpenStore

    opened = OpenStore(store)
    run, changed = variant_runs(opened, model, suite=suite, variants=variants)
    found = stability_of(
        opened,
        run.run_id,
        suite=suite,
        pool=pool,
        variants=[each.run_id for each in changed],
        other_stores=[OpenStore(url) for url in repeats or []],
        samples=_samples([run, *changed], questions or []) if changed else (),
    )
    if as_json:
        print_json(found)
    else:
        _print(found)


def _samples(runs: Sequence[RunHeader], named: Sequence[str]) -> list[Sample]:
    """The questions of some runs, where rotated options need them."""
    if not any("-rotate" in run.suite for run in runs):
        return []
    from lens_ray.errors import SuiteError
    from lens_ray.suites import load_suite

    suites = {suite.digest: suite for suite in map(load_suite, named)}
    found: list[Sample] = []
    for run in runs:
        name = f"{run.suite.partition('@')[0]}@{run.suite_digest}"
        try:
            suite = suites.get(run.suite_digest) or load_suite(name)
        except SuiteError as error:
            raise SuiteError(f"{error}; give the suite's folder with --questions") from error
        found += suite.samples
    return found


def _print(found: Stability) -> None:
    print(one_line(f"{found.model} on {found.suite}, run {found.run_id}"))
    beside = f"dvs and res beside pool {found.pool}" if found.pool else "no pool for dvs and res"
    print(f"\n{one_line(f'over the subtasks of an ability (lower is steadier; {beside})')}")
    kinds = ("dvs", "res", "tau")
    print_table(
        ("ability", "subtasks", *kinds),
        [
            (one.ability, one.subtasks, *(with_interval(one, kind) for kind in kinds))
            for one in found.over_subtasks
        ],
    )
    _notes(
        (each.ability, text)
        for each in found.over_subtasks
        for text in (*(f"{kind}: {why}" for kind, why in each.reasons.items()), each.note)
    )
    columns = ("agreement", "flip_rate", "mean", "worst", "of_both")
    for title, kind, kept in (
        (f"over variants ({', '.join(found.variants)})", "variants", found.over_variants),
        (f"over {len(found.repeats)} runs", "repeats", found.over_repeats),
    ):
        print(f"\n{one_line(title if kept else f'over {kind}')}")
        if not kept:
            print(one_line(f"- {found.reasons[kind]}"))
            continue
        print_table(
            ("ability", "questions", *columns),
            [(one.ability, one.n, *(with_interval(one, c) for c in columns)) for one in kept],
        )
        _notes((one.ability, text) for one in kept for text in (one.note, one.reason))
    if found.run_to_run:
        print("\ncorrected score from run to run")
        print_table(
            ("ability", "mean", "lowest", "highest", "sd"),
            [
                (one.ability, one.mean, one.lowest, one.highest, with_interval(one, "sd"))
                for one in found.run_to_run
            ],
        )
        _notes((each.ability, each.reason) for each in found.run_to_run)


def _notes(said: Iterable[tuple[str, str | None]]) -> None:
    """What is said of some abilities, one line a text."""
    lines: dict[str, list[str]] = {}
    for ability, text in said:
        if text is not None:
            lines.setdefault(text, []).append(ability)
    for text, abilities in lines.items():
        print(one_line(f"- {', '.join(abilities)}: {text}"))
