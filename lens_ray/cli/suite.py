"""``lens-ray suite``: what can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, Verbs, without_secrets, without_secrets_each
from lens_ray.cli.output import one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.suites import Suite
    from lens_ray.suites.facts import SuiteFacts

app = typer.Typer(
    cls=Verbs, help="Suites: list, show, build, import, check.", rich_markup_mode=None
)

Ref = Annotated[
    str,
    typer.Argument(
        metavar="SUITE",
        callback=without_secrets,
        help="mini:quick, NAME@DIGEST, or the folder, archive or URL of a suite.",
    ),
]

Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="FOLDER",
        callback=without_secrets,
        help="Write it there (folder or URL) and not into the cache.",
    ),
]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Name the built-in suites and those that were built or installed here."""
    from lens_ray.suites.load import BUILTIN, folder_name, installed, suites_home
    from lens_ray.suites.mini import frozen_digests

    built = {(info.name, info.digest): info for info in installed()}
    listed: list[dict[str, object]] = []
    for name in BUILTIN:
        digest = frozen_digests().get(name)
        info = built.pop((name, digest), None) if digest else None
        listed.append(_entry(name, digest, info.samples if info else None, info is not None))
    listed += [_entry(info.name, info.digest, info.samples, True) for info in built.values()]
    if as_json:
        print_json(listed)
        return
    rows = [
        (
            entry["name"],
            str(entry["digest"] or "")[:12],
            entry["samples"],
            folder_name(str(entry["name"]), str(entry["digest"]))
            if entry["built"]
            else "built at first use",
        )
        for entry in listed
    ]
    print_table(("suite", "digest", "samples", "folder"), rows)
    print(f"\nfolders are in {one_line(str(suites_home()))}; next: lens-ray suite show mini:quick")


def _entry(name: str, digest: str | None, samples: int | None, built: bool) -> dict[str, object]:
    return {"name": name, "digest": digest, "samples": samples, "built": built}


@app.command()
def show(suite: Ref, as_json: Json = False) -> None:
    """Show what a suite holds: abilities, subtasks, weights, licence, digest."""
    from lens_ray.suites import load_suite
    from lens_ray.suites.packs import notices

    found = load_suite(suite)
    if as_json:
        print_json({**_facts(found), "notices": notices(found)})
        return
    for notice in notices(found):
        print(f"notice    {one_line(notice)}")
    for key in ("name", "digest", "licence", "revision", "samples", "images", "location"):
        print(f"{key:<9} {one_line(str(_facts(found)[key]))}")
    print()
    rows = [
        (ability, subtask, count, found.weights[ability][subtask], *_kinds(found, subtask))
        for ability, subtasks in found.info.counts.items()
        for subtask, count in subtasks.items()
    ]
    print_table(("ability", "subtask", "samples", "weight", "format", "domain", "metric"), rows)


def _facts(suite: Suite) -> dict[str, object]:
    info = suite.info
    return {
        "name": info.name,
        "digest": info.digest,
        "licence": info.licence,
        "revision": info.revision,
        "samples": info.samples,
        "images": info.images,
        "location": suite.location,
        "counts": info.counts,
        "weights": info.weights,
    }


def _kinds(suite: Suite, subtask: str) -> tuple[str, str, str]:
    """Formats, domains and metrics of a subtask."""
    samples = [sample for sample in suite.samples if sample.subtask == subtask]
    kinds = [
        ", ".join(sorted({getattr(sample, name) for sample in samples}))
        for name in ("format", "domain", "metric")
    ]
    return kinds[0], kinds[1], kinds[2]


