"""LoRA adapters folded into a parent while it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lens_ray.errors import UserError
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.recipe import Recipe
from tests.merging.folders import checkpoint, numbers, weights_of


def _adapter(folder: Path, module: str, a: torch.Tensor, b: torch.Tensor) -> str:
    folder.mkdir()
    config = {"peft_type": "LORA", "r": a.shape[0], "lora_alpha": 6, "target_modules": ["0"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    held = {f"base_model.model.{module}.lora_{side}.weight": t for side, t in (("A", a), ("B", b))}
    save_file(held, folder / "adapter_model.safetensors")
    return str(folder)


def test_an_adapter_is_folded_in_before_the_average(tmp_path: Path) -> None:
    """0.5 (x + 6/2 B A) + 0.5 y, rounded once; the same checkpoint twice is averaged too."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 8, generator=generator), torch.randn(8, 2, generator=generator)
    adapter = _adapter(tmp_path / "lora", "model.layers.0", a, b)
    path = checkpoint(tmp_path / "a", numbers(1))
    parents = [
        {"name": "tuned", "path": path, "adapter": adapter, "weight": 0.5},
        {"name": "plain", "path": path, "weight": 0.5},
    ]
    recipe = Recipe.model_validate({"method": "linear", "parents": parents})
    record = apply_recipe(recipe, tmp_path / "out")
    assert record.parents[0].adapter_digest is not None
    assert record.parents[1].adapter_digest is None
    held, found = numbers(1), weights_of(tmp_path / "out")
    x = held["model.layers.0.weight"].double()
    wanted = 0.5 * (x + 3.0 * b.double() @ a.double()) + 0.5 * x
    step = torch.finfo(torch.bfloat16).eps * wanted.abs()
    off = (found["model.layers.0.weight"].double() - wanted).abs()
    assert bool((off <= step).all())
    assert bool((off <= 0.51 * step).float().mean() > 0.9)  # almost all rounded to nearest
    assert torch.equal(found["model.embed.weight"], held["model.embed.weight"])


def test_the_same_merge_with_another_adapter_is_another(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "a", numbers(1))
    a, b = torch.ones(2, 8), torch.ones(8, 2)
    adapter = _adapter(tmp_path / "lora", "model.layers.0", a, b)
    parents = [{"name": "tuned", "path": path, "adapter": adapter, "weight": 1.0}]
    recipe = Recipe.model_validate({"method": "linear", "parents": parents})
    apply_recipe(recipe, tmp_path / "out")
    held = {"base_model.model.model.layers.0.lora_A.weight": a * 2,
            "base_model.model.model.layers.0.lora_B.weight": b}  # fmt: skip
    save_file(held, tmp_path / "lora" / "adapter_model.safetensors")
    with pytest.raises(UserError, match="is another merge"):
        apply_recipe(recipe, tmp_path / "out")
