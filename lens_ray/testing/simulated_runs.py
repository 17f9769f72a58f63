"""Training runs with a known truth: `simulate`, for whoever tests what is found in a `Series`.

An item is right where its latent lies below the ability's true accuracy at the checkpoint. The
latent is normal and the sum of three parts: one that an item keeps for the whole run (shared in
part by its cluster), one that drifts slowly (AR(1) over checkpoints), and one that is new at every
checkpoint. So the expected corrected score is the truth exactly, checkpoints are correlated by
item, and 8 to 15 % of the items change between neighbours (the shipped minivlm run: 2 to 16 % at
its end). Item noise persists: an error of one checkpoint's score is mostly that of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from lens_ray.online.checkpoint import Depth
from lens_ray.online.series import Series
from lens_ray.stats.marks import Facet, Marks
from lens_ray.stats.units import Floats, Ints
from lens_ray.suites.sample import ABILITIES

Kind = Literal[
    "flat", "early_plateau", "late_rise", "second_rise", "slow_rise", "decline", "conflict",
    "random_walks",
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "flat", "early_plateau", "late_rise", "second_rise", "slow_rise", "decline", "conflict",
    "random_walks",
)  # fmt: skip

_SPLITS = ("anchor", "sealed", "search")
#: Kept within these, so that an item can change either way.
_LOWEST, _HIGHEST = 0.01, 0.97


@dataclass(frozen=True, slots=True)
class Design:
    """What a simulated run is asked, and how its items behave.

    Attributes:
        abilities: Their names.
        items: Items an ability.
        chance: Chance level of each of an ability's subtasks; so many subtasks there are.
        checkpoints: How many.
        first_step: Step of the first.
        every: Steps between two.
        kept: Share of an item's latent variance that it keeps for the run.
        slow: Share that drifts with ``persistence``.
        persistence: Correlation of the drifting part between neighbours.
        together: Share of the kept part that a cluster's items have in common.
        wobble: SD of the truth around its course, new at each checkpoint and ability.
        wander: SD of a step of a random walk that is added to the course of every ability.
        milestones: Every so many-th checkpoint is asked in full, the others on the split
            ``anchor``; None asks all in full.
    """

    abilities: tuple[str, ...] = ABILITIES
    items: int = 1000
    chance: tuple[float, ...] = (0.0, 0.1, 0.25, 0.25, 0.5)
    checkpoints: int = 30
    first_step: int = 100
    every: int = 100
    kept: float = 0.88
    slow: float = 0.05
    persistence: float = 0.8
    together: float = 0.3
    wobble: float = 0.0
    wander: float = 0.0
    milestones: int | None = None

    @property
    def steps(self) -> Ints:
        """Of the checkpoints."""
        found: Ints = self.first_step + self.every * np.arange(self.checkpoints, dtype=np.int64)
        return found


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a simulated run.

    Attributes:
        kind: Which.
        skill: Checkpoints x abilities: true corrected score.
        plateau: Place of the checkpoint from which an ability gains nothing more, for those of
            which that is true (for ``second_rise`` until it rises again).
        rises_at: Place at which an ability begins to rise late, or again.
        rises: Abilities that rise where another falls.
        falls: Abilities that fall.
        early: First and last step of the window before, to be declared before anybody looks.
        late: The same of the window after.
    """

    kind: Kind
    skill: Floats
    plateau: Mapping[str, int] = field(default_factory=dict)
    rises_at: Mapping[str, int] = field(default_factory=dict)
    rises: tuple[str, ...] = ()
    falls: tuple[str, ...] = ()
    early: tuple[int, int] = (0, 0)
    late: tuple[int, int] = (0, 0)


