"""How one answer is marked: extraction, metrics, and the row that is stored.

* `lens_ray.scoring.extract`   the answer in a text, and how it was found
* `lens_ray.scoring.metrics`   `METRICS` and `score`
* `lens_ray.scoring.published` the marking rules of public benchmarks, one file each
* `lens_ray.scoring.row`       `make_row`: sample + completion + context
* `lens_ray.scoring.rescore`   `remark`: stored answers marked again
"""

from __future__ import annotations

from lens_ray.scoring.extract import Extraction, extract
from lens_ray.scoring.metrics import METRICS, Metric, find_metric, score
from lens_ray.scoring.row import RowContext, make_row, make_unanswered

__all__ = [
    "METRICS",
    "Extraction",
    "Metric",
    "RowContext",
    "extract",
    "find_metric",
    "make_row",
    "make_unanswered",
    "score",
]
