"""May a candidate take the baseline's place? A policy's rules, each GO, NO-GO or cannot say.

* `lens_ray.stats.gate.policy`      the YAML a user writes: `Policy`, `load_policy`
* `lens_ray.stats.gate.decide`      `gate` and `judge`: read it first
* `lens_ray.stats.gate.evidence`    `Check`, `Verdict`, and the errors that are held down
* `lens_ray.stats.gate.ground`      what is read of a store
* `lens_ray.stats.gate.checks`      from rules to checks
* `lens_ray.stats.gate.composites`  weighted means of abilities
* `lens_ray.stats.gate.bounds`      one-sided bounds that heed skewness
* `lens_ray.stats.gate.steady`      differences of stability
* `lens_ray.stats.gate.kept`        whether answers stay when a question is put in another way
* `lens_ray.stats.gate.planted`     fields whose truth is known
* `lens_ray.stats.gate.simulate`    operating characteristics by simulation
"""

from __future__ import annotations

from lens_ray.stats.gate.decide import gate, judge
from lens_ray.stats.gate.evidence import Check, Decision, Verdict
from lens_ray.stats.gate.policy import Policy, PolicyError, load_policy

__all__ = [
    "Check",
    "Decision",
    "Policy",
    "PolicyError",
    "Verdict",
    "gate",
    "judge",
    "load_policy",
]
