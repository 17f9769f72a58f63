"""Which checkpoints and which ingredients are worth the dear samples: `ask_singles`, `screen`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lens_ray.merging.search.desk import Desk
from lens_ray.merging.search.pool import Ingredient, mixed
from lens_ray.merging.search.table import Table
from lens_ray.merging.search.trial import Trial
from lens_ray.stats.abilities import OVERALL


def ask_singles(desk: Desk) -> Table:
    """Ask the checkpoints: all on ``anchor``, those of promise on ``search``.

    Of promise are the final one, the best one at each ability, and those that may be the best one
    overall: they are not shown to be behind the highest.

    Returns:
        Of those that were asked on ``search``.
    """
    names = list(desk.parents)
    desk.say(f"asking {len(names)} checkpoints on the anchor split")
    anchor = desk.ask([desk.single(name) for name in names], "anchor", "single")
    chosen = {desk.final.name, *_highest(anchor, names)}
    top = max(names, key=lambda name: anchor.values[name][OVERALL])
    behind = {name: anchor.differences(name, top)[OVERALL].ci_high for name in names if name != top}
    ranked = sorted(names, key=lambda name: -anchor.values[name][OVERALL])
    open_ = [name for name in ranked if (high := behind.get(name)) is None or high >= 0]
    chosen |= set(open_[: desk.rules.pool])
    for name in names:
        if name not in chosen:
            desk.judge(
                desk.single(name), "rejected",
                f"behind {top} on the anchor split, and best at no ability",
            )  # fmt: skip
    kept = [name for name in names if name in chosen]
    desk.say(f"asking {len(kept)} of them on the search split")
    return desk.ask([desk.single(name) for name in kept], "search", "single")


def _highest(table: Table, names: Sequence[str]) -> set[str]:
    """The best checkpoint at each ability."""
    return {max(names, key=lambda name: table.values[name][ability]) for ability in table.abilities}


@dataclass(frozen=True, slots=True)
class Screened:
    """An ingredient beside the base.

    Attributes:
        ingredient: It.
        trial: The base with some of it.
        gain: Of ``overall`` against the base, on ``anchor``.
        promise: See `promise_of`.
        harmful: Whether it is shown to be behind the base.
    """

    ingredient: Ingredient
    trial: Trial
    gain: float
    promise: float
    harmful: bool


def promise_of(
    one: Ingredient, singles: Table, known: Sequence[str], weights: Mapping[str, float]
) -> float:
    """What an ingredient can that some checkpoints cannot: weighted sum of what it is ahead by.

    It is what a mixture would gain that keeps every ability as its best ingredient has it.

    Args:
        one: The ingredient; of a window the members' mean scores count.
        singles: Of the checkpoints, on ``search``.
        known: Names of the checkpoints.
        weights: Of the abilities.
    """
    found = 0.0
    for ability, weight in weights.items():
        mine = sum(share * singles.values[name][ability] for name, share in one.weights.items())
        best = max(singles.values[name][ability] for name in known)
        found += weight * max(mine - best, 0.0)
    return found


def screen(
    desk: Desk, base: Ingredient, others: Sequence[Ingredient], singles: Table
) -> list[Screened]:
    """Mix some of each ingredient into the base and ask that on ``anchor``; the best first.

    What an ingredient scores by itself says little of what it gives to a mixture, so it is looked
    at in one: with a share that the mixture design asks anyway. Few samples tell little of such
    a gain, so what the ingredient can that the base and the final checkpoint cannot counts too.

    Args:
        desk: Of the search.
        base: What the others are mixed into.
        others: The other ingredients.
        singles: Of the checkpoints, on ``search``.
    """
    if not others:
        return []
    share = 1 / max(desk.rules.lattice, 2)
    trials = {
        one.name: desk.average(f"some.{one.name}", mixed([base, one], [1 - share, share]))
        for one in others
    }
    reference = desk.average(base.name, base.weights)
    desk.say(f"screening {len(others)} ingredients beside {base.name} on the anchor split")
    table = desk.ask([reference, *trials.values()], "anchor", "screen")
    found = []
    for one in others:
        trial = trials[one.name]
        each = table.differences(trial.name, reference.name)[OVERALL]
        harmful = each.ci_high is not None and each.ci_high < 0
        gain = each.difference or 0.0
        if harmful:
            desk.judge(trial, "rejected", f"behind {base.name} by {-gain:.4f} on the anchor split")
        known = (*base.weights, desk.final.name)
        promise = promise_of(one, singles, known, desk.weights)
        found.append(Screened(one, trial, gain, promise, harmful))
    return sorted(found, key=lambda each: (each.harmful, -each.gain - each.promise))
