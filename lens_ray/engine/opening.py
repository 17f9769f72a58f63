"""Suite and checkpoint as an actor finds them, which may be on another machine than the driver."""

from __future__ import annotations

import os
from pathlib import Path

from lens_ray.engine.plan import EnginePlan, ModelPlan
from lens_ray.errors import CheckpointError, StoreUnavailable, SuiteError
from lens_ray.models import backend_entry
from lens_ray.models.checkpoint import resolve
from lens_ray.models.remote import held_copy, is_brought
from lens_ray.suites.copies import local_copy
from lens_ray.suites.files import is_url
from lens_ray.suites.suite import Suite, load_suite, read_suite


def open_suite(plan: EnginePlan, notes: list[str] | None = None) -> Suite:
    """The plan's suite: this machine's copy of a URL, else the driver's folder, else by its name.

    Args:
        plan: The job.
        notes: Gets a line for the log where the suite is read from afar.

    Raises:
        SuiteError: It is not here, or another one lies in its place.
        EnvironmentFailure: Its URL cannot be reached.
    """
    where = plan.suite_location
    if is_url(where):
        try:
            return local_copy(where, plan.suite, plan.suite_digest)
        except StoreUnavailable as error:
            suite = read_suite(where)
            if notes is not None:
                notes.append(f"suite {plan.suite} is read from afar for each image: {error}")
    elif Path(where).is_dir():
        suite = read_suite(where)
    else:
        suite = _by_name(plan)
    if suite.digest != plan.suite_digest:
        raise SuiteError(
            f"suite {plan.suite}: {plan.suite_location} now holds digest {suite.digest[:12]}, "
            f"not {plan.suite_digest[:12]}; start again"
        )
    return suite


def _by_name(plan: EnginePlan) -> Suite:
    name = f"{plan.suite}@{plan.suite_digest[:12]}"
    try:
        return load_suite(f"{plan.suite}@{plan.suite_digest}")
    except SuiteError as error:
        raise SuiteError(
            f"suite {name}: {os.uname().nodename} has neither {plan.suite_location} nor the suite "
            f"itself; where the driver is, type `lens-ray suite build {plan.suite_location} "
            "--out s3://BUCKET/PREFIX`, and give that URL as the job's suite"
        ) from error


def find_weights(model: ModelPlan) -> str:
    """The checkpoint folder of a model: where the driver found it, else found again from here.

    A copy of a URL, or a merge that was made here, is in use by this process until
    `lens_ray.node_cache.release`.

    Raises:
        CheckpointError: It is not here either, or has changed since the job began.
        StoreUnavailable: Its URL cannot be reached, or there is no room for a copy.
    """
    weights, path = model.identity.weights, model.spec.path
    if not backend_entry(model.spec.backend).needs_checkpoint:
        return weights
    if is_brought(path):
        found = held_copy(weights) or resolve(path, model.spec.revision)
        if Path(found).name != Path(weights).name:
            raise CheckpointError(f"{path} has changed since the job began; start it again")
        return found
    return weights if Path(weights).is_dir() else resolve(path, model.spec.revision)
