"""Cells of paired differences: coverage, errors of the first kind, and power as predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from jobs.benchmarks.coverage.answers import Plan, kinds_of, marks_of, sizes_of, units_of
from jobs.benchmarks.coverage.cell import Cell
from lens_ray.stats.contrast import Difference, contrast
from lens_ray.stats.detectable import power_of
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.units import Floats, Ints


@dataclass(frozen=True)
class Pair:
    """A subtask that two models answer.

    Attributes:
        plan: Its units.
        better: Share of units that only the first has right.
        worse: Share of units that only the second has right.
        weight: Weight in the ability.
    """

    plan: Plan
    better: float
    worse: float
    weight: float = 1.0

    def drawn(self, rng: np.random.Generator) -> tuple[Floats, Ints]:
        """Differences and clusters of a run."""
        shares = (self.worse, 1 - self.better - self.worse, self.better)
        kind, cluster = kinds_of(rng, self.plan, shares, sizes_of(rng, self.plan))
        return kind.astype(np.float64) - 1, cluster

    @property
    def effect(self) -> float:
        """True difference of the corrected scores."""
        return (self.better - self.worse) / (1 - self.plan.chance)


def compared(rng: np.random.Generator, pairs: Sequence[Pair]) -> Difference:
    """What `contrast` finds in one run."""
    units = units_of([each.drawn(rng) for each in pairs], [each.plan for each in pairs])
    # Right where only one is right; where none is ahead it does not matter.
    ahead = units.score
    models = {"a": np.maximum(ahead, 0.0), "b": np.maximum(-ahead, 0.0)}
    weights = {f"t{place:02d}": each.weight for place, each in enumerate(pairs)}
    marks = marks_of(units, models, weights)
    return contrast(marks, "a", "b", ability_figures(marks).only(["ocr"]))[0]


def held(rng: np.random.Generator, pairs: Sequence[Pair]) -> tuple[bool, float] | None:
    """Whether the interval holds the true difference; its width."""
    found = compared(rng, pairs)
    if found.ci_low is None or found.ci_high is None:
        return None
    total = sum(each.weight for each in pairs)
    truth = sum(each.weight * each.effect for each in pairs) / total
    return found.ci_low <= truth <= found.ci_high, found.ci_high - found.ci_low


def seen(rng: np.random.Generator, pairs: Sequence[Pair]) -> tuple[bool, float] | None:
    """Whether a difference is found at 5 %; the width of its interval."""
    found = compared(rng, pairs)
    if found.p is None or found.ci_low is None or found.ci_high is None:
        return None
    return found.p <= 0.05, found.ci_high - found.ci_low


def cell(name: str, *pairs: Pair, rare: bool = False) -> Cell:
    """Coverage; ``rare`` where fewer than five pairs of either kind are expected."""
    most = 1.0 if rare else 0.97
    return Cell("difference", name, 0.93, most, partial(held, pairs=pairs))


def null(name: str, *pairs: Pair) -> Cell:
    """The test's errors where there is no difference: at most 6 %."""
    return Cell("false finds", name, 0.0, 0.06, partial(seen, pairs=pairs))


def power(name: str, pair: Pair) -> Cell:
    """The share that is found: within 3 points of `power_of`."""
    predicted = predicted_power(pair)
    return Cell(
        "power", f"{name}: {predicted:.3f} predicted", predicted - 0.03, predicted + 0.03,
        partial(seen, pairs=(pair,)),
    )  # fmt: skip


def predicted_power(pair: Pair) -> float:
    """From the truth: the variance of a difference, and how the units of a cluster are alike."""
    difference, plan = pair.better - pair.worse, pair.plan
    sizes = np.arange(1, plan.most + 1)
    units = plan.clusters * sizes.mean()
    design = 1 + plan.alike * ((sizes**2).mean() / sizes.mean() - 1)
    variance = (pair.better + pair.worse - difference**2) / units * design
    return power_of(difference, math.sqrt(variance), plan.clusters - 1)


CELLS: tuple[Cell, ...] = (
    cell("n 100, 8 % and 5 % differ", Pair(Plan(100), 0.08, 0.05)),
    cell("n 300, 1 % and 0 % differ", Pair(Plan(300), 0.01, 0.0), rare=True),
    cell("n 3000, 1 % and 1 % differ", Pair(Plan(3000), 0.01, 0.01)),
    cell("20 clusters of 1-8 alike 0.3, 25 % and 10 %", Pair(Plan(20, 8, 0.3), 0.25, 0.1)),
    cell(
        "1000 and 30, equal weights, 15 % and 10 %",
        Pair(Plan(1000), 0.15, 0.15), Pair(Plan(30), 0.1, 0.0), rare=True,
    ),
    null("n 100, 5 % and 5 % differ", Pair(Plan(100), 0.05, 0.05)),
    null(
        "6 x 20 clusters of 1-8 alike 0.5, chance 0 and 0.5",
        *(Pair(Plan(20, 8, 0.5, chance), 0.15, 0.15) for chance in (0.0, 0.5) for _ in range(3)),
    ),
    power("n 300", Pair(Plan(300), 0.12, 0.05)),
    power("60 clusters of 1-8 alike 0.3", Pair(Plan(60, 8, 0.3), 0.25, 0.1)),
)  # fmt: skip
