"""Models that no other beats in every respect: `front`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lens_ray.stats.units import Bools


def front(axes: Sequence[npt.NDArray[np.float64]]) -> Bools:
    """Which models are on the Pareto front.

    A model is off it where another is at least as good in every respect and better in one. What
    is unknown of one of the two speaks for neither, so it keeps a model on the front.

    Args:
        axes: For each respect a value by model, higher is better, NaN is unknown. A respect in
            which nothing is known of any model does not count.
    """
    known = [values for values in axes if not np.isnan(values).all()]
    count = len(axes[0]) if axes else 0
    beaten = np.zeros(count, dtype=bool)
    if not known:
        return ~beaten
    for place in range(count):
        least = np.ones(count, dtype=bool)
        more = np.zeros(count, dtype=bool)
        for values in known:
            least &= values >= values[place]  # False where one is unknown
            more |= values > values[place]
        beaten[place] = bool((least & more).any())
    return ~beaten
