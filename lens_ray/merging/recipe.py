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

from collections.abc import Iterable, Iterator, Mapping
from math import fsum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from lens_ray.job_yaml import Path as KeyPath
from lens_ray.job_yaml import write_yaml
from lens_ray.models.spec import NAME_PATTERN, ClosedModel
from lens_ray.yaml_file import FileKind, load_file
from lens_ray.yaml_problems import problem, repeated

Method = Literal[
    "linear", "window", "task_arithmetic", "slerp", "ties", "dare_linear", "dare_ties",
    "model_stock",
]  # fmt: skip
#: Methods whose weights are shares that sum to 1.
AFFINE: frozenset[Method] = frozenset({"linear", "window", "slerp"})
#: Methods over task vectors: differences from a base.
OVER_BASE: frozenset[Method] = frozenset(
    {"task_arithmetic", "ties", "dare_linear", "dare_ties", "model_stock"}
)
#: Methods that take no weights from the recipe.
WEIGHTLESS: frozenset[Method] = frozenset({"window", "model_stock"})
#: Methods that elect a sign and take the mean of those that agree, as TIES does.
ELECTING: frozenset[Method] = frozenset({"ties", "dare_ties"})
#: How far a sum of shares may be from 1: they are divided by it.
_SUM = 1e-6
#: Larger weights mean nothing, and their sum may leave the range of floating point.
_HEAVIEST = 1e6


def _no_truth(value: object) -> object:
    """``weight: true`` would be 1."""
    if isinstance(value, bool):
        what = "{found} is a truth value; write a number"
        raise PydanticCustomError("truth", what, {"found": str(value).lower()})
    return value


def _bounded(weight: float) -> float:
    if abs(weight) > _HEAVIEST:
        what = "{found} is too large; write weights of at most {most} in size"
        words = {"found": f"{weight:.3g}", "most": f"{_HEAVIEST:.0f}"}
        raise PydanticCustomError("heavy", what, words)
    return weight


Number = Annotated[float, BeforeValidator(_no_truth)]
Whole = Annotated[int, BeforeValidator(_no_truth)]
Weight = Annotated[Number, AfterValidator(_bounded)]


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
    weight: Weight | None = None
    step: Whole | None = Field(default=None, ge=0)
    digest: str | None = Field(default=None, min_length=1, max_length=128)


class Group(ClosedModel):
    """Tensors that get weights of their own. The first group that matches a tensor decides.

    Attributes:
        match: Glob over names on disk: ``model.vision_model.*``.
        weights: By parent's name, all of them.
    """

    match: str = Field(min_length=1, max_length=512)
    weights: dict[str, Weight]


class ScoreTable(ClosedModel):
    """Tensors chosen by a score get weights of their own (AbilityLens' sensitivity variant).

    Attributes:
        file: JSON object, tensor's name to score (``lens_ray.merging.sensitivity`` writes one).
        top: Share of the tensors, highest scores first, that get ``weights``.
        weights: By parent's name, all of them.
        digest: SHA-256 of the file; where it is given, another file is refused.
    """

    file: str = Field(min_length=1, max_length=4096)
    top: Number = Field(default=0.3, gt=0, le=1)
    weights: dict[str, Weight]
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class Average(ClosedModel):
    """Weights made from the steps of the parents, for ``window``.

    Attributes:
        kind: ``sma`` equal (of the latest checkpoints it is LAWA, Kaddour 2022, arXiv 2209.14981);
            ``wma`` 1, 2, 3, ... in the order of the steps; ``ema`` geometric: of a checkpoint
            ``decay`` times the next one's. All as compared by Li et al. 2025, arXiv 2505.12082.
        decay: Of ``ema``.
    """

    kind: Literal["sma", "wma", "ema"] = "sma"
    decay: Number = Field(default=0.8, gt=0, lt=1)


