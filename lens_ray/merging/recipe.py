"""A merge, written down: `Recipe`, and `load_recipe`, which names line, column and key.

::

    version: 1
    method: linear
    parents:
      - {name: switch, path: builtin:minivlm-a/step-8700, weight: 0.25}
      - {name: end, path: builtin:minivlm-a/step-9600, weight: 0.75}

Everything that decides a number stands in it, so equal recipes over equal parents give equal bytes.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lens_ray.models.spec import NAME_PATTERN, ClosedModel

Method = Literal[
    "linear", "window", "task_arithmetic", "slerp", "ties", "dare_linear", "dare_ties",
    "model_stock",
]  # fmt: skip
#: Methods whose weights are shares that sum to 1.
AFFINE = frozenset({"linear", "window", "slerp"})


class Parent(ClosedModel):
    """One checkpoint that goes in.

    Attributes:
        name: Unique in the recipe.
        path: Folder, ``s3://`` URL, ``builtin:`` name or hub id.
        revision: Of a hub id.
        adapter: Folder or URL of a LoRA adapter that is folded into it first.
        weight: Its share (of task vectors: its coefficient); None where the method makes it.
        step: Of its training run, for ``window``.
        digest: Of its weights; where it is given, others are refused.
    """

    name: str = Field(pattern=NAME_PATTERN)
    path: str = Field(min_length=1, max_length=4096)
    revision: str | None = Field(default=None, min_length=1, max_length=256)
    adapter: str | None = Field(default=None, min_length=1, max_length=4096)
    weight: float | None = None
    step: int | None = Field(default=None, ge=0)
    digest: str | None = Field(default=None, min_length=1, max_length=128)


class Group(ClosedModel):
    """Tensors that get weights of their own. The first group that matches a tensor decides.

    Attributes:
        match: Glob over names on disk: ``model.vision_model.*``.
        weights: By parent's name, all of them.
    """

    match: str = Field(min_length=1, max_length=512)
    weights: dict[str, float]


class ScoreTable(ClosedModel):
    """Tensors chosen by a score get weights of their own (AbilityLens' sensitivity variant).

    Attributes:
        file: JSON object, tensor's name to score (``lens_ray.merging.sensitivity`` writes one).
        top: Share of the tensors, highest scores first, that get ``weights``.
        weights: By parent's name, all of them.
        digest: SHA-256 of the file; where it is given, another file is refused.
    """

    file: str = Field(min_length=1, max_length=4096)
    top: float = Field(default=0.3, gt=0, le=1)
    weights: dict[str, float]
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class Average(ClosedModel):
    """Weights made from the steps of the parents, for ``window``.

    Attributes:
        kind: ``sma`` equal, ``wma`` growing linearly, ``ema`` geometric (LAWA's moving average).
        decay: Of ``ema``: the weight of a checkpoint against the next one's.
    """

    kind: Literal["sma", "wma", "ema"] = "sma"
    decay: float = Field(default=0.8, gt=0, lt=1)


class Recipe(ClosedModel):
    """A whole recipe file.

    Attributes:
        version: Of the form.
        name: For people; decides nothing.
        method: How numbers are merged.
        parents: In the order of the formula, at least one.
        base: From which task vectors are taken; None where the method needs none. Its own
            weight is not used.
        normalize: Of ``linear`` and ``ties``: divide by the sum of the weights.
        average: Of ``window``.
        scale: On the sum of the task vectors.
        density: Of ``ties`` and ``dare_*``: share of each task vector that is kept.
        seed: Of ``dare_*``.
        groups: Tensors with weights of their own.
        table: Tensors with weights of their own, chosen by a score.
        dtype: Of the floating tensors that are written; None keeps each parent's.
        shard_gb: Largest weight file.
    """

    version: Literal[1] = 1
    name: str | None = Field(default=None, pattern=NAME_PATTERN)
    method: Method
    parents: tuple[Parent, ...]
    base: Parent | None = None
    normalize: bool = False
    average: Average = Field(default_factory=Average)
    scale: float = 1.0
    density: float = Field(default=0.7, gt=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**63)
    groups: tuple[Group, ...] = ()
    table: ScoreTable | None = None
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    shard_gb: float = Field(default=5.0, gt=0)

    @property
    def weights(self) -> tuple[float, ...]:
        """One a parent, in their order: as written, or made from the steps."""
        if self.method == "model_stock":
            return ()
        if self.method == "window":
            return _of_steps(self)
        return tuple(1.0 if p.weight is None else p.weight for p in self.parents)


def _of_steps(recipe: Recipe) -> tuple[float, ...]:
    """Weights of a window, before they are divided by their sum."""
    steps = [parent.step or 0 for parent in recipe.parents]
    order = sorted(range(len(steps)), key=steps.__getitem__)
    made = {
        "sma": lambda age: 1.0,
        "wma": lambda age: float(len(steps) - age),
        "ema": lambda age: recipe.average.decay**age,
    }[recipe.average.kind]
    weights = [0.0] * len(steps)
    for place, parent in enumerate(order):
        weights[parent] = made(len(steps) - 1 - place)
    return tuple(weights)
