"""What being chosen adds to a gain: `optimism_of`.

The best of several trials on some samples is partly the luckiest on them, and so is the best single
checkpoint that it is compared with. What both add is estimated by Efron's bootstrap of optimism: in
each joint replicate of the samples the highest merge and the highest checkpoint are chosen anew,
and how far they are apart there is compared with how far they are apart on all samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lens_ray.stats.figures import Figures
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats

_REPLICATES = 1000


@dataclass(frozen=True, slots=True)
class Optimism:
    """The gain of the chosen trial, and how much of it is luck.

    Attributes:
        candidates: How many it was chosen from.
        gain: Of ``overall`` against the best single checkpoint, on the samples of the search.
        expected: Of that, what choosing adds on average; below 0 where the checkpoint was the
            luckier one.
    """

    candidates: int
    gain: float
    expected: float

    @property
    def corrected(self) -> float:
        """The gain to expect on other samples."""
        return self.gain - self.expected


def optimism_of(
    marks: Marks,
    figures: Figures,
    chosen: str,
    single: str,
    merges: Sequence[str],
    singles: Sequence[str],
    *,
    seed_key: str = "optimism",
) -> Optimism:
    """How much the gain of the chosen trial is too high.

    Args:
        marks: Of all of them, on the same units.
        figures: One figure: the score that was chosen by.
        chosen: Name of the trial.
        single: Name of the best single checkpoint.
        merges: Names of all merges that might have been chosen.
        singles: Names of all checkpoints that might have been the best.
        seed_key: Of the replicates.
    """
    names = [*merges, *singles]
    draws = draw_jointly(marks.only(names), seed_key, _REPLICATES)
    value = draws.values(figures)[:, 0]
    drawn = draws.replicates(figures)[:, :, 0].astype(np.float64)
    luck = _luck(drawn[:, : len(merges)], value[: len(merges)])
    luck = luck - _luck(drawn[:, len(merges) :], value[len(merges) :])
    return Optimism(
        candidates=len(merges),
        gain=float(value[names.index(chosen)] - value[names.index(single)]),
        expected=float(luck.mean()),
    )


def _luck(drawn: Floats, value: Floats) -> Floats:
    """How much higher the highest of each replicate is there than on all samples."""
    top = drawn.argmax(axis=1)
    found: Floats = drawn[np.arange(len(top)), top] - value[top]
    return found
