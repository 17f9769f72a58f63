"""What a user writes of a search for a merge: `MergeSpec`, and `load_merge`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lens_ray.merging.recipe import Parent
from lens_ray.models.spec import NAME_PATTERN, ClosedModel
from lens_ray.online.spec import HostSpec
from lens_ray.stats.advice.needs import Needs


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
