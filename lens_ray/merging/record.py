"""Where a merge comes from: `MergeRecord`, the file ``merge.json`` beside its weights."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lens_ray.merging.recipe import Recipe
from lens_ray.models.spec import ClosedModel

FILE = "merge.json"


class ParentRecord(ClosedModel):
    """One input, as it was read.

    Attributes:
        name: In the recipe; ``base`` of the base.
        path: As the recipe has it.
        step: Of its training run.
        weights_digest: See `lens_ray.models.checkpoint.CheckpointFacts`.
        shell_digest: See there.
        adapter_digest: Of its adapter; None has none.
    """

    name: str
    path: str
    step: int | None = None
    weights_digest: str
    shell_digest: str
    adapter_digest: str | None = None


class Score(ClosedModel):
    """A corrected score with its 95 % interval; None is not known.

    Attributes:
        value: The score.
        low: Lower bound.
        high: Upper bound.
        n: Samples.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0


class MergeRecord(ClosedModel):
    """All that is known of a merge.

    Attributes:
        version: Of the form.
        recipe: What was merged and how.
        parents: As they were read, in the recipe's order.
        base: The base, where there is one.
        weights_digest: Of the merge.
        files: SHA-256 of every file in the folder but this one and the model card.
        tools: Versions: lens_ray, torch, safetensors.
        made_at: ISO 8601 in UTC.
        suite: On which it was searched, as a job file names it; None was not.
        suite_digest: Of that suite.
        confirm: Suite, or split of it (``sealed``), on which it was confirmed.
        store: Where the rows of parents and merge are.
        abilities: That were asked; None is all of the suite's.
        models: Name of each parent's run in the store, by parent's name, and ``merge``.
        scores: By model (parents' names, ``final``, ``merge``), by ability and ``overall``.
    """

    version: Literal[1] = 1
    recipe: Recipe
    parents: tuple[ParentRecord, ...]
    base: ParentRecord | None = None
    weights_digest: str
    files: dict[str, str]
    tools: dict[str, str]
    made_at: str
    suite: str | None = None
    suite_digest: str | None = None
    confirm: str | None = None
    store: str | None = None
    abilities: tuple[str, ...] | None = None
    models: dict[str, str] = Field(default_factory=dict)
    scores: dict[str, dict[str, Score]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _of_one_recipe(self) -> MergeRecord:
        """Parents that are not recorded would not be compared with those that are there."""
        named = [parent.name for parent in self.recipe.parents]
        if [one.name for one in self.parents] != named or bool(self.base) != bool(self.recipe.base):
            raise ValueError(f"parents and base are not the recipe's ({', '.join(named)})")
        return self
