"""Ingredients that help, one after the other: `greedy` (Wortsman 2022, with bounds)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lens_ray.merging.search.desk import Desk
from lens_ray.merging.search.pool import Ingredient, mixed
from lens_ray.merging.search.screen import Screened
from lens_ray.stats.abilities import OVERALL


@dataclass(frozen=True, slots=True)
class Helped:
    """An ingredient in the soup so far.

    Attributes:
        ingredient: It.
        gain: Of ``overall`` against the soup without it.
        accepted: Whether it stays.
    """

    ingredient: Ingredient
    gain: float
    accepted: bool


def greedy(desk: Desk, base: Ingredient, screened: Sequence[Screened], single: str) -> list[Helped]:
    """Add ingredients to the base as long as they are shown to help, on ``search``.

    One is accepted where the one-sided lower bound of the gain of ``overall`` is above 0 and no
    ability is behind the base by more than the margin. The first is added with the share that it
    was screened with, later ones in equal shares: mixtures of the design that comes next.

    Args:
        desk: Of the search.
        base: Where it starts.
        screened: The others, the most promising first.
        single: Name of the best single checkpoint.
    """
    kept = [base]
    found: list[Helped] = []
    current = desk.average(base.name, base.weights)
    for each in screened:
        if len(kept) >= desk.rules.survivors or len(found) > desk.rules.survivors:
            break
        soup, trial = [*kept, each.ingredient], each.trial
        if len(kept) > 1:
            trial = desk.average(f"soup.{len(soup)}", mixed(soup, [1 / len(soup)] * len(soup)))
        table = desk.ask([desk.single(single), current, trial], "search", "greedy")
        bounds = table.differences(trial.name, current.name, one_sided=True)
        gain, low = bounds[OVERALL].difference or 0.0, bounds[OVERALL].ci_low
        lost = [
            name
            for name in table.abilities
            if (moved := bounds[name].difference) is None or moved < -desk.rules.margin
        ]
        accepted = low is not None and low > 0 and not lost
        why = f"{gain:+.4f} on {current.name} (at least {low:+.4f})" if low is not None else "?"
        if lost:
            why += f"; loses {', '.join(lost)}"
        desk.judge(trial, "accepted" if accepted else "rejected", why)
        desk.say(f"{trial.name}: {why}: {'accepted' if accepted else 'not accepted'}")
        found.append(Helped(each.ingredient, gain, accepted))
        if accepted:
            kept, current = soup, trial
    return found


def survivors_of(base: Ingredient, helped: Sequence[Helped], most: int) -> list[Ingredient]:
    """The ingredients of the mixture design: base, what was accepted, then the highest gains.

    What was not accepted is not shown to help, which few samples show of anything; it is shown not
    to harm, and the design tells better.
    """
    ranked = sorted(helped, key=lambda each: (not each.accepted, -each.gain))
    return [base, *(each.ingredient for each in ranked)][:most]
