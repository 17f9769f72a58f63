"""``lens-ray suite control``: the same questions with one thing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lens_ray.cli.options import Json, without_secrets
from lens_ray.cli.output import one_line, print_json

if TYPE_CHECKING:
    from lens_ray.suites import Suite


def control(
    suite: Annotated[
        str,
        typer.Argument(
            metavar="SUITE",
            callback=without_secrets,
            help="mini:quick, NAME@DIGEST, or the folder, archive or URL of a suite.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Which control; left out, they are listed."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="A setting of it; repeatable."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            callback=without_secrets,
            help="Write it there (folder or URL); left out, beside your other suites.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a control of a suite: blind, shuffle, rotate, rephrase, resize, jpeg."""
    if name is None:
        _list(as_json)
        return
    from lens_ray.suites import load_suite
    from lens_ray.suites.controls import BASE, find_control, make_control

    given = _options(option or [])
    find_control(name).settings(given)
    base = load_suite(suite)
    made = make_control(base, name, out, **given)
    bases = {sample.meta[BASE] for sample in made.samples}
    without = [sample for sample in base.samples if sample.sample_id not in bases]
    if as_json:
        print_json(_facts(base, made, [sample.sample_id for sample in without]))
        return
    print(f"{made.name}@{made.digest[:12]}: {made.info.samples} samples")
    if without:
        kinds = sorted({f"{sample.source} ({sample.format})" for sample in without})
        print(
            one_line(
                f"{len(without)} of {base.info.samples} samples of {base.name} cannot have this "
                f"variant and are not in it: {', '.join(kinds)}"
            )
        )
    print(f"in {one_line(made.location)}")


def _list(as_json: bool) -> None:
    from lens_ray.suites.controls import CONTROLS

    listed = [
        {
            "name": one.name,
            "about": one.about,
            "options": {
                key: {"default": option.default, "about": option.about}
                for key, option in one.options.items()
            },
        }
        for one in CONTROLS.values()
    ]
    if as_json:
        print_json(listed)
        return
    for one in CONTROLS.values():
        print(f"{one.name}: {one.about}")
        for key, option in one.options.items():
            print(f"  --option {key}={option.default}  {option.about}")


def _options(given: list[str]) -> dict[str, Any]:
    from lens_ray.errors import SuiteError

    options: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key or key in options:
            raise SuiteError(f"--option {text!r}: type KEY=VALUE, each key once")
        options[key] = value
    return options


def _facts(base: Suite, made: Suite, without: list[str]) -> dict[str, object]:
    return {
        "name": made.name,
        "digest": made.digest,
        "samples": made.info.samples,
        "location": made.location,
        "base": f"{base.name}@{base.digest}",
        "without_variant": without,
    }
