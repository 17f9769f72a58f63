"""A real vision-language checkpoint of 100 to 400 KB with random weights: `make_tiny_checkpoint`.

Stock transformers architecture, processor, byte-level tokenizer and the family's own chat
template, all made in code. Its answers mean nothing; they are the same on every machine for the
same seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.testing.tiny.gemma import gemma3, paligemma
from lens_ray.testing.tiny.idefics import idefics3
from lens_ray.testing.tiny.internvl import internvl
from lens_ray.testing.tiny.llava import llava, llava_onevision
from lens_ray.testing.tiny.parts import IMAGE_SIZE, Parts
from lens_ray.testing.tiny.qwen import qwen2_5_vl, qwen3_vl

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["FAMILIES", "IMAGE_SIZE", "make_tiny_checkpoint", "save_sharded"]

_MAKERS: dict[str, Callable[[int], Parts]] = {
    "idefics3": idefics3,
    "llava": llava,
    "llava_onevision": llava_onevision,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "internvl": internvl,
    "gemma3": gemma3,
    "paligemma": paligemma,
}
FAMILIES: tuple[str, ...] = tuple(_MAKERS)


def make_tiny_checkpoint(
    folder: str | Path,
    family: str = "idefics3",
    seed: int = 0,
    *,
    dtype: str = "bfloat16",
    width: int = 64,
) -> str:
    """Write a tiny checkpoint with random weights.

    Args:
        folder: Made where missing.
        family: One of `FAMILIES`.
        seed: Of the weights; nothing else depends on it.
        dtype: Type of the weights on disk.
        width: Hidden size of the language model, a multiple of 64.

    Returns:
        The folder.
    """
    import torch

    if family not in _MAKERS:
        raise ValueError(f"family is one of {', '.join(FAMILIES)}, not {family!r}")
    with quiet():
        parts = _MAKERS[family](width)
        ends: Any = parts.tokenizer.convert_tokens_to_ids(list(parts.ends))
        _randomise(parts.model, seed, ends[0], parts.embedding_scale)
        generation = parts.model.generation_config
        generation.eos_token_id = ends[0] if len(ends) == 1 else ends
        generation.pad_token_id = parts.tokenizer.pad_token_id
        parts.model.to(getattr(torch, dtype)).save_pretrained(str(folder))
        parts.tokenizer.save_pretrained(str(folder))
    _rename_tower(Path(folder), parts.tower_on_disk)
    _write_processor(Path(folder), parts)
    return str(folder)


def _rename_tower(root: Path, published: str) -> None:
    from safetensors.torch import load_file, save_file

    saved = "vision_tower."
    if published == saved:
        return
    tensors = {
        name.replace(saved, published, 1) if name.startswith(saved) else name: tensor
        for name, tensor in load_file(root / "model.safetensors").items()
    }
    save_file(tensors, root / "model.safetensors", metadata={"format": "pt"})


def _write_processor(root: Path, parts: Parts) -> None:
    """As `ProcessorMixin.save_pretrained` would, which needs torchvision for half the families."""
    held = {**parts.processor, "image_processor": dict(parts.images)}
    if parts.videos:
        held["video_processor"] = dict(parts.videos)
    (root / "processor_config.json").write_text(json.dumps(held, indent=2, sort_keys=True) + "\n")


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings about its own defaults, and the bar for one file."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def save_sharded(folder: str | Path, shards: int = 2) -> None:
    """Split the weights of a tiny checkpoint over several files with an index."""
    from safetensors.torch import load_file, save_file

    root = Path(folder)
    tensors = load_file(root / "model.safetensors")
    names = sorted(tensors)
    where: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        held = names[shard::shards]
        save_file({name: tensors[name] for name in held}, root / file, metadata={"format": "pt"})
        where.update(dict.fromkeys(held, file))
    index = {"metadata": {}, "weight_map": where}
    (root / "model.safetensors.index.json").write_text(json.dumps(index))
    (root / "model.safetensors").unlink()


def _randomise(model: PreTrainedModel, seed: int, eos: int, embedding_scale: float) -> None:
    """Larger weights than a fresh model has: answers differ from image to image, and some end."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.ndim < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            scale = 1.5 / (parameter[0].numel() ** 0.5)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
        embeddings: Any = model.get_input_embeddings().weight
        embeddings *= embedding_scale
        embeddings[eos] *= 1.4
