"""lens-ray: vision-language models evaluated per ability on Ray.

The map, in the order in which a sample travels:

* `lens_ray.evaluate`   the main job, top-down; read it first
* `lens_ray.watching`   a watch, whole: checkpoints of a training run as they appear
* `lens_ray.searching`  a merge looked for; `repairing`, `verifying` (`asking_merges`): then
* `lens_ray.warm`       the same job, asked by replicas that stay
* `lens_ray.job`        the YAML a user writes
* `lens_ray.suites`     what is asked: `Sample`, `Suite`, the built-in suite ``mini``
* `lens_ray.models`     who answers: `ModelSpec`, the `Backend` protocol, transformers, providers
* `lens_ray.engine`     how work is spread over Ray: ledger, planner, coordinator, replica
* `lens_ray.scoring`    how one answer is marked
* `lens_ray.store`      where rows live: a folder or S3, one commit protocol
* `lens_ray.stats`      what many marks say: accuracy, stability, intervals
* `lens_ray.online`     checkpoints as they appear: convergence, conflict, advice
* `lens_ray.merging`    checkpoints made into one: recipes, methods, search, verification
* `lens_ray.imports`    other tools' results become runs
* `lens_ray.report`     what people look at
* `lens_ray.prices`     what accelerators and tokens cost
* `lens_ray.cli`        one file a verb
* `lens_ray.node_cache` what a machine keeps of suites and checkpoints that lie elsewhere
* `lens_ray.testing`    fakes that users may use too
* `lens_ray.errors`     every exception, as a tree

Importing this package imports neither torch, ray nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lens_ray.errors import LensError

if TYPE_CHECKING:
    from lens_ray.evaluate import RunReport, evaluate
    from lens_ray.job import JobSpec, load_job
    from lens_ray.merging import merge
    from lens_ray.models.spec import ModelSpec
    from lens_ray.repairing import repair_merge
    from lens_ray.searching import search_merges
    from lens_ray.stats.advice import Advice, Needs, advise, load_needs
    from lens_ray.stats.anchors import estimate
    from lens_ray.stats.compare import compare
    from lens_ray.stats.diagnose import diagnose
    from lens_ray.stats.gate import gate
    from lens_ray.stats.leaderboard import leaderboard
    from lens_ray.stats.model_stability import Stability, stability
    from lens_ray.stats.power import measured_power
    from lens_ray.stats.power_plan import planned_power
    from lens_ray.stats.sequential import compare_sequentially
    from lens_ray.store import Store
    from lens_ray.suites.sample import Sample
    from lens_ray.suites.suite import Suite, load_suite
    from lens_ray.verifying import verify_merge
    from lens_ray.watching import watch

_HOME = {
    "Advice": "lens_ray.stats.advice",
    "JobSpec": "lens_ray.job",
    "ModelSpec": "lens_ray.models.spec",
    "Needs": "lens_ray.stats.advice",
    "RunReport": "lens_ray.evaluate",
    "Sample": "lens_ray.suites.sample",
    "Stability": "lens_ray.stats.model_stability",
    "Store": "lens_ray.store",
    "Suite": "lens_ray.suites.suite",
    "advise": "lens_ray.stats.advice",
    "compare": "lens_ray.stats.compare",
    "compare_sequentially": "lens_ray.stats.sequential",
    "diagnose": "lens_ray.stats.diagnose",
    "estimate": "lens_ray.stats.anchors",
    "evaluate": "lens_ray.evaluate",
    "gate": "lens_ray.stats.gate",
    "leaderboard": "lens_ray.stats.leaderboard",
    "load_job": "lens_ray.job",
    "load_needs": "lens_ray.stats.advice",
    "load_suite": "lens_ray.suites.suite",
    "measured_power": "lens_ray.stats.power",
    "merge": "lens_ray.merging",
    "planned_power": "lens_ray.stats.power_plan",
    "repair_merge": "lens_ray.repairing",
    "search_merges": "lens_ray.searching",
    "stability": "lens_ray.stats.model_stability",
    "verify_merge": "lens_ray.verifying",
    "watch": "lens_ray.watching",
}

__all__ = [
    "Advice",
    "JobSpec",
    "LensError",
    "ModelSpec",
    "Needs",
    "RunReport",
    "Sample",
    "Stability",
    "Store",
    "Suite",
    "advise",
    "compare",
    "compare_sequentially",
    "diagnose",
    "estimate",
    "evaluate",
    "gate",
    "leaderboard",
    "load_job",
    "load_needs",
    "load_suite",
    "measured_power",
    "merge",
    "planned_power",
    "repair_merge",
    "search_merges",
    "stability",
    "verify_merge",
    "watch",
]


def __getattr__(name: str) -> object:
    """Import a public name from its module at first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'lens_ray' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
