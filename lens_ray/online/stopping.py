"""Whether a run's trainer is to be told to stop: `reason_to_stop`. Pure."""

from __future__ import annotations

from lens_ray.online.findings import AlarmKind, Findings
from lens_ray.online.spec import WatchSpec
from lens_ray.stats.advice.needs import OTHERS, Needs

#: Alarms that say that a model has come to nothing.
COLLAPSE: frozenset[AlarmKind] = frozenset({"broken_weights", "empty_answers", "one_answer"})


def reason_to_stop(spec: WatchSpec, findings: Findings) -> str | None:
    """Why, in one line, by what the watch file counts as an end; None to train on.

    Args:
        spec: The watch.
        findings: Of the run.
    """
    for when in spec.stop.when:
        if when == "all_converged" and _all_converged(spec, findings):
            return "every ability that counts gains no more"
        if when == "needs_met":
            met = [one for one in findings.advice if one.verdict == "needs_met"]
            if met:
                return met[0].line
        if when == "collapse":
            fallen = [one for one in findings.alarms if one.kind in COLLAPSE]
            if fallen and fallen[-1].step is not None and fallen[-1].step >= (findings.step or 0):
                return fallen[-1].line
    return None


def _all_converged(spec: WatchSpec, findings: Findings) -> bool:
    counted = [one for one in findings.convergence if counts(spec.needs, one.ability)]
    return bool(counted) and all(one.phase == "converged" for one in counted)


def counts(needs: Needs | None, ability: str) -> bool:
    """Whether an ability counts for a use; without one, or without weights, every one does."""
    if needs is None or ability in needs.min_score:
        return True
    return not needs.weights or needs.weights.get(ability, needs.weights.get(OTHERS, 0.0)) > 0
