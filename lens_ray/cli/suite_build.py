"""What ``lens-ray suite build`` and ``suite import`` do with what was typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lens_ray.cli.output import note

if TYPE_CHECKING:
    from lens_ray.suites import Suite

#: Options of ``suite build`` that only a recipe has, in the order of `Asked`.
RECIPE_OPTIONS = ("--from", "--source", "--ability", "--set", "--revision", "--images")


@dataclass(frozen=True)
class Asked:
    """The options of a recipe's build, as typed."""

    origins: Sequence[str]
    sources: Sequence[str]
    abilities: Sequence[str]
    options: Sequence[str]
    revisions: Sequence[str]
    images: Path | None
    out: str | None


def is_recipe(name: str) -> bool:
    """Whether a suite is named that is built from public data sets."""
    from lens_ray.suites.abilitylens import PRESETS

    return name in PRESETS


def build_recipe(name: str, asked: Asked) -> Suite:
    """Build a recipe's suite.

    Raises:
        SuiteError: An option is not known, or a data set is not as published.
        EnvironmentFailure: The hub is out of reach, or the disk is full.
    """
    from lens_ray.suites.abilitylens import find_preset
    from lens_ray.suites.build import Recipe, build_suite
    from lens_ray.suites.sources.registry import find_source

    preset = find_preset(name)
    sources = tuple(find_source(one) for one in _listed(asked.sources) or preset.sources)
    revisions = dict(_pairs("--revision", "SOURCE=COMMIT", asked.revisions))
    for one in revisions:
        find_source(one)
    options = preset.options.changed(dict(_pairs("--set", "OPTION=VALUE", asked.options)))
    held = {ability for source in sources for ability in source.taken(options)}
    recipe = Recipe(
        name,
        sources,
        options,
        tuple(_listed(asked.abilities)) or tuple(one for one in preset.abilities if one in held),
        revisions,
        preset.name,
    )
    return build_suite(recipe, asked.origins, out=asked.out, images=asked.images, say=note)


def import_table(
    file: Path,
    name: str | None,
    images: Path | None,
    ability: str | None,
    columns: Sequence[str],
    licence: str,
    out: str | None,
) -> Suite:
    """Make a suite of a table.

    Raises:
        SuiteError: Something in it is not valid.
        UserError: It names a metric that is not known.
    """
    from lens_ray.scoring.metrics import find_metric
    from lens_ray.suites.importing import Import, import_suite

    how = Import(
        name or file.stem, ability, licence, dict(_pairs("--column", "OURS=THEIRS", columns))
    )
    return import_suite(file, how, images=images, out=out, metric=find_metric, say=note)


def _listed(values: Sequence[str]) -> list[str]:
    """Values of an option that may be repeated, each with commas or not."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _pairs(option: str, form: str, values: Sequence[str]) -> list[tuple[str, str]]:
    from lens_ray.errors import SuiteError

    found = []
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or not key or not rest:
            raise SuiteError(f"{option} {value}: give {form}")
        found.append((key.strip(), rest.strip()))
    twice = [key for key, _ in found if [one for one, _ in found].count(key) > 1]
    if twice:
        raise SuiteError(f"{option} {twice[0]}: is given more than once")
    return found
