"""What is said before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import CheckpointError, EnvironmentFailure
from lens_ray.models import ModelSpec
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.preflight import preflight
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint


def spec(**given: object) -> ModelSpec:
    return ModelSpec.model_validate({"name": "m", "path": "somewhere", **given})


def test_heads_are_split_evenly_or_not_at_all(tmp_path: Path) -> None:
    facts = inspect_checkpoint(make_tiny_checkpoint(tmp_path / "tiny"))
    assert facts.heads is not None
    preflight(spec(tensor_parallel=facts.heads), facts, here=False)
    with pytest.raises(
        CheckpointError, match=rf"does not divide its {facts.heads} attention heads"
    ):
        preflight(spec(tensor_parallel=facts.heads + 1), facts, here=False)


def test_a_backend_that_is_not_installed_where_it_would_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lens_ray.models.preflight.find_spec", lambda name: None)
    with pytest.raises(EnvironmentFailure, match=r"pip install 'lens-ray\[vllm\]'"):
        preflight(spec(backend="vllm"), None, here=True)
    preflight(spec(backend="vllm"), None, here=False)
    preflight(spec(), None, here=True)
    other = {"py_executable": "/opt/vllm/bin/python"}
    preflight(spec(backend="vllm", runtime_env=other), None, here=True)
