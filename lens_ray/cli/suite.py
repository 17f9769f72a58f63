"""``lens-ray suite``: what can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, Verbs, without_secrets
from lens_ray.cli.output import one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.suites import Suite

app = typer.Typer(cls=Verbs, help="Suites: list, show, build, check.", rich_markup_mode=None)

Ref = Annotated[
    str,
    typer.Argument(
        metavar="SUITE",
        callback=without_secrets,
        help="mini:quick, NAME@DIGEST, or the folder, archive or URL of a suite.",
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

    found = load_suite(suite)
    if as_json:
        print_json(_facts(found))
        return
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
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FOLDER", help="Write it there too (folder or URL)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build a suite into the cache, or copy it to a folder or bucket."""
    from lens_ray.suites import load_suite

    found = load_suite(suite)
    if out is not None:
        found = _copied(found, out)
    if as_json:
        print_json(_facts(found))
    else:
        print(f"{found.name}@{found.digest[:12]}: {found.info.samples} samples")
        print(f"in {one_line(found.location)}")


def _copied(suite: Suite, out: str) -> Suite:
    from lens_ray.suites import write_suite
    from lens_ray.suites.images import decode_png

    images = {key: decode_png(suite.image_bytes(key), key[:12]) for key in suite.image_hashes()}
    return write_suite(
        suite.name,
        suite.samples,
        images,
        out,
        licence=suite.info.licence,
        revision=suite.info.revision,
    )


@app.command()
def check(suite: Ref, as_json: Json = False) -> None:
    """Read every sample and image and name what is not sound; exit code 2 if anything is."""
    from lens_ray.suites import check_suite, load_suite

    found = load_suite(suite)
    problems = check_suite(found)
    if as_json:
        print_json({"suite": found.name, "digest": found.digest, "problems": problems})
    else:
        for problem in problems:
            print(one_line(problem))
        count = f"{len(problems)} problems" if problems else "it is sound"
        print(f"{found.name}@{found.digest[:12]}: {found.info.samples} samples, {count}")
    raise typer.Exit(2 if problems else 0)
