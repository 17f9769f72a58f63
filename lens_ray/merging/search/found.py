"""What a search found: `Found`, all of it, as it is printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from lens_ray.merging.record import Score
from lens_ray.merging.search.optimism import Optimism
from lens_ray.merging.search.pool import Ingredient
from lens_ray.merging.search.surface import Surfaces
from lens_ray.merging.search.trial import Ground, Spent, Trial
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.contrast import Difference

#: ``merge``: a merge is better, as confirmed. ``single``: none is shown to be, so the best single
#: checkpoint is recommended. ``unconfirmed``: it cannot be said. Either a merge is confirmed to be
#: ahead and no ability is shown to be lost, yet not all are shown to be kept; or the budget was
#: spent before the confirmation.
Verdict = Literal["merge", "single", "unconfirmed"]
#: In which step a trial was first asked.
Step = Literal[
    "single", "pool", "screen", "greedy", "lattice", "surface", "groups", "scales", "published"
]  # fmt: skip
#: What became of a trial: ``reference`` is the final and the best single checkpoint.
Fate = Literal["reference", "accepted", "rejected", "chosen"]
#: ``held``: not worse by more than the margin. ``inconclusive`` is not held. ``regressed``: worse
#: by some amount, which is shown, and not shown to be within the margin.
Change = Literal["improved", "held", "inconclusive", "regressed"]


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial, and what became of it.

    Attributes:
        trial: It.
        step: In which it was first asked.
        ground: The most that it was asked: ``search`` holds ``anchor``.
        scores: By ability, then ``overall``, on that ground.
        gain: Of ``overall``, against the best single checkpoint on the same samples; None of that
            one itself.
        low: One-sided lower bound of the gain.
        verdict: Whether the search went on with it.
        why: In words.
    """

    trial: Trial
    step: Step
    ground: Ground
    scores: Mapping[str, Score]
    gain: float | None = None
    low: float | None = None
    verdict: Fate = "rejected"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that must hold of a merge, on the samples that confirm.

    Attributes:
        figure: ``overall``, or an ability.
        against: Name of the checkpoint that it is compared with.
        difference: Paired, with its two-sided interval.
        low: One-sided lower bound of the difference; None is not known.
        least: What ``low`` must be above: 0 of ``overall``, minus the margin of an ability.
        holds: Whether it is.
        change: Of an ability: in words.
    """

    figure: str
    against: str
    difference: Difference
    low: float | None
    least: float
    holds: bool
    change: Change


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the samples said that no step of the search had seen.

    Attributes:
        claims: All of what must hold.
        holds: Whether all do.
        scores: By model (``merge``, ``final``, the merge's parents and the best single checkpoint
            by name), by ability and ``overall``.
        single: The best single checkpoint against the final one; None where they are the same.
        n: Units that all of them answered.
    """

    claims: tuple[Claim, ...]
    holds: bool
    scores: Mapping[str, Mapping[str, Score]]
    single: Difference | None
    n: int

    @property
    def refuted(self) -> bool:
        """Whether the merge is not shown to be ahead, or is shown to lose an ability."""
        return any(
            not each.holds and (each.figure == OVERALL or each.change == "regressed")
            for each in self.claims
        )


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the surfaces said of the chosen mixture, and what was measured.

    Attributes:
        figure: Ability, or ``overall``.
        predicted: Corrected score, with its prediction interval.
        measured: On the same samples, afterwards; None was not asked.
    """

    figure: str
    predicted: Score
    measured: float | None


@dataclass(frozen=True, slots=True)
class Found:
    """A whole search.

    Attributes:
        name: Of the search.
        verdict: How it ended.
        why: In one line.
        recommended: What to ship: the merge where it is confirmed, else the best single checkpoint.
        chosen: The merge of most promise, confirmed or not; None where none was ahead.
        final: Name of the checkpoint that would be shipped without a merge.
        best_single: Name of the checkpoint with the highest score on the samples of the search.
        weights: Of the abilities in ``overall``; their sum is 1.
        ingredients: Of the pool, in its order.
        survivors: Names of those in the mixture design.
        tried: Every trial.
        surfaces: Of the mixture design; None where it was not reached. With other weights they
            give another mixture, and nothing is asked for it.
        predicted: Surfaces against measurement, for the mixture that they chose.
        optimism: What being the best of many adds to the chosen one's gain.
        confirmation: None where no merge was worth it, or the budget was spent.
        spent: What it cost.
        stopped: What was not done because the budget was spent; None is nothing.
        notes: What a reader should know.
    """

    name: str
    verdict: Verdict
    why: str
    recommended: Trial
    chosen: Trial | None
    final: str
    best_single: str
    weights: Mapping[str, float]
    ingredients: tuple[Ingredient, ...] = ()
    survivors: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()
    surfaces: Surfaces | None = None
    predicted: tuple[Predicted, ...] = ()
    optimism: Optimism | None = None
    confirmation: Confirmation | None = None
    spent: Spent = field(default_factory=Spent)
    stopped: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values, recipes and scores included."""
        found = asdict(replace(self, surfaces=None))
        found["surfaces"] = None if self.surfaces is None else self.surfaces.to_json()
        plain = _plain(found)
        assert isinstance(plain, dict)
        return plain


def _plain(value: object) -> object:
    """Mappings, lists and what JSON has; models of pydantic and NaN turned into these."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value != value:
        return None
    return value
