"""What many marks say: accuracy, chance-corrected scores, intervals, stability.

* `lens_ray.stats.scores`       `ability_scores`, `subtask_scores`, `scores_table`
* `lens_ray.stats.strata`       the figures of every subtask of a run
* `lens_ray.stats.units`        rows become marked units (group-bys)
* `lens_ray.stats.intervals`    stratified cluster bootstrap
* `lens_ray.stats.dvs_res`    DVS and RES
* `lens_ray.stats.steadiness`   DVS, RES and tau of one model with their intervals
* `lens_ray.stats.spread`       the same of models side by side: joint replicates, differences
* `lens_ray.stats.pool`         the frozen pools they are measured against
* `lens_ray.stats.versions`     the same questions again: variants and repeated runs
* `lens_ray.stats.expectation`  counts, weights and group sizes of a choice of samples
"""

from __future__ import annotations

from lens_ray.stats.pool import Pool, load_pool, make_pool, pool_for, save_pool
from lens_ray.stats.scores import (
    SCORED_COLUMNS,
    AbilityScore,
    ability_scores,
    scores_table,
    subtask_scores,
)
from lens_ray.stats.strata import SubtaskScore

__all__ = [
    "SCORED_COLUMNS",
    "AbilityScore",
    "Pool",
    "SubtaskScore",
    "ability_scores",
    "load_pool",
    "make_pool",
    "pool_for",
    "save_pool",
    "scores_table",
    "subtask_scores",
]
