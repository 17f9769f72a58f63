"""DVS and RES of one model over an ability's subtasks, against a frozen pool: `dvs_and_res`.

* DVS: the standard deviation (ddof 1) over the subtasks of z = (score - mean) / std, with mean
  and std (ddof 1) over the pool's models.
* RES: the Shannon entropy, natural logarithm, of the distribution of the model's ranks over the
  subtasks. Its rank on a subtask is 1 + the number of pool models that score strictly higher
  (competition rank, ties share the better one), so a pool that holds the model itself gives the
  same rank as one without.

Lower is steadier, for both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from statistics import fmean, stdev

from lens_ray.stats.entropy import TIE, entropy_of
from lens_ray.stats.pool import Pool


def dvs_and_res(
    corrected: Mapping[str, float], ability: str, pool: Pool | None
) -> tuple[float | None, float | None, str | None]:
    """DVS and RES of a model on an ability.

    Args:
        corrected: The model's corrected score by subtask.
        ability: The ability.
        pool: The frozen pool.

    Returns:
        DVS, RES, and why one of them is None.
    """
    if pool is None:
        return None, None, "no pool for this suite"
    if len(corrected) < 2:
        return None, None, f"stability needs 2 subtasks, {ability} has {len(corrected)}"
    z_scores: list[float] = []
    ranks: Counter[int] = Counter()
    flat: str | None = None
    for subtask, own in sorted(corrected.items()):
        others = pool.corrected(ability, subtask)
        if others is None:
            return None, None, f"pool {pool.label} lacks {ability}/{subtask}"
        ranks[1 + sum(other > own + TIE for other in others)] += 1
        spread = stdev(others) if len(others) > 1 else 0.0
        if spread <= TIE:
            flat = flat or subtask
        else:
            z_scores.append((own - fmean(others)) / spread)
    dvs = None if flat else stdev(z_scores)
    reason = f"pool {pool.label} has no spread on {ability}/{flat}" if flat else None
    return dvs, entropy_of(ranks.values()), reason
