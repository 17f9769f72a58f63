"""What can be said against a model before anything is started for it: `preflight`."""

from __future__ import annotations

from importlib.util import find_spec

from lens_ray.errors import CheckpointError, EnvironmentFailure
from lens_ray.models import backend_entry
from lens_ray.models.checkpoint import CheckpointFacts
from lens_ray.models.spec import ModelSpec


def preflight(spec: ModelSpec, facts: CheckpointFacts | None, *, here: bool) -> None:
    """Refuse a model whose replicas could not start.

    Args:
        spec: The model.
        facts: Of its checkpoint; None where the backend needs none.
        here: Whether its replicas run on this machine and in this environment.

    Raises:
        CheckpointError: Its attention heads cannot be split as it asks.
        EnvironmentFailure: Its backend's library is not installed.
    """
    parts = spec.tensor_parallel
    if facts is not None and facts.heads is not None and facts.heads % parts:
        fitting = [str(n) for n in range(1, facts.heads + 1) if facts.heads % n == 0]
        raise CheckpointError(
            f"{facts.folder}: tensor_parallel {parts} does not divide its {facts.heads} attention "
            f"heads; write one of {', '.join(fitting)}"
        )
    needed = backend_entry(spec.backend).requires
    elsewhere = spec.runtime_env is not None and (
        spec.runtime_env.py_executable or spec.runtime_env.pip
    )
    if needed and here and not elsewhere and find_spec(needed) is None:
        raise EnvironmentFailure(
            f"the backend {spec.backend} needs the package {needed}, which is not installed here; "
            f"type pip install 'lens-ray[{needed}]', or name a Python that has it by runtime_env: "
            "{py_executable: ...}"
        )
