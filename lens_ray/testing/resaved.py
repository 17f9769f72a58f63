"""A tiny checkpoint as transformers saves one that was trained and never loaded: `resave`.

`make_tiny_checkpoint` names tensors as published checkpoints do. `save_pretrained` of a model made
from its configuration names some families' otherwise (``vision_tower.embeddings`` where the hub has
``vision_tower.vision_model.embeddings``), may split it over several files, and writes the head
where it is not tied. Whoever merges their own run's checkpoints has these.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lens_ray.testing.tiny_checkpoint import quiet


def resave(
    folder: str | Path, out: str | Path, *, tied: bool = True, shard_size: str = "5GB"
) -> str:
    """Write the same numbers with the names of `save_pretrained`.

    Args:
        folder: Of `make_tiny_checkpoint`.
        out: Made where missing.
        tied: Whether the head is the embedding; False saves one of its own, of other numbers.
        shard_size: Largest weight file, as transformers writes it: ``100KB``.

    Returns:
        The new folder.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText

    source, target = Path(folder), Path(out)
    with quiet():
        held: Any = AutoModelForImageTextToText.from_pretrained(source, dtype="auto")
        config = AutoConfig.from_pretrained(source)
        config.tie_word_embeddings = config.get_text_config().tie_word_embeddings = tied
        fresh: Any = AutoModelForImageTextToText.from_config(config, dtype=held.dtype)
        fresh.load_state_dict(held.state_dict())
        if not tied:
            fresh.get_output_embeddings().weight.data.mul_(0.5)
        fresh.generation_config = held.generation_config
        fresh.save_pretrained(target, max_shard_size=shard_size)
    for file in source.iterdir():
        if file.suffix != ".safetensors" and not (target / file.name).exists():
            shutil.copy(file, target / file.name)
    return str(target)
