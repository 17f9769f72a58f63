"""What a search tries, and who asks it: `Trial`, and the protocol `Asker`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lens_ray.merging.recipe import Recipe
from lens_ray.stats.marks import Marks

#: Which samples: the split ``anchor``; ``anchor`` and ``search``, or the whole suite where another
#: one confirms; or those that confirm, which nothing else may look at (the split ``sealed``, or
#: another suite).
Ground = Literal["anchor", "search", "confirm"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One model that may be asked: a single checkpoint or a merge.

    Attributes:
        name: Unique in a search; what tables show.
        recipe: How it is made. A single checkpoint is ``linear`` with one parent of weight 1, and
            is asked as it lies there.
    """

    name: str
    recipe: Recipe

    @property
    def single(self) -> bool:
        """Whether it is a checkpoint as it is."""
        return len(self.recipe.parents) == 1 and self.recipe.parents[0].adapter is None

    @property
    def key(self) -> str:
        """Of its recipe, whatever it is called: equal keys are asked once."""
        told = self.recipe.model_dump(mode="json", exclude={"name", "shard_gb"})
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Asker(Protocol):
    """Asks trials; what was asked before, by this process or another, is not asked again."""

    def ask(self, trials: Sequence[Trial], ground: Ground) -> Marks:
        """The marks of some trials on the same units; a column a trial, labelled by its name.

        Raises:
            BudgetReached: Samples, seconds or dollars are spent; what was answered is kept.
            EnvironmentFailure: Nobody can be asked, or the store is out of reach.
            Incomplete: A trial has too few answers.
        """
        ...

    @property
    def spent(self) -> Spent:
        """So far, by this search, earlier starts included."""
        ...


@dataclass(frozen=True, slots=True)
class Spent:
    """What a search has cost.

    Attributes:
        candidates: Merges made.
        samples: Answers asked.
        seconds: Of replicas (replica-seconds).
        merge_seconds: Of merging.
        usd: Dollars; None is not known.
    """

    candidates: int = 0
    samples: int = 0
    seconds: float = 0.0
    merge_seconds: float = 0.0
    usd: float | None = None
