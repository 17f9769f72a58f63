"""What the tiers V2 to V4 look at: `FunctionGround`, `BehaviourGround`, and where the tiers are.

Each tier is one function from its ground and the policy's limits to checks::

    lens_ray.merging.verify.function.function(FunctionGround, FunctionLimits)      V2
    lens_ray.merging.verify.engines.engines(FunctionGround, EngineLimits)          V3
    lens_ray.merging.verify.behaviour.behaviour(BehaviourGround, BehaviourLimits)  V4
    lens_ray.merging.verify.critical.critical(BehaviourGround, CriticalSamples)    V4

None of them raises for a bad merge: a fault is a `Check` that failed, and what cannot be looked at
here is one that was skipped, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lens_ray.merging.checks import Check
from lens_ray.merging.verify.policy import (
    BehaviourLimits,
    CriticalSamples,
    EngineLimits,
    FunctionLimits,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from lens_ray.merging.record import MergeRecord
    from lens_ray.models.spec import ModelSpec
    from lens_ray.stats.marks import Marks
    from lens_ray.suites.sample import Sample
    from lens_ray.suites.suite import Suite


@dataclass(frozen=True, slots=True)
class Ingredient:
    """A parent, where it lies now.

    Attributes:
        name: In the recipe.
        folder: Local.
        share: Its weight in the mean of the parents, all shares sum to 1; equal where the method
            has no weights.
    """

    name: str
    folder: Path
    share: float


@dataclass(frozen=True, slots=True)
class FunctionGround:
    """What V2 and V3 look at.

    Attributes:
        merge: Folder of the merge.
        parents: In the recipe's order; the base is not among them.
        suite: Where the images of the probes are.
        probes: Questions with reference answers, the same for all models, none that confirmed.
        record: Of the merge.
        template: Prompt template with which questions are asked.
    """

    merge: Path
    parents: tuple[Ingredient, ...]
    suite: Suite
    probes: tuple[Sample, ...]
    record: MergeRecord
    template: str = "default"


@dataclass(frozen=True, slots=True)
class BehaviourGround:
    """What V4 looks at: rows of one suite, and of its controls.

    Attributes:
        marks: Of the merge and the parents on the same units.
        merge: Label of the merge in ``marks``.
        parents: Labels of the parents.
        final: Label of the checkpoint that would be shipped without a merge; one of ``parents``,
            or another label of ``marks``; None is not known.
        rows: By label: columns `ROWS`, one row a sample.
        controls: Marks by a control's name (``blind``; `lens_ray.suites.controls`), for ``merge``
            and at least one of ``parents``, of the labels of ``marks``.
        control_rows: Rows of the same, by control, by label.
    """

    marks: Marks
    merge: str
    parents: tuple[str, ...]
    final: str | None
    rows: Mapping[str, pa.Table]
    controls: Mapping[str, Marks] = field(default_factory=dict)
    control_rows: Mapping[str, Mapping[str, pa.Table]] = field(default_factory=dict)


#: Columns of `BehaviourGround.rows`, as in a store.
ROWS = (
    "sample_id", "ability", "subtask", "cluster_id", "group_id", "status", "cause", "text",
    "extracted", "score", "chance", "upper",
)  # fmt: skip


class Asker(Protocol):
    """Answers of the merge and its parents; `lens_ray.verifying` has the engine's."""

    def ground(self, models: Mapping[str, ModelSpec]) -> BehaviourGround:
        """Ask some models, by label, what they were not asked before.

        Raises:
            EnvironmentFailure: Nobody can be asked, or the store is out of reach.
            Incomplete: A model has too few answers.
        """
        ...


class Function(Protocol):
    """V2."""

    def __call__(self, ground: FunctionGround, limits: FunctionLimits) -> tuple[Check, ...]:
        """The checks."""
        ...


class Engines(Protocol):
    """V3."""

    def __call__(self, ground: FunctionGround, limits: EngineLimits) -> tuple[Check, ...]:
        """The checks."""
        ...


class Behaviour(Protocol):
    """V4."""

    def __call__(self, ground: BehaviourGround, limits: BehaviourLimits) -> tuple[Check, ...]:
        """The checks."""
        ...


class Critical(Protocol):
    """V4, of the samples that a user declared critical."""

    def __call__(self, ground: BehaviourGround, samples: CriticalSamples) -> tuple[Check, ...]:
        """The checks."""
        ...
