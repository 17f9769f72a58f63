"""The names of figures: abilities in their usual order, and which of them make ``overall``."""

from __future__ import annotations

from collections.abc import Iterable

from lens_ray.suites.sample import ABILITIES

OVERALL = "overall"


def in_order(abilities: Iterable[str]) -> list[str]:
    """Abilities in their usual order, those beyond the six after them, without ``overall``."""
    return sorted(
        set(abilities) - {OVERALL},
        key=lambda name: (
            name not in ABILITIES, ABILITIES.index(name) if name in ABILITIES else 0, name
        ),
    )  # fmt: skip


def in_overall(abilities: Iterable[str]) -> frozenset[str]:
    """Of the abilities of a suite those whose mean is the overall score.

    They are those of the six that it has, or all that it has where none of the six is among them.
    """
    names = frozenset(abilities) - {OVERALL}
    return names & frozenset(ABILITIES) or names
