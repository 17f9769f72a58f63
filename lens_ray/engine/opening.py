"""Suite and checkpoint as an actor finds them, which may be on another machine than the driver."""

from __future__ import annotations

from pathlib import Path

from lens_ray.engine.plan import EnginePlan, ModelPlan
from lens_ray.errors import SuiteError
from lens_ray.models import backend_entry
from lens_ray.models.checkpoint import resolve
from lens_ray.suites.suite import Suite, load_suite, read_suite


def open_suite(plan: EnginePlan) -> Suite:
    """The plan's suite: where the driver has it, else by its name and digest.

    Raises:
        SuiteError: It is not here, or another one lies in its place.
    """
    here = "://" in plan.suite_location or Path(plan.suite_location).is_dir()
    if here:
        suite = read_suite(plan.suite_location)
    else:
        suite = load_suite(f"{plan.suite}@{plan.suite_digest}")
    if suite.digest != plan.suite_digest:
        raise SuiteError(
            f"suite {plan.suite}: {plan.suite_location} now holds digest {suite.digest[:12]}, "
            f"not {plan.suite_digest[:12]}; start again"
        )
    return suite


def find_weights(model: ModelPlan) -> str:
    """The checkpoint folder of a model: where the driver found it, else found again from here.

    Raises:
        CheckpointError: It is not here either.
    """
    weights = model.identity.weights
    if not backend_entry(model.spec.backend).needs_checkpoint or Path(weights).is_dir():
        return weights
    return resolve(model.spec.path, model.spec.revision)
