"""A fast attention that is wrong at some lengths is found, and not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from lens_ray.models.attention_check import first_wrong_length
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.hosted_model import HostedModel
from lens_ray.models.spec import TransformersOptions
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

CPU = torch.device("cpu")
TRUE = functional.scaled_dot_product_attention


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_real_one_is_right(dtype: torch.dtype) -> None:
    assert first_wrong_length(2, 16, dtype, CPU, 80) is None


def sees_only_itself(query: Any, key: Any, value: Any, **given: Any) -> Any:
    """What was seen on a GPU: at 129 positions, the last of a masked batch saw itself alone."""
    seen = TRUE(query, key, value, **given)
    if key.shape[2] == 129 and given.get("attn_mask") is not None:
        seen[:, :, -1] = value[:, :, -1]
    return seen


def not_a_number(query: Any, key: Any, value: Any, **given: Any) -> Any:
    seen = TRUE(query, key, value, **given)
    return seen * torch.nan if query.shape[2] == 1 and key.shape[2] == 33 else seen


def wrong_for_views(query: Any, key: Any, value: Any, **given: Any) -> Any:
    """What was seen on H200s: one key head that stands for several as a view, from 65 positions."""
    seen = TRUE(query, key, value, **given)
    if key.stride(1) == 0 and key.shape[2] >= 65 and given.get("attn_mask") is not None:
        seen[:, :, -1] = value[:, :, -1]
    return seen


def test_heads_are_laid_out_as_the_model_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional, "scaled_dot_product_attention", wrong_for_views)
    assert first_wrong_length(2, 16, torch.float32, CPU, 80, key_heads=1) == 65
    assert first_wrong_length(2, 16, torch.float32, CPU, 80) is None


@pytest.mark.parametrize(("broken", "length"), [(sees_only_itself, 129), (not_a_number, 33)])
def test_a_wrong_one_is_found(monkeypatch: pytest.MonkeyPatch, broken: Any, length: int) -> None:
    monkeypatch.setattr(functional, "scaled_dot_product_attention", broken)
    assert first_wrong_length(2, 16, torch.float32, CPU, 140) == length
    assert first_wrong_length(2, 16, torch.float32, CPU, length - 1) is None


def test_a_model_on_such_a_device_uses_the_formula(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = inspect_checkpoint(str(make_tiny_checkpoint(tmp_path / "tiny")))
    model = HostedModel(facts, TransformersOptions())
    assert model.attention == "sdpa"
    model._settle_attention()
    assert model.attention == "sdpa"
    monkeypatch.setattr(functional, "scaled_dot_product_attention", sees_only_itself)
    model._settle_attention()
    assert model.attention == "eager (sdpa is wrong at 129 positions on this device)"
    assert model.model.config._attn_implementation == "eager"
