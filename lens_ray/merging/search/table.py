"""What trials scored on one ground, side by side: `Table`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lens_ray.errors import CannotSay
from lens_ray.merging.record import Score
from lens_ray.stats.abilities import OVERALL, in_order
from lens_ray.stats.advice.best import weighted
from lens_ray.stats.cells import means_of
from lens_ray.stats.contrast import Difference, contrast
from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.mark_scores import scores_of_marks
from lens_ray.stats.marks import Marks


@dataclass(frozen=True)
class Table:
    """Marks of some trials on the units that all of them answered.

    Attributes:
        marks: The marks.
        figures: Corrected score of each ability, then ``overall`` as the search weighs them.
        confidence: Of intervals, and of one-sided bounds.
    """

    marks: Marks
    figures: Figures
    confidence: float

    @property
    def abilities(self) -> tuple[str, ...]:
        """Those that were asked."""
        return self.figures.names[:-1]

    @cached_property
    def values(self) -> dict[str, dict[str, float]]:
        """Corrected scores by trial, by ability and ``overall``."""
        found = self.figures.values(means_of(self.marks))
        return {
            model: dict(zip(self.figures.names, row.tolist(), strict=True))
            for model, row in zip(self.marks.models, found, strict=True)
        }

    def scores(self, names: Sequence[str]) -> dict[str, dict[str, Score]]:
        """The same with intervals, of some trials."""
        found = scores_of_marks(self.marks.only(names), self.figures)
        return {
            model: {
                name: Score(value=each.corrected, low=each.ci_low, high=each.ci_high, n=each.n)
                for name, each in scores.items()
            }
            for model, scores in found.items()
        }

    def differences(
        self, a: str, b: str, *, one_sided: bool = False, with_mde: bool = False
    ) -> dict[str, Difference]:
        """How far a trial is ahead of another, by ability and ``overall``, paired.

        Args:
            a: The one that is ahead where a difference is positive.
            b: The other.
            one_sided: Whether ``ci_low`` is to hold with the confidence by itself, as bounds do,
                not both bounds together, as intervals do.
            with_mde: See `lens_ray.stats.contrast.contrast`.
        """
        level = 2 * self.confidence - 1 if one_sided else self.confidence
        found = contrast(self.marks, a, b, self.figures, confidence=level, with_mde=with_mde)
        return {each.figure: each for each in found}

    @property
    def overall(self) -> Figures:
        """``overall`` alone."""
        return self.figures.only([OVERALL])


def table_of(marks: Marks, weights: Mapping[str, float] | None, confidence: float) -> Table:
    """Line up some marks.

    Args:
        marks: Of all trials.
        weights: Of the abilities in ``overall``; None weighs them as `ability_figures` does.
        confidence: Of intervals and bounds.

    Raises:
        CannotSay: No question was answered by all, or an ability that counts has no score.
    """
    common = marks.common()
    if not common.ids:
        raise CannotSay(
            f"{' and '.join(marks.models[:2])} answered no question that all others answered too; "
            "look at their rows with `lens-ray query`"
        )
    figures = ability_figures(common)
    if weights is not None:
        abilities = in_order(figures.names)
        total = weighted(figures, {name: weights.get(name, 0.0) for name in abilities}, OVERALL)
        figures = _joined(figures.only(abilities), total)
    for name, why in figures.reasons.items():
        raise CannotSay(f"no score of {name} on the samples of this search: {why}")
    return Table(common, figures, confidence)


def _joined(abilities: Figures, total: Figures) -> Figures:
    return Figures(
        (*abilities.names, *total.names),
        np.vstack([abilities.slope, total.slope]),
        np.concatenate([abilities.shift, total.shift]),
        {**abilities.reasons, **total.reasons},
    )
