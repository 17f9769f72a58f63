"""What is said before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import CheckpointError, EnvironmentFailure
from lens_ray.models import ModelSpec
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.preflight import check_context, preflight
from lens_ray.models.protocol import Generation, Request
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


def test_a_text_that_is_longer_than_the_context_is_found_before_the_start(tmp_path: Path) -> None:
    folder = make_tiny_checkpoint(tmp_path / "tiny")
    facts = inspect_checkpoint(folder)
    assert facts.context is not None

    def asked(words: int, new: int = 8) -> list[Request]:
        return [Request("s/1", "w" * words, (), Generation(max_new_tokens=new))]

    # The tokenizer is byte-level without merges: one token a letter.
    check_context(spec(), facts, asked(facts.context - 8))
    with pytest.raises(
        CheckpointError, match=rf"sample s/1 has {facts.context - 7} tokens of text"
    ):
        check_context(spec(), facts, asked(facts.context - 7))
    short = spec(backend="vllm", options={"max_model_len": 64})
    check_context(short, facts, asked(56))
    with pytest.raises(CheckpointError, match="over max_model_len of 64; write a larger"):
        check_context(short, facts, asked(57))
    check_context(spec(), None, asked(10**6))
