"""A recipe in another tool's words: `to_mergekit`.

For people who must merge with mergekit. Read its families' table in the README first: of four
vision-language families (LLaVA, LLaVA-OneVision, InternVL, PaliGemma) it loses the language model
and ends without an error.
"""

from __future__ import annotations

import re
from typing import Any

from lens_ray.errors import UserError
from lens_ray.job_yaml import write_yaml
from lens_ray.merging.recipe import ELECTING, OVER_BASE, Parent, Recipe
from lens_ray.merging.weights import Weights

_FILTER = re.compile(r"\*([^*?\[\]]+)\*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9.-]*:")
#: Methods that mergekit calculates in another way, and how.
_DIFFERS = {
    "slerp": "Below an angle of 0.0316 rad mergekit interpolates linearly.",
    "ties": "Of equal magnitudes at the threshold mergekit keeps some by their place, and of two "
    "signs that weigh the same it takes plus.",
    "dare_linear": "mergekit draws other numbers, and rescales to the old sum of magnitudes.",
    "dare_ties": "mergekit draws other numbers, and rescales to the old sum of magnitudes.",
}


def to_mergekit(recipe: Recipe) -> str:
    """The recipe as a configuration of mergekit 0.1.5, in YAML.

    Args:
        recipe: The recipe. Its weights are written as shares that sum to 1 where they are shares.

    Raises:
        UserError: mergekit cannot do this, or not with these paths; the line says what it is.
    """
    if recipe.table is not None:
        raise UserError(
            "table: mergekit has no score tables; export a recipe with groups, or take table out"
        )
    models = [_reference(parent) for parent in recipe.parents]
    _require_single([*models, *([_reference(recipe.base)] if recipe.base else [])])
    config: dict[str, Any] = {"merge_method": _method(recipe)}
    if recipe.base is not None:
        config["base_model"] = _reference(recipe.base)
    weights = _settings(recipe)
    if recipe.method == "slerp":
        config["base_model"] = models[0]
        config["models"] = [{"model": model} for model in models]
        config["parameters"] = {"t": weights[1]}
    elif recipe.method == "model_stock":
        config["models"] = [{"model": model} for model in models]
    else:
        config["models"] = [
            {"model": model, "parameters": _of_model(recipe, weight)}
            for model, weight in zip(models, weights, strict=True)
        ]
        config["parameters"] = _of_all(recipe)
    if recipe.dtype is not None:
        config |= {"dtype": "float32", "out_dtype": recipe.dtype}
    return _header(recipe) + write_yaml(config, width=100)


def _method(recipe: Recipe) -> str:
    return "linear" if recipe.method == "window" else recipe.method


def _header(recipe: Recipe) -> str:
    lines = ["Made by lens-ray merge export from a recipe; for mergekit 0.1.5 or later."]
    if recipe.dtype is None:
        lines.append("mergekit calculates in the parents' type; add dtype: float32 and out_dtype.")
    if recipe.method in _DIFFERS:
        lines.append(_DIFFERS[recipe.method])
    return "".join(f"# {line}\n" for line in lines)


def _of_model(recipe: Recipe, weight: object) -> dict[str, object]:
    if recipe.method in ELECTING or recipe.method == "dare_linear":
        return {"weight": weight, "density": recipe.density}
    return {"weight": weight}


def _of_all(recipe: Recipe) -> dict[str, object]:
    if recipe.method not in OVER_BASE:
        return {"normalize": True}
    shared: dict[str, object] = {"normalize": recipe.normalizes, "lambda": recipe.scale}
    return shared | ({"rescale": True} if recipe.method.startswith("dare") else {})


def _settings(recipe: Recipe) -> list[object]:
    """One setting a parent: a number, or one a group, by mergekit's filters, and the rest."""
    weights = Weights(recipe, frozenset())
    plain = weights.of_rest()
    if not recipe.groups:
        return [*plain]
    filters = []
    for number, group in enumerate(recipe.groups):
        if (found := _FILTER.fullmatch(group.match)) is None:
            raise UserError(
                f"groups[{number}].match: {group.match!r} is no filter of mergekit, which looks "
                "for a text anywhere in the name; write '*TEXT*'"
            )
        filters.append((found[1], weights.of_group(group)))
    return [
        [
            *({"filter": text, "value": values[place]} for text, values in filters),
            {"value": rest},
        ]
        for place, rest in enumerate(plain)
    ]


def _reference(parent: Parent) -> str:
    """A parent as mergekit names it: ``PATH[@REVISION][+ADAPTER]``."""
    for path in (parent.path, parent.adapter or ""):
        if _SCHEME.match(path) or "@" in path or "+" in path:
            raise UserError(
                f"parent {parent.name}: mergekit cannot read {path!r}; copy it to a folder whose "
                "path has no : @ + and write that"
            )
    revision = f"@{parent.revision}" if parent.revision else ""
    return f"{parent.path}{revision}" + (f"+{parent.adapter}" if parent.adapter else "")


def _require_single(models: list[str]) -> None:
    for model in models:
        if models.count(model) > 1:
            raise UserError(
                f"{model}: named twice, and mergekit tells models apart by their paths; copy it "
                "to a second folder, or add the weights"
            )
