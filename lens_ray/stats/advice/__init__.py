"""Which model to take, for a use: scores, needs, costs and doubt made into advice.

* `lens_ray.stats.advice.needs`         what a user writes
* `lens_ray.stats.advice.advisor`       `advise`, top-down; read it first
* `lens_ray.stats.advice.result`        what it answers
* `lens_ray.stats.advice.grounds`       marks, replicates and what counts of them
* `lens_ray.stats.advice.best`          probability of being best, models that may be
* `lens_ray.stats.advice.fit`           hard needs met or missed
* `lens_ray.stats.advice.options`       one model in the light of all this
* `lens_ray.stats.advice.pareto`        the front
* `lens_ray.stats.advice.more_samples`  the value of further samples
* `lens_ray.stats.advice.undecided`     the evaluations that decide
* `lens_ray.stats.advice.combine`       models together
* `lens_ray.stats.advice.expense`       what is cheaper than what
"""

from __future__ import annotations

from lens_ray.stats.advice.advisor import advise
from lens_ray.stats.advice.needs import Needs, load_needs
from lens_ray.stats.advice.result import Advice, Option

__all__ = ["Advice", "Needs", "Option", "advise", "load_needs"]
