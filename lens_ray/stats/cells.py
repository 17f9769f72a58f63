"""Marks added up by subtask and by cluster: `means_of`, `cells_of`.

Every comparison of models starts from these: a figure is linear in the means, and the residuals say
how far each cluster moves them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lens_ray.stats.clustered import components
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats, Ints


@dataclass(frozen=True)
class Cells:
    """Units added up by (cluster, stratum), sorted by cluster.

    Attributes:
        stratum: Stratum of each cell.
        cluster: Cluster of each cell.
        residual: Models x cells: sum of (score - the model's mean) over the cell's units, divided
            by the model's units in the stratum.
    """

    stratum: Ints
    cluster: Ints
    residual: Floats

    def components(self, strata: int) -> list[Ints]:
        """The strata in sets that share no cluster; of as many strata as there are."""
        return components(self.stratum, self.cluster, strata)


def means_of(marks: Marks) -> Floats:
    """Mean score by model and stratum; NaN where a model has no unit."""
    answered = marks.answered
    known = np.where(answered, marks.score, 0.0)
    width = len(marks.strata)
    total = np.stack([np.bincount(marks.stratum, weights=row, minlength=width) for row in known])
    size = np.stack([np.bincount(marks.stratum, weights=row, minlength=width) for row in answered])
    found: Floats = np.divide(total, size, out=np.full(total.shape, np.nan), where=size > 0)
    return found


def cells_of(marks: Marks) -> Cells:
    """The linear influence of every cluster on every stratum's mean."""
    width = len(marks.strata)
    present, inverse = np.unique(marks.cluster * width + marks.stratum, return_inverse=True)
    inverse = inverse.reshape(-1)
    mean = means_of(marks)
    residual = np.empty((len(marks.models), len(present)))
    for place, row in enumerate(marks.score):
        known = ~np.isnan(row)
        size = np.bincount(marks.stratum[known], minlength=width)
        apart = np.where(known, row - mean[place, marks.stratum], 0.0)
        apart = apart / np.maximum(size, 1)[marks.stratum]
        residual[place] = np.bincount(inverse, weights=apart, minlength=len(present))
    return Cells(present % width, present // width, residual)
