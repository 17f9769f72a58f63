"""The three ways to build AbilityLens: `PRESETS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from lens_ray.errors import SuiteError
from lens_ray.suites.sample import ABILITIES
from lens_ray.suites.sources.options import LITE, Options
from lens_ray.suites.sources.registry import ELEVEN

#: What the publication says of itself.
PUBLISHED_SAMPLES = 12_000
#: Samples of the largest ability by those of the smallest.
PUBLISHED_RATIO = 2.6


@dataclass(frozen=True, slots=True)
class Preset:
    """A named build.

    Attributes:
        name: Name of the suite.
        options: Its switches.
        sources: The sources that are read.
        abilities: The abilities that are asked.
    """

    name: str
    options: Options
    sources: tuple[str, ...] = ELEVEN
    abilities: tuple[str, ...] = ABILITIES


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        # Every filter on the full sets, marked by lens-ray's own extraction.
        Preset("abilitylens", Options()),
        # As near to the publication as is known: its marking, its cut, its sub-metrics, the lists
        # that give 12,000 samples, and groups as they come.
        Preset(
            "abilitylens-paper",
            Options(
                faithful=True,
                first_half=True,
                complete_groups=False,
                submetrics="benchmark",
                pairs="narrow",
                lite=("chartqa", "ai2d"),
            ),
        ),
        # The 500-row subsets. Of MMBench's rotations they hold hardly a complete set, so each
        # rotation counts for itself.
        Preset("abilitylens-lite", Options(mmbench="plain", lite=LITE)),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        SuiteError: No such preset; the nearest name is given.
    """
    if name not in PRESETS:
        near = get_close_matches(name, PRESETS, 1, 0.0)[0]
        raise SuiteError(f"suite {name!r} has no recipe; the nearest is {near!r}")
    return PRESETS[name]
