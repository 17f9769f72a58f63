"""Merges with a known truth: `SimulatedMerges`, an asker for whoever tests a search.

Every weighted mean of the checkpoints has a true corrected score in each ability, by the kind of
ground. A trial's item is right where its latent lies below the true accuracy. The latent is normal
and the sum of a part that an item keeps for all models (shared in part by its cluster), and a part
that each checkpoint has of its own and a merge has in the proportion of its weights. So the
expected score is the truth exactly, and models agree on items as far as they are made alike. That
8 to 15 % of the items change from a checkpoint to its neighbour is what the shipped run shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.search.trial import Ground, Spent, Trial
from lens_ray.stats.marks import Facet, Marks
from lens_ray.stats.units import Floats, Ints
from lens_ray.suites.sample import ABILITIES

#: ``conflict``: one ability rises while another falls, and means keep both. ``threshold``: the
#: same, but an ability is kept from a share of its experts on: no surface of second degree.
#: ``equal``: all checkpoints and all merges are equally good. ``worse``: every merge loses.
#: ``slow``: every checkpoint is better than those before, and means lie between.
Kind = Literal["conflict", "threshold", "equal", "worse", "slow"]
KINDS: tuple[Kind, ...] = ("conflict", "threshold", "equal", "worse", "slow")

#: Share of an item's latent variance that is common to all models.
_KEPT = 0.9
#: Of that, what a cluster's items share.
_TOGETHER = 0.3


@dataclass(frozen=True, slots=True)
class MergeDesign:
    """What is asked, and of how many checkpoints.

    Attributes:
        parents: Checkpoints.
        anchor: Items an ability in the split ``anchor``.
        search: In the split ``search``.
        confirm: That confirm.
        chance: Chance level of each of an ability's subtasks; so many subtasks there are.
        conflict: How much one ability rises, and another falls, from the first to the last.
        bend: How much more than the mean of its parents a merge of the two ends has, as logit.
    """

    parents: int = 5
    anchor: int = 200
    search: int = 300
    confirm: int = 500
    chance: tuple[float, ...] = (0.0, 0.25, 0.5)
    conflict: float = 0.12
    bend: float = 0.4


@dataclass
class SimulatedMerges:
    """Answers of every merge of one simulated run; an `lens_ray.merging.search.trial.Asker`.

    Attributes:
        kind: What is true.
        seed: Of truth and answers.
        design: What is asked.
        budget: Samples after which it refuses; None has no end.
        asked: What was asked: (trial's name, ground), in order, each once.
        done: Samples answered, by the trial's key and ``search`` or ``confirm``.
    """

    kind: Kind
    seed: int
    design: MergeDesign = field(default_factory=MergeDesign)
    budget: int | None = None
    asked: list[tuple[str, Ground]] = field(default_factory=list)
    done: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, KINDS.index(self.kind)])
        self._levels, self._bends = _truth(self.kind, rng, self.design)
        self._experts = _experts(rng, self.design)
        self._ground: dict[Ground, _Items] = {}

    @property
    def parents(self) -> tuple[Parent, ...]:
        """The checkpoints, by step."""
        return tuple(
            Parent(name=f"step-{step}", path=f"sim/{step}", step=step)
            for step in range(1000, 1000 + 100 * self.design.parents, 100)
        )

    def truth(self, recipe: Recipe) -> dict[str, float]:
        """True corrected scores, by ability and ``overall``."""
        weights = self._weights(recipe)
        logit = weights @ self._levels
        first, second = np.triu_indices(len(weights), 1)
        logit = logit + (weights[first] * weights[second]) @ self._bends
        skill = 1 / (1 + np.exp(-logit))
        if self.kind == "threshold":
            skill = self._kept(weights)
        found = dict(zip(ABILITIES, skill.tolist(), strict=True))
        return {**found, "overall": float(skill.mean())}

    def ask(self, trials: Sequence[Trial], ground: Ground) -> Marks:
        """The marks of some trials.

        Raises:
            BudgetReached: More samples than ``budget`` would be asked.
        """
        from lens_ray.errors import BudgetReached

        for trial in trials:
            size = self._size(ground)
            more = size - self.done.get((trial.key, _store(ground)), 0)
            if more <= 0:
                continue
            if self.budget is not None and self.spent.samples + more > self.budget:
                raise BudgetReached(f"budget: {self.budget:,} samples; raise it to go on")
            self.done[trial.key, _store(ground)] = size
            self.asked.append((trial.name, ground))
        items = self._items(ground)
        score = np.stack([self._answers(trial.recipe, items) for trial in trials])
        return replace(items.asked, models=tuple(trial.name for trial in trials), score=score)

    @property
    def spent(self) -> Spent:
        """Merges and samples so far; nothing else is simulated."""
        return Spent(candidates=len({key for key, _ in self.done}), samples=sum(self.done.values()))

    def _size(self, ground: Ground) -> int:
        one = self.design
        sizes = {"anchor": one.anchor, "search": one.anchor + one.search, "confirm": one.confirm}
        return len(ABILITIES) * sizes[ground]

    def _items(self, ground: Ground) -> _Items:
        """The items of a ground; those of ``anchor`` are among those of ``search``."""
        if ground not in self._ground:
            if ground == "anchor":
                self._ground[ground] = self._items("search").first(self.design.anchor)
            else:
                count = self._size(ground) // len(ABILITIES)
                rng = np.random.default_rng([self.seed, KINDS.index(self.kind), ord(ground[0])])
                self._ground[ground] = _items(rng, count, self.design)
        return self._ground[ground]

    def _weights(self, recipe: Recipe) -> Floats:
        """Of the checkpoints; what task vectors are scaled by does nothing here."""
        place = {parent.name: at for at, parent in enumerate(self.parents)}
        found = np.zeros(self.design.parents)
        sets: list[dict[str, float]] = [group.weights for group in recipe.groups]
        sets.append({parent.name: parent.weight or 1.0 for parent in recipe.parents})
        for weights in sets:  # each part of a model counts alike
            total = sum(weights.values())
            for name, weight in weights.items():
                found[place[name]] += weight / total / len(sets)
        return found

    def _kept(self, weights: Floats) -> Floats:
        """Of ``threshold``: an ability is there from a share of its experts on."""
        levels = 1 / (1 + np.exp(-self._levels))
        low, high = levels.min(axis=0), levels.max(axis=0)
        share: Floats = weights @ self._experts
        kept: Floats = 1 / (1 + np.exp(-(share - 0.3) / 0.06))
        found: Floats = low + (high - low) * kept
        return found

    def _answers(self, recipe: Recipe, items: _Items) -> Floats:
        from scipy.special import ndtri

        weights = self._weights(recipe)
        truth = self.truth(recipe)
        own = weights @ items.own / np.linalg.norm(weights)
        latent = _KEPT**0.5 * items.kept + (1 - _KEPT) ** 0.5 * own
        skill = np.array([truth[ability] for ability, _ in items.asked.strata])
        chance = np.array([self.design.chance[int(name[-1])] for _, name in items.asked.strata])
        bound: Floats = ndtri(chance + (1 - chance) * skill)
        found: Floats = (latent < bound[items.asked.stratum]).astype(np.float64)
        return found


def _store(ground: Ground) -> str:
    """``anchor`` is part of ``search``."""
    return "confirm" if ground == "confirm" else "search"


def _truth(kind: Kind, rng: np.random.Generator, design: MergeDesign) -> tuple[Floats, Floats]:
    """Levels as logit, parents x abilities, and bends, pairs of parents x abilities."""
    count, width = design.parents, len(ABILITIES)
    level = rng.uniform(0.3, 0.85, width)
    course = np.linspace(0, 1, count)[:, None]
    skill = np.repeat(level[None], count, axis=0)
    rises, falls = rng.permutation(width)[:2]
    first, second = np.triu_indices(count, 1)
    bends = np.zeros((len(first), width))
    apart = (second - first) / (count - 1)
    if kind in ("conflict", "threshold", "worse"):
        skill[:, rises] += design.conflict * (course[:, 0] - 0.5)
        skill[:, falls] -= design.conflict * (course[:, 0] - 0.5)
    if kind == "slow":
        skill = skill + 0.03 * (course - 0.5)
    if kind == "conflict":
        bends = design.bend * apart[:, None] * rng.uniform(0.0, 1.0, width)
        bends[:, [rises, falls]] += design.bend * apart[:, None]
    if kind == "worse":
        bends = np.full_like(bends, -2.0) * apart[:, None]
    skill = np.clip(skill, 0.03, 0.95)
    return np.log(skill / (1 - skill)), bends


def _experts(rng: np.random.Generator, design: MergeDesign) -> Floats:
    """Who is an expert of what, parents x abilities: those after the middle, or others."""
    course = (np.linspace(0, 1, design.parents)[:, None] > 0.5).astype(np.float64)
    late = rng.permutation(np.arange(len(ABILITIES)) % 2 == 0)
    return np.where(late, course, 1 - course)


@dataclass(frozen=True)
class _Items:
    """Items of one ground.

    Attributes:
        asked: Marks of no model.
        kept: The part of the latent that all models share.
        own: Checkpoints x items: their own.
    """

    asked: Marks
    kept: Floats
    own: Floats

    def first(self, items: int) -> _Items:
        """The first items of each ability."""
        ability = self.asked.facets["ability"].code
        place = np.arange(len(ability)) - np.searchsorted(ability, ability)
        kept = place < items
        return _Items(self.asked.where(kept), self.kept[kept], self.own[:, kept])


def _items(rng: np.random.Generator, count: int, design: MergeDesign) -> _Items:
    """So many items of each ability, two to a cluster."""
    width = len(design.chance)
    names = sorted(ABILITIES)
    ability: Ints = np.repeat(np.arange(len(names)), count)
    cluster: Ints = np.arange(len(ability)) // 2
    subtask = cluster % width
    strata = tuple((name, f"subtask-{each}") for name in names for each in range(width))
    shared = rng.standard_normal(int(cluster.max()) + 1)[cluster]
    own = rng.standard_normal(len(ability))
    digest = hashlib.sha256(repr((count, design.chance)).encode()).hexdigest()
    asked = Marks(
        models=(), runs=(), suite="simulated", suite_digest=digest,
        ids=tuple(f"sim/{place:06d}" for place in range(len(ability))), strata=strata,
        stratum=ability * width + subtask, cluster=cluster, clusters=int(cluster.max()) + 1,
        chance=np.array(design.chance)[subtask], upper=np.ones(len(ability)),
        score=np.empty((0, len(ability))),
        facets={"ability": Facet(tuple(names), ability)},
        weights={name: {f"subtask-{each}": 1 / width for each in range(width)} for name in names},
    )  # fmt: skip
    kept = _TOGETHER**0.5 * shared + (1 - _TOGETHER) ** 0.5 * own
    return _Items(asked, kept, rng.standard_normal((design.parents, len(ability))))