def simulate(
    kind: Kind, seed: int, design: Design | None = None, *, effect: float = 0.05
) -> tuple[Series, Truth]:
    """One run of six abilities (or as many as the design has) and what is true of it.

    * ``flat``: nothing changes.
    * ``early_plateau``: every ability rises and is flat from a place of its own (5 to 12) on.
    * ``late_rise``: near chance until a place of its own (16 to 22), then it rises.
    * ``second_rise``: as ``early_plateau``, and at 18 to 22 it rises by 0.15 within five.
    * ``slow_rise``: 0.3 of a point a checkpoint, all along.
    * ``decline``: one ability falls by ``effect`` within four checkpoints, from 10 to 15 on.
    * ``conflict``: one rises and another falls, each by ``effect``, over the same four.
    * ``random_walks``: each walks by itself, with steps of SD ``effect``.

    Args:
        kind: Which truth.
        seed: The same seed gives the same run.
        design: What is asked; None is the default one.
        effect: Of ``decline``, ``conflict`` and ``random_walks``, as a corrected score.

    Returns:
        The marks and the truth.
    """
    design = design or Design()
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    truth = _COURSES[kind](rng, design, effect)
    skill = truth.skill
    if design.wobble or design.wander:
        skill = skill + design.wobble * rng.standard_normal(skill.shape)
        skill = skill + np.cumsum(design.wander * rng.standard_normal(skill.shape), axis=0)
    skill = np.clip(skill, _LOWEST, _HIGHEST)
    marks = _answered(skill, design, rng)
    depth = _depths(design)
    first = design.checkpoints // 6
    windows = (first, 2 * first - 1), (design.checkpoints - first, design.checkpoints - 1)
    early, late = ((int(design.steps[a]), int(design.steps[b])) for a, b in windows)
    truth = Truth(kind, skill, truth.plateau, truth.rises_at, truth.rises, truth.falls, early, late)
    return Series(run=f"{kind}-{seed}", steps=design.steps, marks=marks, depth=depth), truth


def _flat(rng: np.random.Generator, design: Design, effect: float) -> Truth:
    return Truth("flat", _levels(rng, design), {name: 0 for name in design.abilities})


def _early_plateau(rng: np.random.Generator, design: Design, effect: float) -> Truth:
    until = rng.integers(5, 13, len(design.abilities))
    top = rng.uniform(0.5, 0.8, len(design.abilities))
    left = np.maximum(1 - _places(design) / until, 0.0)
    named = _named(design, until)
    return Truth("early_plateau", top - (top - 0.15) * left**2, named)


def _late_rise(rng: np.random.Generator, design: Design, effect: float) -> Truth:
    start = rng.integers(16, 23, len(design.abilities))
    low = rng.uniform(0.01, 0.06, len(design.abilities))
    gone = np.clip((_places(design) - start) / 6, 0.0, 1.0)
    return Truth("late_rise", low + 0.5 * gone, rises_at=_named(design, start))


def _second_rise(rng: np.random.Generator, design: Design, effect: float) -> Truth:
    first = _early_plateau(rng, design, effect)
    start = rng.integers(18, 23, len(design.abilities))
    more = 0.15 * np.clip((_places(design) - start) / 5, 0.0, 1.0)
    return Truth("second_rise", first.skill + more, first.plateau, _named(design, start))


def _slow_rise(rng: np.random.Generator, design: Design, effect: float) -> Truth:
    return Truth("slow_rise", _levels(rng, design) + 0.003 * _places(design))


def _decline(rng: np.random.Generator, design: Design, effect: float) -> Truth:
    falls = int(rng.integers(len(design.abilities)))
    skill = _levels(rng, design)
    skill[:, falls] -= effect * _ramp(rng, design)
    return Truth("decline", skill, falls=(design.abilities[falls],))


def _conflict(rng: np.random.Generator, design: Design, effect: float) -> Truth:
    rises, falls = (int(place) for place in rng.permutation(len(design.abilities))[:2])
    skill, ramp = _levels(rng, design), _ramp(rng, design)
    skill[:, rises] += effect * ramp
    skill[:, falls] -= effect * ramp
    names = design.abilities
    return Truth("conflict", skill, rises=(names[rises],), falls=(names[falls],))


def _random_walks(rng: np.random.Generator, design: Design, effect: float) -> Truth:
    skill = _levels(rng, design)
    moved = effect * rng.standard_normal(skill.shape)
    moved[0] = 0.0
    return Truth("random_walks", skill + np.cumsum(moved, axis=0))


_COURSES: dict[Kind, Callable[[np.random.Generator, Design, float], Truth]] = {
    "flat": _flat, "early_plateau": _early_plateau, "late_rise": _late_rise,
    "second_rise": _second_rise, "slow_rise": _slow_rise, "decline": _decline,
    "conflict": _conflict, "random_walks": _random_walks,
}  # fmt: skip


def _places(design: Design) -> Floats:
    return np.arange(design.checkpoints, dtype=np.float64)[:, None]


def _levels(rng: np.random.Generator, design: Design) -> Floats:
    level = rng.uniform(0.45, 0.8, len(design.abilities))
    return np.repeat(level[None], design.checkpoints, axis=0)


