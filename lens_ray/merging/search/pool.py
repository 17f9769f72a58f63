"""What goes into the merges: `Ingredient`, and `pool_of`, which chooses them.

An ingredient is an average of checkpoints: one of them, or the plain mean of a window of the run.
So every mixture of ingredients is an average of checkpoints too, and is merged from those, never
from merges that were rounded on their way to disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.search.trial import Trial

#: Digits of a weight: a recipe is read by people.
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Ingredient:
    """An average of checkpoints that merges are mixed from.

    Attributes:
        name: Of its trial.
        weights: By parent's name; their sum is 1.
        why: ``final``, ``best of overall``, ``best window of ocr``, ``best of entity``.
    """

    name: str
    weights: Mapping[str, float]
    why: tuple[str, ...] = ()

    @property
    def single(self) -> bool:
        """Whether it is one checkpoint."""
        return len(self.weights) == 1


def single(parent: Parent, *why: str) -> Ingredient:
    """A checkpoint as it is."""
    return Ingredient(parent.name, {parent.name: 1.0}, why)


def windows(parents: Sequence[Parent], width: int) -> list[Ingredient]:
    """The plain mean of every so many neighbours of the run.

    Args:
        parents: Those without a step are in no window.
        width: Checkpoints of one; 1 gives none. Where there are fewer, one window of them all.
    """
    run = sorted(
        (each for each in parents if each.step is not None), key=lambda each: each.step or 0
    )
    width = min(width, len(run))
    if width < 2:
        return []
    return [_soup(run[start : start + width]) for start in range(len(run) - width + 1)]


def _soup(members: Sequence[Parent]) -> Ingredient:
    name = f"mean.{members[0].step}-{members[-1].step}"
    return Ingredient(name, {each.name: 1 / len(members) for each in members})


def pool_of(
    parents: Sequence[Parent],
    scores: Mapping[str, Mapping[str, float]],
    *,
    final: str,
    abilities: Sequence[str],
    window: int,
    most: int,
) -> list[Ingredient]:
    """The ingredients, the most promising first, no two alike.

    The final checkpoint; the best one and the best window overall; of each ability the window with
    the highest mean (the highest single score of many is mostly luck, arXiv 2508.13144), and the
    best checkpoint, as far as there is room.

    Args:
        parents: Checkpoints that were asked.
        scores: By parent's name, by ability and ``overall``, all on the same samples.
        final: Name of the one that would be shipped without a merge.
        abilities: Those that count, the heaviest first.
        window: Checkpoints of a window.
        most: Ingredients.
    """
    by_name = {each.name: each for each in parents}
    soups = windows(parents, window)
    found: dict[tuple[tuple[str, float], ...], Ingredient] = {}
    for one, why in _wanted(by_name, soups, scores, final, abilities):
        key = tuple(sorted(one.weights.items()))
        known = found.get(key, replace(one, why=()))
        found[key] = replace(known, why=(*known.why, why))
    return list(found.values())[:most]


def _wanted(
    parents: Mapping[str, Parent],
    soups: Sequence[Ingredient],
    scores: Mapping[str, Mapping[str, float]],
    final: str,
    abilities: Sequence[str],
) -> Iterator[tuple[Ingredient, str]]:
    """Ingredients in the order of their promise, with repetitions."""
    singles = [single(each) for each in parents.values()]
    yield single(parents[final]), "final"
    for name in ("overall", *abilities):
        if name == "overall":
            yield _highest(singles, scores, name), "best of overall"
        if soups:
            yield _highest(soups, scores, name), f"best window of {name}"
    for name in abilities:
        yield _highest(singles, scores, name), f"best of {name}"


def _highest(
    among: Sequence[Ingredient], scores: Mapping[str, Mapping[str, float]], figure: str
) -> Ingredient:
    """The one whose members have the highest mean; of equals the latest."""

    def mean(one: Ingredient) -> float:
        return sum(share * scores[name][figure] for name, share in one.weights.items())

    return max(reversed(among), key=lambda one: round(mean(one), 9))


def mixed(ingredients: Sequence[Ingredient], shares: Sequence[float]) -> dict[str, float]:
    """Weights of the checkpoints in a mixture of ingredients."""
    found: dict[str, float] = {}
    for one, share in zip(ingredients, shares, strict=True):
        for name, weight in one.weights.items():
            found[name] = found.get(name, 0.0) + share * weight
    return found


def average(name: str, weights: Mapping[str, float], parents: Iterable[Parent]) -> Trial:
    """A weighted mean of checkpoints as a trial; of one checkpoint it is that one.

    Args:
        name: Of the trial.
        weights: By parent's name; their sum is 1. Those of no weight are left out.
        parents: All, in the order that recipes keep.
    """
    kept = [each for each in parents if round(weights.get(each.name, 0.0), _DIGITS) > 0]
    shares = [round(weights[each.name], _DIGITS) for each in kept]
    # What rounding left over goes to the last, so that the sum is 1.
    shares[-1] = round(1 - sum(shares[:-1]), _DIGITS)
    members = tuple(
        each.model_copy(update={"weight": share}) for each, share in zip(kept, shares, strict=True)
    )
    return Trial(name, Recipe(method="linear", parents=members))