@app.command()
def build(
    suite: Ref,
    origins: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="WHERE",
            callback=without_secrets_each,
            help="hub, a folder of data sets, a .tsv of VLMEvalKit's, or SOURCE=WHERE. Repeat it;"
            " the first that has a source counts. For recipes only; left out: hub.",
        ),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME", help="Only this benchmark; repeat it."),
    ] = None,
    abilities: Annotated[
        list[str] | None,
        typer.Option("--ability", "--abilities", metavar="NAME", help="Only this ability; repeat."),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Change a switch of the recipe."),
    ] = None,
    revisions: Annotated[
        list[str] | None,
        typer.Option("--revision", metavar="SOURCE=COMMIT", help="Read this commit of the hub."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder, .zip or .tar of images that tables name by path."),
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Build a suite into the cache, or into a folder or bucket.

    SUITE is a built-in suite, a built one to copy, or a recipe: abilitylens, abilitylens-paper,
    abilitylens-lite. A recipe's build goes on where it was broken off.
    """
    from lens_ray.cli.suite_build import Asked, build_recipe, is_recipe

    if is_recipe(suite):
        asked = Asked(
            origins or ["hub"], sources or [], abilities or [], options or [], revisions or [],
            images, out,
        )  # fmt: skip
        found = build_recipe(suite, asked)
    else:
        _refuse_recipe_options(suite, origins, sources, abilities, options, revisions, images)
        found = _existing(suite, out)
    if as_json:
        print_json(_facts(found))
    else:
        print(f"{found.name}@{found.digest[:12]}: {found.info.samples} samples")
        print(f"in {one_line(found.location)}")


def _refuse_recipe_options(suite: str, *given: object) -> None:
    from lens_ray.cli.suite_build import RECIPE_OPTIONS
    from lens_ray.errors import SuiteError
    from lens_ray.suites.abilitylens import PRESETS

    for name, value in zip(RECIPE_OPTIONS, given, strict=True):
        if value:
            raise SuiteError(
                f"{name} is for recipes ({', '.join(PRESETS)}); suite {suite} is built as it is"
            )


def _existing(ref: str, out: str | None) -> Suite:
    from difflib import get_close_matches

    from lens_ray.errors import SuiteError
    from lens_ray.suites import load_suite
    from lens_ray.suites.abilitylens import PRESETS

    near = get_close_matches(ref, PRESETS, 1, 0.8)
    if near and not Path(ref).exists():
        raise SuiteError(f"suite {ref!r} is not known; the nearest is {near[0]!r}")
    found = load_suite(ref)
    return found if out is None else _copied(found, out)


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A .csv, .tsv, .jsonl or .parquet, a question a row."),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Of the suite; left out: the file's.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder, .zip or .tar of its images; left out: beside it."),
    ] = None,
    ability: Annotated[
        str | None, typer.Option("--ability", help="Of rows without a column ability.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="OURS=THEIRS", help="question=Frage, answer=..., ..."),
    ] = None,
    licence: Annotated[str, typer.Option("--licence", help="SPDX id or a short text.")] = (
        "not stated"
    ),
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Make a suite of a table of questions and its images.

    Columns: question, answer, choices (or A, B, ...), image, and where there are ability, subtask,
    id, domain, format, metric, hint, group, cluster, max_new_tokens; others are kept as meta.
    """
    from lens_ray.cli.suite_build import import_table

    found = import_table(file, name, images, ability, columns or [], licence, out)
    if as_json:
        print_json(_facts(found))
    else:
        print(f"{found.name}@{found.digest[:12]}: {found.info.samples} samples")
        print(f"in {one_line(found.location)}")
        print(f"next: lens-ray suite check {one_line(found.location)}")


def _copied(suite: Suite, out: str) -> Suite:
    from lens_ray.suites.files import copy_suite

    return copy_suite(suite, out)


@app.command()
def check(suite: Ref, as_json: Json = False) -> None:
    """Read every sample and image and name what is not sound; exit code 2 if anything is.

    Shows the counts too: of a recipe's suite beside the published ones, and which abilities,
    domains and formats meet.
    """
    from lens_ray.suites import check_suite, load_suite
    from lens_ray.suites.facts import facts_of

    found = load_suite(suite)
    problems = check_suite(found)
    facts = facts_of(found)
    if as_json:
        head = {"suite": found.name, "digest": found.digest, "problems": problems}
        print_json(head | dict(facts.as_json()))
        raise typer.Exit(2 if problems else 0)
    print_facts(facts)
    for problem in problems:
        print(one_line(problem))
    count = f"{len(problems)} problems" if problems else "it is sound"
    print(f"{found.name}@{found.digest[:12]}: {found.info.samples} samples, {count}")
    raise typer.Exit(2 if problems else 0)


def print_facts(facts: SuiteFacts) -> None:
    """Counts of sources and abilities, what is published beside them, and the empty cells."""
    abilities = list(facts.abilities)
    rows: list[tuple[object, ...]] = [
        (source, *(counts.get(ability) for ability in abilities), sum(counts.values()))
        for source, counts in facts.sources.items()
    ]
    total = sum(facts.abilities.values())
    rows.append(("all", *facts.abilities.values(), total))
    print_table(("source", *abilities, "all"), rows)
    if facts.published_samples is not None:
        print(
            f"\nsamples {total:,}, published {facts.published_samples:,}; largest ability by "
            f"smallest {facts.ratio:.2f}, published {facts.published_ratio}"
        )
    formats = facts.formats()
    print()
    print_table(
        ("ability", "domain", *formats),
        [
            (ability, domain, *(facts.cells.get((ability, domain, kind)) for kind in formats))
            for ability in abilities
            for domain in facts.domains_of(ability)
        ],
    )
    print(f"{facts.empty()} of {facts.possible()} cells of ability x domain x format are empty")
    for note in facts.notes:
        print(one_line(f"note: {note}"))
    print()