def _named(design: Design, places: Ints) -> dict[str, int]:
    return dict(zip(design.abilities, places.tolist(), strict=True))


def _ramp(rng: np.random.Generator, design: Design) -> Floats:
    """From 0 to 1 within four checkpoints, between the windows of `Truth`."""
    start = rng.integers(design.checkpoints // 3, design.checkpoints // 2 + 1)
    ramp: Floats = np.clip((_places(design)[:, 0] - start + 1) / 4, 0.0, 1.0)
    return ramp


@lru_cache(maxsize=8)
def _asked(design: Design) -> Marks:
    """The items, which all runs of a design share: marks of no model."""
    width, count = len(design.chance), design.items
    edges = np.linspace(0, count, width + 1).astype(np.int64)
    sizes = edges[1:] - edges[:-1]
    subtask = np.tile(np.repeat(np.arange(width), sizes), len(design.abilities))
    order = np.argsort(np.array(design.abilities), kind="stable")
    ability = np.repeat(np.argsort(order), count)
    strata = tuple((design.abilities[a], f"subtask-{s}") for a in order for s in range(width))
    stratum = ability * width + subtask
    cluster = _clusters(stratum)
    split = np.array([0, 1, 2, 1, 2, 0, 1, 2, 1, 1])[cluster % 10]
    names = tuple(f"sim/{place:06d}" for place in range(len(stratum)))
    facets = {
        "ability": Facet(tuple(sorted(design.abilities)), ability),
        "subtask": Facet(tuple(f"subtask-{s}" for s in range(width)), subtask),
        "split": Facet(_SPLITS, split),
    }
    even = {f"subtask-{s}": 1 / width for s in range(width)}
    return Marks(
        models=(), runs=(), suite="simulated", suite_digest="0" * 64, ids=names, strata=strata,
        stratum=stratum, cluster=cluster, clusters=int(cluster.max()) + 1,
        chance=np.array(design.chance)[subtask], upper=np.ones(len(stratum)),
        score=np.empty((0, len(stratum))), facets=facets,
        weights={ability: even for ability in design.abilities},
    )  # fmt: skip


def _clusters(stratum: Ints) -> Ints:
    """Two items and three in turn, all of one stratum."""
    place = np.arange(len(stratum)) - np.searchsorted(np.sort(stratum), np.sort(stratum))
    group = 2 * (place // 5) + (place % 5 > 1)
    ordered = np.empty_like(group)
    ordered[np.argsort(stratum, kind="stable")] = group
    _, cluster = np.unique(np.stack([stratum, ordered]), axis=1, return_inverse=True)
    return cluster.reshape(-1).astype(np.int64)


def _depths(design: Design) -> tuple[Depth, ...]:
    every = design.milestones or 1
    return tuple("full" if (k + 1) % every == 0 else "anchor" for k in range(design.checkpoints))


def _answered(skill: Floats, design: Design, rng: np.random.Generator) -> Marks:
    from scipy.special import ndtri

    asked = _asked(design)
    count, size = len(skill), len(asked.ids)
    shared = rng.standard_normal(asked.clusters)[asked.cluster]
    own = rng.standard_normal(size)
    kept = design.together**0.5 * shared + (1 - design.together) ** 0.5 * own
    drift, fresh = (1 - design.persistence**2) ** 0.5, (1 - design.kept - design.slow) ** 0.5
    slow = rng.standard_normal(size)
    # Of the accuracy that a corrected score and a chance level make, by ability and subtask.
    chance = np.array(design.chance)
    by_ability = np.argsort(np.array(design.abilities), kind="stable")
    accuracy = chance + (1 - chance) * skill[:, by_ability, None]
    bound = ndtri(accuracy.reshape(count, -1))
    score = np.empty((count, size))
    anchor = asked.facets["split"].code == _SPLITS.index("anchor")
    for place, depth in enumerate(_depths(design)):
        if place:
            slow = design.persistence * slow + drift * rng.standard_normal(size)
        latent = design.kept**0.5 * kept + design.slow**0.5 * slow
        latent += fresh * rng.standard_normal(size)
        right = latent < bound[place, asked.stratum]
        score[place] = right if depth == "full" else np.where(anchor, right, np.nan)
    return replace(asked, models=tuple(str(step) for step in design.steps), score=score)
