"""Recipes as AbilityLens published them: `presets`.

Its repository merges the checkpoint that was best at an ability with the final one (``current``):

======================== ==========================================================
``abilitylens``           all tensors: 0.5 of the final + 0.5 of the other
``abilitylens_sensitivity`` the 30 % of the tensors that a sensitivity table puts first: 0.3 of the
                          final + 0.7 of the other; all others as in the final
======================== ==========================================================

How its table was computed is not known; ours is `lens_ray.merging.sensitivity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Literal

from lens_ray.merging.recipe import Parent, Recipe, ScoreTable

Preset = Literal["abilitylens", "abilitylens_sensitivity"]

_ALPHA = 0.5
_TOP, _TOP_FINAL = 0.3, 0.3


def presets(
    best: Mapping[str, Parent],
    final: Parent,
    *,
    which: Sequence[Preset] = ("abilitylens",),
    table: str | None = None,
) -> tuple[Recipe, ...]:
    """The published recipes for some checkpoints.

    Args:
        best: The best checkpoint of each ability; weights in it are not used.
        final: The checkpoint that is shipped without a merge.
        which: Of the two rules.
        table: Score table of the second; without one it makes no recipe.

    Returns:
        Named recipes: one for each checkpoint that is best at something and not the final one
        (``abilitylens-counting+ocr``), and, of the first rule, where there are several of them
        ``abilitylens-all``, which is ours: 0.5 of the final, and each of the others as much of the
        other half as it has abilities.
    """
    others = _others(best, final)
    made = []
    if "abilitylens" in which:
        made += [_halves(f"abilitylens-{'+'.join(a)}", final, [(o, 1.0)]) for o, a in others]
        if len(others) > 1:
            made.append(_halves("abilitylens-all", final, [(o, float(len(a))) for o, a in others]))
    if "abilitylens_sensitivity" in which and table is not None:
        made += [_sensitive(a, final, other, table) for other, a in others]
    return tuple(made)


def _others(best: Mapping[str, Parent], final: Parent) -> list[tuple[Parent, list[str]]]:
    """The checkpoints that are best at something and not the final one, with their abilities."""
    found: dict[str, tuple[Parent, list[str]]] = {}
    for ability, parent in best.items():
        if parent.name != final.name:
            found.setdefault(parent.name, (parent, []))[1].append(ability)
    return list(found.values())


def _halves(name: str, final: Parent, others: Sequence[tuple[Parent, float]]) -> Recipe:
    total = fsum(weight for _, weight in others)
    shares = [(other, (1 - _ALPHA) * weight / total) for other, weight in others]
    return Recipe(
        name=name[:128],
        method="linear",
        parents=tuple(_weighing(parent, share) for parent, share in [*shares, (final, _ALPHA)]),
    )


def _sensitive(abilities: Sequence[str], final: Parent, other: Parent, table: str) -> Recipe:
    return Recipe(
        name=f"abilitylens_sensitivity-{'+'.join(abilities)}"[:128],
        method="linear",
        parents=(_weighing(other, 0.0), _weighing(final, 1.0)),
        table=ScoreTable(
            file=table, top=_TOP, weights={other.name: 1 - _TOP_FINAL, final.name: _TOP_FINAL}
        ),
    )


def _weighing(parent: Parent, weight: float) -> Parent:
    return parent.model_copy(update={"weight": weight})
