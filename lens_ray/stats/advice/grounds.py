"""What an advice is made from: `Grounds`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lens_ray.stats.abilities import OVERALL, in_order, in_overall
from lens_ray.stats.advice.best import sampled, weighted
from lens_ray.stats.advice.expense import Expense
from lens_ray.stats.advice.needs import Needs
from lens_ray.stats.advice.undecided import Field
from lens_ray.stats.clustered import clustered
from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.intervals import interval
from lens_ray.stats.joint import JointDraws, draw_jointly
from lens_ray.stats.marks import Marks
from lens_ray.stats.spread import spread
from lens_ray.stats.units import Floats


@dataclass(frozen=True)
class Grounds:
    """Marks, what counts of them, and their joint replicates.

    Attributes:
        marks: Of all models.
        needs: What is needed.
        weights: Of every ability, sum 1.
        figures: The abilities' corrected scores.
        draws: Joint replicates.
        values: Models x abilities: corrected scores; NaN where unknown.
        instability: By model: weighted mean of the abilities' tau; NaN where unknown.
        size: Samples that a model answered, by ability.
    """

    marks: Marks
    needs: Needs
    weights: Mapping[str, float]
    figures: Figures
    draws: JointDraws
    values: Floats
    instability: Floats
    size: Mapping[str, int]

    @staticmethod
    def of(
        marks: Marks, needs: Needs, replicates: int, size: Mapping[str, int] | None = None
    ) -> Grounds:
        """From marks and needs.

        Args:
            marks: Of all models.
            needs: What is needed.
            replicates: Of the joint bootstrap.
            size: Samples that a model answered, by ability; None takes the marked units.

        Raises:
            UserError: See `Needs.weights_of`.
        """
        abilities = in_order({ability for ability, _ in marks.strata})
        weights = needs.weights_of(abilities, in_order(in_overall(abilities)))
        figures = ability_figures(marks)
        # The same key as a leaderboard's, so that both say the same of the same runs.
        runs = sorted(marks.runs, key=lambda run: (run.model, run.run_id))
        draws = draw_jointly(marks, "\x1f".join(run.run_id for run in runs), replicates)
        counts = {
            name: sum(np.bincount(marks.stratum)[place] for place, (ability, _)
                      in enumerate(marks.strata) if ability == name)
            for name in abilities
        }  # fmt: skip
        return Grounds(
            marks=marks,
            needs=needs,
            weights=weights,
            figures=figures,
            draws=draws,
            values=draws.values(figures.only([n for n in figures.names if n != OVERALL])),
            instability=_instability(marks, draws, weights),
            size={name: int(count) for name, count in counts.items()} | dict(size or {}),
        )

    @property
    def abilities(self) -> tuple[str, ...]:
        """The abilities, in the order of `values`."""
        return tuple(name for name in self.figures.names if name != OVERALL)

    def interval(self, place: int, level: float) -> tuple[float, float]:
        """The interval of one model's score, as `lens_ray.stats.scores` makes them."""
        marks, total = self.marks, weighted(self.figures, self.weights)
        sums = clustered(marks.score[place], marks.stratum, marks.cluster, len(marks.strata))
        low, high = interval(sums, total.slope[0], level)
        return low - float(total.shift[0]), high - float(total.shift[0])

    def field(self, expenses: Mapping[str, Expense]) -> Field:
        """The models with what their answers cost."""
        total = sampled(self.draws, weighted(self.figures, self.weights), "score")
        return Field(
            draws=self.draws,
            figures=self.figures,
            weights={name: weight for name, weight in self.weights.items() if weight > 0},
            size=self.size,
            usd_per_1000={name: each.usd_per_1000 for name, each in expenses.items()},
            floor=total.floor,
        )


def _instability(marks: Marks, draws: JointDraws, weights: Mapping[str, float]) -> Floats:
    """The weighted mean of tau over the abilities that count."""
    found = spread(marks, None, draws)
    tau = found.values("tau")
    total = np.zeros(len(marks.models))
    for name, weight in weights.items():
        if weight > 0:
            total += weight * tau[:, found.names.index(name)]
    return total
