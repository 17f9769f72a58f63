"""What being chosen adds to a gain: `optimism_of`.

The best of several trials on some samples is partly the luckiest on them. How much that adds is
estimated by the bootstrap of Efron's optimism: in each joint replicate of the samples the highest
trial is chosen, and what it has in the replicate is compared with what it has on all samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lens_ray.stats.figures import Figures
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks

_REPLICATES = 1000


@dataclass(frozen=True, slots=True)
class Optimism:
    """The gain of the chosen trial, and how much of it is luck.

    Attributes:
        candidates: How many it was chosen from.
        gain: Of ``overall`` against the best single checkpoint, on the samples of the search.
        expected: Of that, what choosing adds on average.
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
    reference: str,
    among: Sequence[str],
    *,
    seed_key: str = "optimism",
) -> Optimism:
    """How much the gain of the chosen trial is too high.

    Args:
        marks: Of all of them, on the same units.
        figures: One figure: the score that was chosen by.
        chosen: Name of the trial.
        reference: Name of the checkpoint that it is compared with.
        among: Names of all trials that might have been chosen.
        seed_key: Of the replicates.
    """
    names = [*among, reference]
    draws = draw_jointly(marks.only(names), seed_key, _REPLICATES)
    value = draws.values(figures)[:, 0]
    drawn = draws.replicates(figures)[:, :, 0].astype(np.float64)
    gains, apart = value[:-1] - value[-1], drawn[:, :-1] - drawn[:, -1:]
    top = apart.argmax(axis=1)
    lucky = apart[np.arange(len(top)), top] - gains[top]
    return Optimism(
        candidates=len(among),
        gain=float(gains[list(among).index(chosen)]),
        expected=max(float(lucky.mean()), 0.0),
    )
