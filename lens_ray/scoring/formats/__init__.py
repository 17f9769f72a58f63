"""Answer formats that work in factories, warehouses and clinics needs: `WHOLE`.

Each reads the raw text of a sample and marks it (`lens_ray.scoring.metrics.Metric.whole`); what it
needs to know besides the accepted answers stands in `Sample.meta`, as text. The table of formats
that a pack may name is `lens_ray.suites.packs.formats.FORMATS`.

* ``quantity``                       a number with its unit, within a tolerance
* ``label_set_f1``, ``label_set``    several labels of a closed list
* ``box_iou``, ``box_hit``           one region
* ``json_fields``, ``json_exact``    an object of a given shape
* ``obeys``, ``obeys_and_right``     a rule for the form of the answer
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lens_ray.scoring.formats.box import box_hit, box_iou
from lens_ray.scoring.formats.json_object import json_exact, json_fields
from lens_ray.scoring.formats.labels import label_set, label_set_f1
from lens_ray.scoring.formats.quantity import quantity
from lens_ray.scoring.formats.rules import obeys, obeys_and_right
from lens_ray.suites.sample import Sample

#: Metric name to what marks the raw text of a sample: the answer found, or None, and its score.
WHOLE: Mapping[str, Callable[[Sample, str], tuple[str | None, float]]] = {
    "quantity": quantity,
    "label_set_f1": label_set_f1,
    "label_set": label_set,
    "box_iou": box_iou,
    "box_hit": box_hit,
    "json_fields": json_fields,
    "json_exact": json_exact,
    "obeys": obeys,
    "obeys_and_right": obeys_and_right,
}

__all__ = ["WHOLE"]
