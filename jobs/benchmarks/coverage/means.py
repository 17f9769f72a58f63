"""Cells of coverage of proportions, clustered means, composites and corrected scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from jobs.benchmarks.coverage.answers import Plan, kinds_of, sizes_of, units_of
from jobs.benchmarks.coverage.cell import Cell
from lens_ray.stats.strata import Strata
from lens_ray.stats.units import Floats, Ints


@dataclass(frozen=True)
class Subtask:
    """A subtask, its true share of right answers and its weight in the ability.

    Attributes:
        plan: Its units.
        truth: True mean score.
        weight: Weight of its corrected score.
        partly: Whether a right answer's score is drawn from (0.5, 1], with the mean 0.75.
    """

    plan: Plan
    truth: float
    weight: float = 1.0
    partly: bool = False

    @property
    def corrected(self) -> float:
        """True corrected score."""
        mean = self.truth * 0.75 if self.partly else self.truth
        return (mean - self.plan.chance) / (1 - self.plan.chance)

    def drawn(self, rng: np.random.Generator) -> tuple[Floats, Ints]:
        """Scores and clusters of a run."""
        shares = (1 - self.truth, self.truth)
        kind, cluster = kinds_of(rng, self.plan, shares, sizes_of(rng, self.plan))
        score = kind.astype(np.float64)
        return (score * rng.uniform(0.5, 1, len(score)) if self.partly else score), cluster


def once(rng: np.random.Generator, subtasks: Sequence[Subtask]) -> tuple[bool, float]:
    """Whether the interval of one run's weighted corrected score holds the truth; its width."""
    total = sum(each.weight for each in subtasks)
    weights = {place: each.weight / total for place, each in enumerate(subtasks)}
    truth = sum(weights[place] * each.corrected for place, each in enumerate(subtasks))
    units = units_of([each.drawn(rng) for each in subtasks], [each.plan for each in subtasks])
    strata = Strata(units)
    estimate = sum(weights[place] * strata.corrected(place) for place in weights)
    low, high = strata.interval(weights, estimate)
    return low <= truth <= high, high - low


def cell(kind: str, name: str, *subtasks: Subtask, rare: bool = False) -> Cell:
    """A cell; ``rare`` where fewer than five successes or failures are expected."""
    return Cell(kind, name, 0.93, 1.0 if rare else 0.97, partial(once, subtasks=subtasks))


def share(n: int, truth: float) -> Cell:
    """A single proportion."""
    rare = n * min(truth, 1 - truth) < 5
    return cell("proportion", f"n {n}, truth {truth:g}", Subtask(Plan(n), truth), rare=rare)


def clustered(clusters: int, alike: float, truth: float, partly: bool = False) -> Cell:
    """A mean over clusters of 1 to 8."""
    name = f"{clusters} clusters of 1-8 alike {alike:g}, truth {truth:g}"
    rare = clusters * 4.5 * min(truth, 1 - truth) < 5
    subtask = Subtask(Plan(clusters, 8, alike), truth, partly=partly)
    return cell("mean", name + (", partial scores" if partly else ""), subtask, rare=rare)


CELLS: tuple[Cell, ...] = (
    share(30, 0.25),
    share(30, 0.98),
    share(100, 0.98),
    share(300, 0.005),
    share(300, 0.5),
    share(3000, 0.98),
    clustered(20, 0.3, 0.5),
    clustered(20, 0.6, 0.02),
    clustered(40, 0.3, 0.25),
    clustered(200, 0.5, 0.98),
    clustered(400, 0.3, 0.02),
    clustered(40, 0.5, 0.8, partly=True),
    cell(
        "composite", "5 x 100, truths 0.97 to 0.999",
        *(Subtask(Plan(100), truth) for truth in (0.995, 0.99, 0.98, 0.999, 0.97)),
    ),
    cell(
        "composite", "18 x 33, truths 0.3 to 0.98",
        *(Subtask(Plan(33), 0.3 + 0.04 * place) for place in range(18)),
    ),
    cell(
        "composite", "1000 and 30, equal weights, truths 0.5 and 0.95",
        Subtask(Plan(1000), 0.5), Subtask(Plan(30), 0.95), rare=True,
    ),
    cell(
        "corrected", "3 x 60 at chance 0, 0.25, 0.5",
        Subtask(Plan(60, chance=0.5), 0.5), Subtask(Plan(60, chance=0.25), 0.25),
        Subtask(Plan(60), 0.02),
    ),
    cell(
        "corrected", "3 x 40 clusters of 1-8 alike 0.3, truth 0.9",
        *(Subtask(Plan(40, 8, 0.3, chance), 0.9) for chance in (0.5, 0.25, 0.0)),
    ),
)  # fmt: skip
