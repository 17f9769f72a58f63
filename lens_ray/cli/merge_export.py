"""``lens-ray merge export``: a recipe for another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lens_ray.cli.options import Json
from lens_ray.cli.output import print_json


def export(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="As `merge apply` takes.")],
    form: Annotated[
        str, typer.Option("--format", metavar="mergekit", help="Whose words; mergekit's YAML.")
    ] = "mergekit",
    as_json: Json = False,
) -> None:
    """Print a recipe as another tool reads it, or say what that tool cannot do."""
    from lens_ray.errors import UserError
    from lens_ray.merging.export import to_mergekit
    from lens_ray.merging.recipe import load_recipe

    if form != "mergekit":
        raise UserError(f"--format: {form!r} is not known; write mergekit")
    text = to_mergekit(load_recipe(recipe))
    if as_json:
        print_json({"format": form, "text": text})
    else:
        print(text, end="")