class Recipe(ClosedModel):
    """A whole recipe file.

    Attributes:
        version: Of the form.
        name: For people; decides nothing.
        method: How numbers are merged.
        parents: In the order of the formula, at least one.
        base: From which task vectors are taken; None where the method needs none. Its own
            weight is not used.
        normalize: Divide by the sum of the weights. ``linear`` does not unless told to, and its
            weights must sum to 1; ``ties`` and ``dare_ties`` do (the mean of those that agree in
            sign) unless told not to.
        average: Of ``window``.
        scale: On the sum of the task vectors.
        density: Of ``ties`` and ``dare_*``: share of each task vector that is kept.
        seed: Of ``dare_*``.
        groups: Tensors with weights of their own; of every method but ``model_stock``.
        table: Tensors with weights of their own, chosen by a score, where no group matches; of
            the same methods.
        dtype: Of the floating tensors that are written; None keeps each parent's.
        shard_gb: Largest weight file.
    """

    version: Literal[1] = 1
    name: str | None = Field(default=None, pattern=NAME_PATTERN)
    method: Method
    parents: tuple[Parent, ...]
    base: Parent | None = None
    normalize: bool | None = None
    average: Average = Field(default_factory=Average)
    scale: Number = 1.0
    density: Number = Field(default=0.7, gt=0, le=1)
    seed: Whole = Field(default=0, ge=0, lt=2**63)
    groups: tuple[Group, ...] = ()
    table: ScoreTable | None = None
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    shard_gb: Number = Field(default=5.0, gt=0, le=1e6)

    @model_validator(mode="after")
    def _can_be_done(self) -> Recipe:
        problems = [
            *repeated_parents((parent.name for parent in self.parents), "name"),
            *_wrong_parents(self),
            *_without_effect(self),
            *_wrong_weights(self),
        ]
        if problems:
            raise ValidationError.from_exception_data("Recipe", problems)
        return self

    @property
    def weights(self) -> tuple[float, ...]:
        """One a parent, in their order, where no group and no table says otherwise.

        As written, or made from the steps; none of ``model_stock``.
        """
        if self.method == "window":
            return _of_steps(self)
        return tuple(parent.weight for parent in self.parents if parent.weight is not None)

    @property
    def normalizes(self) -> bool:
        """Whether sums are divided by the weights' sum."""
        return self.method in ELECTING if self.normalize is None else self.normalize


def _of_steps(recipe: Recipe) -> tuple[float, ...]:
    """Weights of a window, before they are divided by their sum."""
    parents, kind = recipe.parents, recipe.average.kind
    if kind == "sma":
        return (1.0,) * len(parents)
    steps = sorted(parent.step or 0 for parent in parents)
    ages = [len(steps) - 1 - steps.index(parent.step or 0) for parent in parents]
    if kind == "wma":
        return tuple(float(len(steps) - age) for age in ages)
    return tuple(recipe.average.decay**age for age in ages)


#: Keys that only some methods heed.
_KEYS_OF_METHODS: Mapping[str, tuple[Method, ...]] = {
    "base": ("task_arithmetic", "ties", "dare_linear", "dare_ties", "model_stock"),
    "normalize": ("linear", "ties", "dare_ties"),
    "average": ("window",),
    "scale": ("task_arithmetic", "ties", "dare_linear", "dare_ties"),
    "density": ("ties", "dare_linear", "dare_ties"),
    "seed": ("dare_linear", "dare_ties"),
    "groups": (
        "linear", "window", "task_arithmetic", "slerp", "ties", "dare_linear", "dare_ties",
    ),
    "table": (
        "linear", "window", "task_arithmetic", "slerp", "ties", "dare_linear", "dare_ties",
    ),
}  # fmt: skip


def _wrong_parents(recipe: Recipe) -> Iterator[InitErrorDetails]:
    """Too few or too many, without a base, without steps, or called as nothing may be."""
    method, found = recipe.method, len(recipe.parents)
    least, most = {"slerp": (2, 2), "model_stock": (2, None)}.get(method, (1, None))
    if found < least or (most is not None and found > most):
        wanted = f"{'exactly' if most else 'at least'} {least}"
        what = "{method} takes {wanted}; {found} are named"
        words = {"method": method, "wanted": wanted, "found": str(found)}
        yield problem(("parents",), "number", what, **words)
    if method in OVER_BASE and recipe.base is None:
        what = "{method} is over differences from a base; write {base}"
        words = {"method": method, "base": "base: {name: ..., path: ...}"}
        yield problem(("method",), "no_base", what, **words)
    for place, parent in enumerate(recipe.parents):
        taken = parent.name == "base" or (recipe.base and parent.name == recipe.base.name)
        if parent.name == "merge" or taken:
            what = "{name} is what the {one} is called; take another name"
            words = {"name": parent.name, "one": "merge" if parent.name == "merge" else "base"}
            yield problem(("parents", place, "name"), "reserved", what, **words)
    if method == "window" and recipe.average.kind != "sma":
        yield from _wrong_steps(recipe)


def _wrong_steps(recipe: Recipe) -> Iterator[InitErrorDetails]:
    """Weights made from steps need them, each another."""
    for place, parent in enumerate(recipe.parents):
        if parent.step is None:
            what = "{average} makes weights from steps; write step: ..."
            yield problem(("parents", place), "no_step", what, average=recipe.average.kind)
    steps = [str(parent.step) for parent in recipe.parents if parent.step is not None]
    if len(steps) == len(recipe.parents):
        yield from repeated_parents(steps, "step")


