"""Ingredients that help, one after the other: `greedy` (Wortsman 2022, with bounds)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lens_ray.merging.search.desk import Desk
from lens_ray.merging.search.pool import Ingredient, mixed
from lens_ray.merging.search.screen import Screened
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.contrast import Difference
from lens_ray.stats.multiplicity import holm


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
    ability is shown to be lost (`lost_abilities`). The first is added with the share that it was
    screened with, later ones in equal shares: mixtures of the design that comes next.

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
        lost = lost_abilities(bounds, desk.rules.margin, 1 - desk.rules.confidence)
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


def lost_abilities(differences: Mapping[str, Difference], margin: float, level: float) -> list[str]:
    """Abilities that are behind by more than a margin and are shown to be behind (Holm).

    Args:
        differences: Of a trial, by ability and ``overall``.
        margin: How much may be lost.
        level: Of the family of all abilities.
    """
    known = [each for name, each in differences.items() if name != OVERALL and each.p is not None]
    adjusted = holm([each.p for each in known if each.p is not None])
    return [
        each.figure
        for each, p in zip(known, adjusted, strict=True)
        if p < level and each.difference is not None and each.difference < -margin
    ]


def survivors_of(
    base: Ingredient,
    screened: Sequence[Screened],
    helped: Sequence[Helped],
    final: str,
    most: int,
) -> list[Ingredient]:
    """The ingredients of the mixture design: base, the final checkpoint, and what gained most.

    What was not accepted is not shown to help, which few samples show of anything; it is shown not
    to harm, and the design tells better. The final checkpoint is one of them, unless it does harm:
    a merge must not lose what that one can, and what is near to it is the surest not to.

    Args:
        base: The best single checkpoint.
        screened: Ingredients that are not shown to harm.
        helped: Those that were looked at on ``search``.
        final: Name of the checkpoint that would be shipped without a merge.
        most: How many.
    """
    last = [each.ingredient for each in screened if each.ingredient.name == final]
    ranked = sorted(helped, key=lambda each: (not each.accepted, -each.gain))
    wanted = [base, *last, *(each.ingredient for each in ranked)]
    return list({each.name: each for each in wanted}.values())[:most]
