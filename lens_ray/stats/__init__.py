"""What many marks say: accuracy, stability, honest intervals, comparisons, gates and advice.

Every formula stands in ``DEFINITIONS.md`` beside this file. The map, in reading order; modules are
those of this package.

From rows to the scores of one run:

* `units`            rows become marked units: a sample, or a group that is marked as one
* `abilities`        the order of abilities, and which of them make ``overall``
* `strata`           the figures of every subtask of a run
* `scores`           `ability_scores`, `subtask_scores`, `scores_table`
* `expectation`      counts and group sizes of a choice of samples
* `twins`            does a model fail to see, or to reason
* `decision`         inspection as a decision: recall at a share of false alarms
* `further`          which of these two a pack asks for

How sure that is:

* `clustered`        sums by cluster and their variance, the ground of every interval
* `intervals`        of shares and of weighted means
* `multiplicity`     Holm
* `detectable`       power of a test, and the smallest difference that it finds
* `seeds`            from what identifies a draw to its seed

Stability:

* `pool`             the frozen pools: read, written
* `pool_making`      made of what models scored
* `dvs_res`          DVS and RES
* `entropy`          entropy of ranks, and its bounds
* `dispersion`       how widely true values spread that are known with noise
* `heterogeneity`    tau, the spread without noise
* `steadiness`       DVS, RES and tau of one model with their intervals
* `spread`           of several models: joint replicates and differences
* `pool_scores`      stored scores measured against another pool
* `answers`          what a row answers, to be compared with another version of its question
* `versions`         the same question again: variants and repeated runs
* `variance_split`   whose variance it is, the questions' or the versions'
* `model_stability`  all of this of one model of a store: `stability`

Several models on the same samples:

* `choose`           which runs are meant
* `marks`            models x units, and what is comparable
* `side_by_side`     the marks of all models that can be ranked together
* `figures`          figures as linear combinations of the subtasks' means
* `cells`            marks added up by subtask and cluster
* `joint`            one bootstrap for all models
* `mark_scores`      scores on the samples that models have in common
* `contrast`         one model against another: interval and test
* `mcnemar`          the exact test beside it
* `flips`            the samples on which two models differ
* `compare`          two models of a store
* `looks`            values of facets on which a model is weaker than on all
* `image_size`       the facet of image sizes
* `diagnose`         the looks at one model of a store
* `ranks`            ranks with their intervals
* `groups`           groups of models, such as open against closed
* `costs`            dollars and seconds of an answer
* `leaderboard`      models x abilities

Less for the same certainty:

* `asked`            the suite behind some marks
* `anchors`          estimates from anchor subsets
* `sequential`       a comparison that may be looked at as often as one likes
* `power`            what a comparison of two models sees, and how many samples more would
* `power_plan`       the same before any model was asked
* `stopping`         when an ability has been asked enough

Decisions:

* `gate`             a policy: GO, NO-GO or cannot say
* `advice`           which model, at which cost, for a use
* `frames`           results as tables
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