def repeated_parents(values: Iterable[str], key: str) -> Iterator[InitErrorDetails]:
    """What two parents may not share, at the place of the second."""
    for detail in repeated(values, key, "parents"):
        yield {**detail, "loc": ("parents", *detail["loc"])}


def _without_effect(recipe: Recipe) -> Iterator[InitErrorDetails]:
    what = "no effect with method: {method}; take it out, or write method: {wanted}"
    for key in recipe.model_dump(exclude_defaults=True):
        methods = _KEYS_OF_METHODS.get(key, (recipe.method,))
        if recipe.method not in methods:
            yield problem((key,), "no_effect", what, method=recipe.method, wanted=methods[0])
    if recipe.average.kind != "ema" and "decay" in recipe.average.model_dump(exclude_defaults=True):
        what = "no effect with kind: {average}; take it out, or write kind: ema"
        yield problem(("average", "decay"), "no_effect", what, average=recipe.average.kind)
    if recipe.base is not None and recipe.base.weight is not None:
        what = "the base has no weight; take it out (scale: is for the sum of the task vectors)"
        yield problem(("base", "weight"), "no_effect", what)


def _wrong_weights(recipe: Recipe) -> Iterator[InitErrorDetails]:
    """Weights that are missing, needless, of nobody, or shares that do not sum to 1."""
    names = [parent.name for parent in recipe.parents]
    made = recipe.method in WEIGHTLESS
    for place, parent in enumerate(recipe.parents):
        if made and parent.weight is not None:
            what = "{method} makes the weights itself; take it out, or write method: linear"
            yield problem(("parents", place, "weight"), "no_effect", what, method=recipe.method)
        elif not made and parent.weight is None:
            what = "{method} needs one for each parent; write weight: ..."
            yield problem(("parents", place), "no_weight", what, method=recipe.method)
    sets: list[tuple[tuple[str | int, ...], Mapping[str, float]]] = [
        (("groups", place, "weights"), group.weights) for place, group in enumerate(recipe.groups)
    ]
    if recipe.table is not None:
        sets.append((("table", "weights"), recipe.table.weights))
    for at, weights in sets:
        if odd := sorted(weights.keys() ^ set(names)):
            what = "{name} is {how}; name each of {names} once"
            how = "no parent" if odd[0] in weights else "not named"
            words = {"name": repr(odd[0]), "how": how, "names": ", ".join(sorted(names))}
            yield problem(at, "weights", what, **words)
        else:
            yield from _wrong_sum(recipe, at, tuple(weights.values()))
    if not made and all(parent.weight is not None for parent in recipe.parents):
        yield from _wrong_sum(recipe, ("parents",), recipe.weights)


def _wrong_sum(
    recipe: Recipe, at: tuple[str | int, ...], weights: tuple[float, ...]
) -> Iterator[InitErrorDetails]:
    if recipe.method not in AFFINE or not weights:
        return
    total = fsum(weights)
    words = {"total": f"{total:.9g}"}
    if recipe.normalize:
        if abs(total) <= _SUM * max(abs(weight) for weight in weights):
            what = "the weights sum to {total}, by which nothing can be divided; write other ones"
            yield problem(at, "sum", what, **words)
    elif abs(total - 1) > _SUM:
        what = "the weights sum to {total}; write weights that sum to 1"
        if recipe.method == "linear":
            what += ", or normalize: true"
        yield problem(at, "sum", what, **words)


def load_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe; JSON is YAML too.

    ``${NAME}`` stands for an environment variable in every ``path`` and ``adapter`` and in the
    table's ``file``, and nowhere else.

    Args:
        path: The file.

    Raises:
        JobError: ``path:line:column: key: what was found; what to type``. Where there are several
            mistakes, the first one, and how many more there are.
    """
    return load_file(path, Recipe, _KIND)


def dump_recipe(recipe: Recipe) -> str:
    """A recipe as YAML that `load_recipe` reads back equal; defaults are left out."""
    values = recipe.model_dump(mode="json", exclude_defaults=True)
    return write_yaml({"version": recipe.version, **values}, width=100)


_PARTS: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): Recipe, ("parents",): Parent, ("base",): Parent, ("average",): Average,
    ("groups",): Group, ("table",): ScoreTable,
}  # fmt: skip


def _known_keys(path: KeyPath, values: Mapping[str, object]) -> list[str]:
    """The keys that the mapping at a path may have."""
    return list(_PARTS[tuple(part for part in path if isinstance(part, str))].model_fields)


_KIND = FileKind(
    name="recipe",
    start="start with method: and parents:",
    expanded=frozenset(
        {(of, key) for of in ("parents", "base") for key in ("path", "adapter")}
        | {("table", "file")}
    ),
    where="a parent's or the base's path and adapter, and the table's file",
    known_keys=_known_keys,
)
