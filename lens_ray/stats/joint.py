"""One bootstrap for all models at once: `draw_jointly`.

Replicate b draws the same clusters for every model and every figure, so whatever is computed from
replicates (ranks, differences, probabilities of being best) keeps the pairing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lens_ray.stats.cells import Cells, cells_of, means_of
from lens_ray.stats.figures import Figures
from lens_ray.stats.marks import Marks
from lens_ray.stats.seeds import seed_of
from lens_ray.stats.units import Floats, Ints

REPLICATES = 2000
#: Replicates that are drawn at once: 250 x 12,000 counts take 12 MB.
_AT_ONCE = 250
#: Above so many clusters they get normal weights in the place of the times that they are drawn:
#: the same variances and covariances, a tenth of the time.
_MANY = 2000


@dataclass(frozen=True)
class JointDraws:
    """Replicates of the strata's mean scores.

    Attributes:
        models: Labels of the models.
        mean: Models x strata; NaN where a model has no unit.
        deviations: Replicates x models x strata: replicate minus mean, widened by
            sqrt(C / (C - 1)) for the C clusters of a stratum.
        clusters: Clusters by stratum.
        seed: That the draws were made from.
    """

    models: tuple[str, ...]
    mean: Floats
    deviations: npt.NDArray[np.float32]
    clusters: Ints
    seed: int

    def values(self, figures: Figures) -> Floats:
        """Models x figures."""
        return figures.values(self.mean)

    def replicates(self, figures: Figures) -> Floats:
        """Replicates x models x figures."""
        spread = self.deviations @ figures.slope.T.astype(np.float32)
        found: Floats = spread + self.values(figures)[None]
        return found


def draw_jointly(marks: Marks, seed_key: str, replicates: int = REPLICATES) -> JointDraws:
    """Resample the clusters of all strata, for all models together.

    Strata that share clusters are drawn together, others apart from each other (stratified).

    Args:
        marks: The marks.
        seed_key: What identifies the draw; the same key gives the same replicates.
        replicates: How many.
    """
    seed = seed_of(seed_key)
    rng = np.random.default_rng(seed)
    mean, cells = means_of(marks), cells_of(marks)
    clusters = np.bincount(cells.stratum, minlength=len(marks.strata))
    shape = (replicates, len(marks.models), len(marks.strata))
    deviations = np.zeros(shape, dtype=np.float32)
    for strata in cells.components(len(marks.strata)):
        _component(deviations, cells, strata, rng)
    widened = np.sqrt(clusters / np.maximum(clusters - 1, 1))
    deviations *= widened.astype(np.float32)
    return JointDraws(marks.models, mean, deviations, clusters, seed)


def _component(
    deviations: npt.NDArray[np.float32], cells: Cells, strata: Ints, rng: np.random.Generator
) -> None:
    """Fill in the deviations of strata whose clusters are drawn together."""
    here = np.flatnonzero(np.isin(cells.stratum, strata))
    if not len(here):
        return
    clusters, row = np.unique(cells.cluster[here], return_inverse=True)
    row = row.reshape(-1)
    residual = cells.residual[:, here].astype(np.float32)
    shares = np.full(len(clusters), 1 / len(clusters))
    for start in range(0, len(deviations), _AT_ONCE):
        block = deviations[start : start + _AT_ONCE]
        if len(clusters) > _MANY:
            times = rng.standard_normal((len(block), len(clusters)), dtype=np.float32)
        else:
            times = rng.multinomial(len(clusters), shares, size=len(block)).astype(np.float32)
        for stratum in strata.tolist():
            mine = np.flatnonzero(cells.stratum[here] == stratum)
            block[:, :, stratum] = times[:, row[mine]] @ residual[:, mine].T
