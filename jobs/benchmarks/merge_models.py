"""Checkpoints of any size for merge benchmarks, shaped as Qwen2.5-VL: `make_checkpoints`.

Of the families that mergekit 0.1.5 merges whole (`bench_merge_mergekit`'s other table), so that
both sides do the same work. Weights are random; the second and third checkpoint differ from the
first by a thousandth, as those of one training run do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

_SHARDS = 2
#: Relative distance of checkpoints of one run.
_APART = 1e-3
_POOL = (1 << 23) - 9


@dataclass(frozen=True, slots=True)
class Size:
    """Of the language model; the vision tower is small beside it.

    Attributes:
        hidden: Width.
        layers: Blocks.
        intermediate: Width of the feed-forward part.
        vocabulary: Rows of the embedding, which is also the head.
    """

    hidden: int
    layers: int
    intermediate: int
    vocabulary: int


#: 1.01e9 numbers.
BILLION = Size(hidden=2048, layers=20, intermediate=5632, vocabulary=49_152)


def make_checkpoints(root: Path, size: Size, count: int = 3) -> list[Path]:
    """Write ``count`` checkpoints in bfloat16, two weight files each.

    Args:
        root: Folder that holds them.
        size: Of each.
        count: How many.

    Returns:
        Their folders.
    """
    folders = []
    for number in range(count):
        folder = root / f"parent-{number}"
        make_tiny_checkpoint(folder, "qwen2_5_vl")
        (folder / "model.safetensors").unlink()
        _configure(folder / "config.json", size)
        _write(folder, number)
        folders.append(folder)
    return folders


def parameters(folder: Path) -> int:
    """How many numbers a checkpoint of `make_checkpoints` holds."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    return int(index["metadata"]["total_size"]) // 2


def _configure(file: Path, size: Size) -> None:
    config = json.loads(file.read_text())
    heads = size.hidden // 128
    config["text_config"] |= {
        "hidden_size": size.hidden, "num_hidden_layers": size.layers, "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads // 8), "intermediate_size": size.intermediate,
        "vocab_size": size.vocabulary, "layer_types": ["full_attention"] * size.layers,
    }  # fmt: skip
    config["text_config"]["rope_parameters"]["mrope_section"] = [16, 24, 24]
    config["vision_config"] |= {"out_hidden_size": size.hidden}
    file.write_text(json.dumps(config, indent=2))


def _write(folder: Path, number: int) -> None:
    """Fill a shape of the model, shard by shard, with numbers that its number decides."""
    from safetensors.torch import save_file

    shapes = _shapes(folder)
    total = sum(shape.numel() for shape in shapes.values())
    where: dict[str, str] = {}
    held: dict[str, Tensor] = {}
    shard, filled = 1, 0
    for name, tensor in _numbers(shapes, number):
        held[name] = tensor
        filled += tensor.numel()
        last = len(where) + len(held) == len(shapes)
        if last or (shard < _SHARDS and filled >= total * shard / _SHARDS):
            file = f"model-{shard:05d}-of-{_SHARDS:05d}.safetensors"
            save_file(held, folder / file, metadata={"format": "pt"})
            where |= dict.fromkeys(held, file)
            held, shard = {}, shard + 1
    index = {"metadata": {"total_size": 2 * total}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


def _shapes(folder: Path) -> dict[str, Any]:
    """By name on disk; of Qwen2.5-VL they are those that published checkpoints have."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model: Any = AutoModelForImageTextToText.from_config(config)
    tied = "lm_head.weight"
    return {_on_disk(n): p.shape for n, p in model.state_dict().items() if n != tied}


def _on_disk(name: str) -> str:
    return name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")


def _numbers(shapes: dict[str, Any], number: int) -> Iterator[tuple[str, Tensor]]:
    """Cut out of one pool of normal numbers: drawing a billion takes minutes."""
    import torch

    pool = torch.empty(_POOL).normal_(generator=torch.Generator().manual_seed(0))
    for place, (name, shape) in enumerate(shapes.items()):
        tensor = _cut(pool, shape.numel(), 7919 * place) * 0.02
        if number:
            tensor *= 1 + _APART * _cut(pool, shape.numel(), 7919 * place + 104_729 * number)
        yield name, tensor.view(shape).bfloat16()


def _cut(pool: Tensor, count: int, start: int) -> Tensor:
    """So many numbers of the pool, round and round, from ``start``."""
    start %= len(pool)
    if start + count <= len(pool):
        return pool[start : start + count]
    return pool.repeat((start + count) // len(pool) + 1)[start : start + count]
