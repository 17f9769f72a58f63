"""Small checkpoint folders for tests of merging, without a model behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lens_ray.merging.recipe import Recipe
from lens_ray.models import kept_digests

CONFIG = {
    "model_type": "idefics3",
    "architectures": ["Idefics3ForConditionalGeneration"],
    "dtype": "bfloat16",
    "transformers_version": "5.19.0",
    "text_config": {"hidden_size": 8, "dtype": "bfloat16"},
}
FILES = {
    "tokenizer.json": '{"model": {"vocab": {"a": 0}}}',
    "tokenizer_config.json": "{}",
    "processor_config.json": '{"image_processor": {"size": 64}}',
    "generation_config.json": '{"eos_token_id": 1}',
    "chat_template.jinja": "{{ messages }}",
}


def numbers(seed: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    """Tensors of several shapes, and integers that no seed changes."""
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed.weight": (40, 8), "model.layers.0.weight": (8, 8), "model.conv.weight":
        (4, 3, 2, 2), "model.norm.weight": (8,), "model.scale": (), "lm_head.weight": (40, 8),
        "model.nothing.weight": (0, 8),
    }  # fmt: skip
    made = {
        name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()
    }
    return {**made, "model.positions": torch.arange(6)}


def checkpoint(
    folder: Path,
    tensors: Mapping[str, Tensor],
    *,
    config: Mapping[str, Any] = CONFIG,
    files: Mapping[str, str] | None = None,
    shards: int = 1,
) -> str:
    """Write a folder that `lens_ray.models.inspect_checkpoint` accepts."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(dict(config)))
    for name, text in {**FILES, **(files or {})}.items():
        (folder / name).write_text(text)
    if shards == 1:
        save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
        return str(folder)
    names, where = sorted(tensors), {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        held = {name: tensors[name] for name in names[shard::shards]}
        save_file(held, folder / file, metadata={"format": "pt"})
        where.update(dict.fromkeys(held, file))
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return str(folder)


def two(tmp_path: Path, **how: Any) -> list[str]:
    """Two checkpoints of one model, ``a`` and ``b``."""
    return [
        checkpoint(tmp_path / name, numbers(seed), **how) for seed, name in enumerate(("a", "b"))
    ]


def linear(paths: list[str], weights: list[float], **more: Any) -> Recipe:
    """A weighted average of parents called ``p0``, ``p1``, ..."""
    parents = [
        {"name": f"p{place}", "path": path, "weight": weight}
        for place, (path, weight) in enumerate(zip(paths, weights, strict=True))
    ]
    return Recipe.model_validate({"method": "linear", "parents": parents, **more})


def weights_of(folder: str | Path) -> dict[str, Tensor]:
    """All tensors of a folder."""
    found: dict[str, Tensor] = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        found.update(load_file(file))
    return found


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal bit by bit: negative zeros too."""
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(
        one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8)
    )  # fmt: skip


def keep_all_digests(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Let digests of small and fresh weights be kept too; the folder where they are."""
    monkeypatch.setenv("LENS_RAY_HOME", str(folder / "home"))
    monkeypatch.setattr(kept_digests, "_KEPT_FROM", 0)
    monkeypatch.setattr(kept_digests, "_SETTLED_NS", -(10**12))
    return folder / "home" / "digests"


def read_whole(folder: Path) -> str:
    """SHA-256 over all weights, without what is kept."""
    files = sorted(folder.glob("*.safetensors"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
