"""A short fine-tune of a merge on a small calibration mix, and whether it was worth it.

`repair` trains (a merge, or any checkpoint, with the same examples in the same order), `apart`
refuses examples that evaluation asks too, `judge` compares what came out. Below `repair`, which
stands in `make`: `plan` says how it trains, `train` does it, `write` makes the folder, `record` is
what lies in it.
"""

from __future__ import annotations

from lens_ray.merging.repair.apart import refuse_overlap
from lens_ray.merging.repair.judge import RepairVerdict, judge
from lens_ray.merging.repair.make import read_repair, repair
from lens_ray.merging.repair.plan import RepairPlan
from lens_ray.merging.repair.record import FILE, RepairRecord

__all__ = [
    "FILE",
    "RepairPlan",
    "RepairRecord",
    "RepairVerdict",
    "judge",
    "read_repair",
    "refuse_overlap",
    "repair",
]
