"""What is tried around the best mixture: parts of the model, task vectors, published recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lens_ray.merging.recipe import Group, Parent, Recipe
from lens_ray.merging.search.desk import Desk
from lens_ray.merging.search.found import Step
from lens_ray.merging.search.pool import Ingredient
from lens_ray.merging.search.trial import Trial
from lens_ray.stats.abilities import OVERALL

#: How far a part of the model is moved from the mixture towards one ingredient.
_MOVED = 0.5
#: Of those that are better on ``anchor``, how many are asked on ``search``.
_KEPT = 2


def try_groups(
    desk: Desk, base: Trial, weights: Mapping[str, float], ingredients: Sequence[Ingredient]
) -> None:
    """Move one part of the model towards one ingredient, each of them; then what helped, together.

    Args:
        desk: Of the search.
        base: The best mixture so far.
        weights: Of the checkpoints in it.
        ingredients: Towards which parts are moved.
    """
    moves = {
        f"{part}+{one.name}": Group(match=match, weights=_moved(weights, one))
        for part, match in desk.rules.groups.items()
        for one in ingredients
    }
    trials = {
        name: desk.known(Trial(f"part.{name}", _grouped(desk, weights, (group,))))
        for name, group in moves.items()
    }
    gains = _halved(desk, base, list(trials.values()), "groups")
    helped: dict[str, Group] = {}
    for name, trial in sorted(trials.items(), key=lambda each: -gains.get(each[1].name, -1.0)):
        if gains.get(trial.name, -1.0) > 0:
            helped.setdefault(moves[name].match, moves[name])
    if len(helped) > 1:
        recipe = _grouped(desk, weights, tuple(helped.values()))
        desk.ask([base, desk.known(Trial("parts", recipe))], "search", "groups")


def _moved(weights: Mapping[str, float], one: Ingredient) -> dict[str, float]:
    names = dict.fromkeys((*weights, *one.weights))
    return {
        name: (1 - _MOVED) * weights.get(name, 0.0) + _MOVED * one.weights.get(name, 0.0)
        for name in names
    }


def _grouped(desk: Desk, weights: Mapping[str, float], groups: tuple[Group, ...]) -> Recipe:
    """A weighted mean whose parts have weights of their own; every one names every parent."""
    named = dict.fromkeys((*weights, *(name for group in groups for name in group.weights)))
    members = [each for name, each in desk.parents.items() if name in named]
    full = tuple(
        Group(
            match=group.match,
            weights={each.name: group.weights.get(each.name, 0.0) for each in members},
        )
        for group in groups
    )
    parents = tuple(
        each.model_copy(update={"weight": weights.get(each.name, 0.0)}) for each in members
    )
    return Recipe(method="linear", parents=parents, groups=full)


def try_task_vectors(
    desk: Desk, base: Trial, weights: Mapping[str, float], ancestor: str | None
) -> None:
    """The methods over task vectors, with the mixture's weights, by successive halving.

    Args:
        desk: Of the search.
        base: The best mixture so far.
        weights: Of the checkpoints in it.
        ancestor: What all were trained from.
    """
    if ancestor is None or sum(weight > 0 for weight in weights.values()) < 2:
        return
    root = Parent(name="ancestor", path=ancestor)
    named = {name: weight for name, weight in weights.items() if weight > 0}
    plain = tuple(each for name, each in desk.parents.items() if name in named)
    weighed = tuple(each.model_copy(update={"weight": named[each.name]}) for each in plain)
    for method in desk.rules.methods:
        if method == "model_stock":
            stock = Trial(method, Recipe(method=method, parents=plain, base=root))
            trials = [stock]
        else:
            trials = [
                Trial(
                    f"{method}.{scale:g}",
                    Recipe(method=method, parents=weighed, base=root, scale=scale),
                )
                for scale in desk.rules.scales
            ]
        _halved(desk, base, [desk.known(each) for each in trials], "scales")


def try_published(desk: Desk, base: Trial, trials: Sequence[Trial]) -> None:
    """Recipes as others published them."""
    _halved(desk, base, [desk.known(each) for each in trials], "published")


def _halved(desk: Desk, base: Trial, trials: Sequence[Trial], step: Step) -> dict[str, float]:
    """Ask all on ``anchor`` and the best of them on ``search``.

    Returns:
        Gains of ``overall`` against the base on ``search``, by name.
    """
    if not trials:
        return {}
    desk.say(f"{step}: asking {len(trials)} merges on the anchor split")
    table = desk.ask([base, *trials], "anchor", step)
    ranked = sorted(trials, key=lambda each: -table.values[each.name][OVERALL])
    for each in ranked[_KEPT:]:
        gain = table.values[each.name][OVERALL] - table.values[base.name][OVERALL]
        desk.judge(each, "rejected", f"{gain:+.4f} on {base.name}, on the anchor split")
    table = desk.ask([base, *ranked[:_KEPT]], "search", step)
    gains = {
        each.name: table.values[each.name][OVERALL] - table.values[base.name][OVERALL]
        for each in ranked[:_KEPT]
    }
    for each in ranked[:_KEPT]:
        desk.judge(each, "rejected", f"{gains[each.name]:+.4f} on {base.name}")
    return gains
