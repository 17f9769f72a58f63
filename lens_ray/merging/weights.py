"""Which weight each parent has in each tensor: `Weights`.

The first group that matches a tensor decides, then the score table, then the parents' own weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from math import fsum, isfinite
from pathlib import Path

from lens_ray.errors import UserError
from lens_ray.merging.recipe import AFFINE, Group, Recipe, ScoreTable

#: A line a tensor; the largest models have tens of thousands.
_TABLE_LIMIT = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a recipe, tensor by tensor.

    Attributes:
        recipe: The recipe.
        top: Tensors that the score table chooses.
    """

    recipe: Recipe
    top: frozenset[str]

    @classmethod
    def of(cls, recipe: Recipe, tensors: Iterable[str] | None = None) -> Weights:
        """Read the score table, if there is one, and see that all names mean something.

        Args:
            recipe: The recipe.
            tensors: Names on disk of the floating tensors; None leaves them unchecked.

        Raises:
            UserError: A group matches no tensor; the table cannot be read, is another one than the
                recipe says, or is of other tensors.
        """
        names = None if tensors is None else set(tensors)
        if names is not None:
            for number, group in enumerate(recipe.groups):
                if not any(fnmatchcase(name, group.match) for name in names):
                    raise UserError(
                        f"groups[{number}].match: {group.match!r} matches none of the "
                        f"{len(names)} tensors, whose first is {min(names)!r}; write a glob over "
                        "such names"
                    )
        if recipe.table is None:
            return cls(recipe, frozenset())
        scores = read_scores(recipe.table)
        if names is not None:
            _require_same(recipe.table.file, scores, names)
        return cls(recipe, top_of(scores, recipe.table.top))

    def on(self, tensor: str) -> tuple[float, ...]:
        """One weight a parent, in the recipe's order.

        Those of averages (`AFFINE`) are divided by their sum, so that equal parents stay as they
        are; those of task vectors are coefficients and stand as they were written.
        """
        for group in self.recipe.groups:
            if fnmatchcase(tensor, group.match):
                return self.of_group(group)
        if self.recipe.table is not None and tensor in self.top:
            return self.of_group(self.recipe.table)
        return self.of_rest()

    def of_group(self, group: Group | ScoreTable) -> tuple[float, ...]:
        """Those that a group, or the table, gives."""
        return self._shares(tuple(group.weights[parent.name] for parent in self.recipe.parents))

    def of_rest(self) -> tuple[float, ...]:
        """The parents' own."""
        return self._shares(self.recipe.weights)

    def _shares(self, weights: tuple[float, ...]) -> tuple[float, ...]:
        if self.recipe.method not in AFFINE:
            return weights
        total = fsum(weights)
        return tuple(weight / total for weight in weights)


def read_scores(table: ScoreTable) -> dict[str, float]:
    """The scores of a table, by tensor.

    Raises:
        UserError: There is no such file, it is too large, it is no JSON object of finite numbers,
            or not the one whose digest the recipe gives.
    """
    path = Path(table.file)
    try:
        if path.stat().st_size > _TABLE_LIMIT:
            raise UserError(f"{path}: larger than {_TABLE_LIMIT} bytes; this is no score table")
        data = path.read_bytes()
        scores = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: no valid JSON ({error}); write one with lens-ray merge sensitivity"
        ) from error
    except OSError as error:
        raise UserError(
            f"{path}: the score table cannot be read ({error.strerror}); write one with "
            "lens-ray merge sensitivity, or correct table.file"
        ) from error
    found = sha256(data).hexdigest()
    if table.digest not in (None, found):
        raise UserError(
            f"{path}: its digest is {found}, the recipe says {table.digest}; take the table that "
            "the recipe was written for, or write the recipe again"
        )
    if isinstance(scores, dict) and isinstance(scores.get("scores"), dict):
        scores = scores["scores"]
    if not isinstance(scores, dict) or not scores:
        raise UserError(f"{path}: a JSON object of tensors' names and scores is expected")
    for name, score in scores.items():
        if isinstance(score, bool) or not isinstance(score, int | float) or not _fits(score):
            raise UserError(f"{path}: the score of {name!r} is {score!r:.60}; write a number")
    return scores


def _fits(score: int | float) -> bool:
    try:
        return isfinite(score)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def top_of(scores: Mapping[str, float], share: float) -> frozenset[str]:
    """The tensors with the highest scores, at least one; of equal ones the first by name."""
    ranked = sorted(scores, key=lambda name: (-scores[name], name))
    return frozenset(ranked[: max(1, round(share * len(ranked)))])


def _require_same(file: str, scores: Mapping[str, float], names: set[str]) -> None:
    if unknown := sorted(scores.keys() - names):
        raise UserError(
            f"{file}: {len(unknown)} of its {len(scores)} tensors are not in the parents, such as "
            f"{unknown[0]!r}; names are those on disk"
        )
    if missing := sorted(names - scores.keys()):
        raise UserError(
            f"{file}: {len(missing)} of {len(names)} tensors have no score, such as "
            f"{missing[0]!r}; score all of them, those that must not be chosen lowest"
        )
