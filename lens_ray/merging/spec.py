"""What a user writes of a search for a merge: `MergeSpec`, and `load_merge`.

::

    name: minivlm-merge
    suite: mini:full
    store: ./lens-store
    parents:
      - {name: step-8700, path: builtin:minivlm-a/step-8700, step: 8700}
      - {name: step-9600, path: builtin:minivlm-a/step-9600, step: 9600}
    confirm: mini:confirm
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails

from lens_ray.job_yaml import Path as KeyPath
from lens_ray.merging.recipe import Parent, repeated_parents
from lens_ray.models.spec import NAME_PATTERN, ClosedModel, GenerationOverrides, RuntimeEnv
from lens_ray.online.spec import HostSpec, free_name, hosts_checkpoints, known_option_keys
from lens_ray.stats.advice.needs import Needs
from lens_ray.yaml_file import FileKind, load_file
from lens_ray.yaml_problems import problem, some_or_all

_OVER_TASKS = frozenset({"task_arithmetic", "ties", "model_stock"})


class SearchRules(ClosedModel):
    """How the search goes, and how sure it must be.

    Attributes:
        margin: Of the corrected score: how much of an ability a merge may lose.
        confidence: Of bounds and intervals.
        window: Checkpoints of one window soup.
        pool: Most ingredients.
        survivors: Ingredients of the mixture design.
        lattice: Degree of the simplex lattice; 3 gives ten merges of three ingredients.
        methods: What is tried beside weighted averages; those over task vectors need ``ancestor``.
        groups: Parts of the model that get weights of their own in a last step, by name; globs.
        presets: Published recipes that are tried too.
        scales: Tried on task vectors, by successive halving.
        seed: Of everything drawn.
    """

    margin: float = Field(default=0.02, gt=0, le=0.5)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    window: int = Field(default=3, ge=1, le=100)
    pool: int = Field(default=7, ge=2, le=50)
    survivors: int = Field(default=3, ge=2, le=5)
    lattice: int = Field(default=3, ge=1, le=5)
    methods: tuple[Literal["task_arithmetic", "ties", "model_stock"], ...] = ()
    groups: dict[str, str] = Field(default_factory=dict)
    presets: tuple[Literal["abilitylens", "abilitylens_sensitivity"], ...] = ("abilitylens",)
    scales: tuple[float, ...] = (0.5, 0.7, 0.9, 1.0, 1.2)
    seed: int = Field(default=0, ge=0)


class SearchBudget(ClosedModel):
    """The most that a search may spend; None is not limited.

    Attributes:
        candidates: Merges.
        samples: Answers.
        gpu_hours: Of replicas (core-hours where there are no GPUs).
        usd: Dollars.
        accelerator: What the GPUs are, by its name in the price table.
    """

    candidates: int | None = Field(default=None, ge=1)
    samples: int | None = Field(default=None, ge=1)
    gpu_hours: float | None = Field(default=None, gt=0)
    usd: float | None = Field(default=None, gt=0)
    accelerator: str | None = Field(default=None, min_length=1, max_length=128)


class TrainingCost(ClosedModel):
    """What training the parents took, to set the search's cost beside it.

    Attributes:
        seconds: Wall-clock, of one device or of ``devices``.
        devices: GPUs, or cores.
    """

    seconds: float = Field(gt=0)
    devices: int = Field(default=1, ge=1)


class MergeSpec(ClosedModel):
    """A whole merge file.

    Attributes:
        name: Of the search; its state lives in the store under this name.
        suite: As in a job file.
        abilities: Which of the suite's; None takes all.
        store: Folder or fsspec URL.
        candidates: File that ``lens-ray checkpoints candidates`` wrote; None takes ``parents``.
        parents: Checkpoints, where there is no such file.
        final: Name of the checkpoint that would be shipped without a merge; None is the last.
        ancestor: What all parents were trained from, for methods over task vectors.
        model: How they are hosted.
        confirm: Another suite on which the winner is confirmed; None takes the split ``sealed``.
        search: The rules.
        budget: The most that it may cost.
        needs: A use: weights of the abilities and hard needs.
        training: What training took.
        stability_pool: Frozen pool for stability; None takes the built-in one of the suite.
    """

    name: str = Field(pattern=NAME_PATTERN)
    suite: str = Field(min_length=1, max_length=4096)
    abilities: tuple[str, ...] | None = None
    store: str = Field(min_length=1, max_length=4096)
    candidates: str | None = Field(default=None, min_length=1, max_length=4096)
    parents: tuple[Parent, ...] = ()
    final: str | None = Field(default=None, pattern=NAME_PATTERN)
    ancestor: str | None = Field(default=None, min_length=1, max_length=4096)
    model: HostSpec = Field(default_factory=HostSpec)
    confirm: str | None = Field(default=None, min_length=1, max_length=4096)
    search: SearchRules = Field(default_factory=SearchRules)
    budget: SearchBudget = Field(default_factory=SearchBudget)
    needs: Needs | None = None
    training: TrainingCost | None = None
    stability_pool: str | None = None

    _some_or_all = field_validator("abilities")(some_or_all)

    @field_validator("name")
    @classmethod
    def _can_be_kept(cls, name: str) -> str:
        return free_name(name)

    @field_validator("model")
    @classmethod
    def _can_be_hosted(cls, host: HostSpec) -> HostSpec:
        return hosts_checkpoints(host)

    @model_validator(mode="after")
    def _keys_that_belong_together(self) -> MergeSpec:
        problems = [
            *repeated_parents((parent.name for parent in self.parents), "name"),
            *_wrong_checkpoints(self),
            *_wrong_rules(self),
        ]
        if problems:
            raise ValidationError.from_exception_data("MergeSpec", problems)
        return self


def _wrong_checkpoints(spec: MergeSpec) -> Iterator[InitErrorDetails]:
    """Neither parents nor candidates, both, too few, or a final one that is not among them."""
    if spec.candidates is not None:
        if spec.parents:
            what = "candidates names the checkpoints; take one of the two keys out"
            yield problem(("parents",), "both", what)
        return
    if not spec.parents:
        what = "name the checkpoints: parents: [{name: ..., path: ...}, ...], or candidates: FILE"
        yield problem(("parents",), "none", what)
        return
    if len(spec.parents) < 2:
        what = "one checkpoint cannot be merged with itself; name two or more"
        yield problem(("parents",), "one", what)
    for place, parent in enumerate(spec.parents):
        if parent.weight is not None:
            what = "the search finds the weights; take it out"
            yield problem(("parents", place, "weight"), "weight", what)
    names = [parent.name for parent in spec.parents]
    if spec.final is not None and spec.final not in names:
        what = "{found} is none of the parents; write one of {names}"
        words = {"found": repr(spec.final), "names": ", ".join(names)}
        yield problem(("final",), "final", what, **words)


def _wrong_rules(spec: MergeSpec) -> Iterator[InitErrorDetails]:
    """Keys that lack others, or have no effect."""
    rules, budget = spec.search, spec.budget
    needs = [method for method in rules.methods if method in _OVER_TASKS]
    if needs and spec.ancestor is None and spec.candidates is None:
        what = "{method} is over task vectors; write ancestor: PATH of what all were trained from"
        yield problem(("search", "methods"), "no_ancestor", what, method=needs[0])
    if not rules.scales or min(rules.scales) <= 0 or max(rules.scales) > 10:
        what = "write numbers above 0, such as [0.5, 0.7, 0.9, 1.0, 1.2]"
        yield problem(("search", "scales"), "scales", what)
    if budget.usd is not None and budget.accelerator is None:
        what = "dollars need a price; write accelerator: H100, or another of the price table"
        yield problem(("budget", "usd"), "no_accelerator", what)
    if rules.survivors > rules.pool:
        what = "{survivors} survivors of a pool of {pool}; write {pool} or fewer"
        words = {"survivors": str(rules.survivors), "pool": str(rules.pool)}
        yield problem(("search", "survivors"), "survivors", what, **words)


def load_merge(path: str | Path, *, store: str | None = None) -> MergeSpec:
    """Read and check a merge file.

    ``${NAME}`` stands for an environment variable in ``store``, ``suite``, ``confirm``,
    ``candidates``, ``ancestor``, ``stability_pool`` and a parent's ``path`` and ``adapter``, and
    nowhere else.

    Args:
        path: The file.
        store: Used in the place of the file's ``store``, which may then be missing.

    Raises:
        JobError: ``path:line:column: key: what was found; what to type``. Where there are several
            mistakes, the first one, and how many more there are.
    """
    return load_file(path, MergeSpec, _KIND, store=store)


_PARTS: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): MergeSpec, ("parents",): Parent, ("model",): HostSpec,
    ("model", "generation"): GenerationOverrides, ("model", "runtime_env"): RuntimeEnv,
    ("search",): SearchRules, ("budget",): SearchBudget, ("needs",): Needs,
    ("training",): TrainingCost,
}  # fmt: skip


def _known_keys(path: KeyPath, values: Mapping[str, object]) -> list[str]:
    """The keys that the mapping at a path may have."""
    keys = tuple(part for part in path if isinstance(part, str))
    if keys == ("model", "options"):
        return known_option_keys(values["model"])
    return list(_PARTS[keys].model_fields) if keys in _PARTS else []


_KIND = FileKind(
    name="merge file",
    start="start with name:, suite:, store: and parents:",
    expanded=frozenset(
        {(key,) for key in (
            "store", "suite", "confirm", "candidates", "ancestor", "stability_pool",
        )}
        | {("parents", key) for key in ("path", "adapter")}
    ),
    where="store, suite, confirm, candidates, ancestor, stability_pool, and a parent's path and "
    "adapter",
    known_keys=_known_keys,
)  # fmt: skip
