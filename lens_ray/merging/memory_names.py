"""What transformers calls in memory what has another name on disk: `names_in_memory`.

An adapter is trained on the model in memory, so its tensors have those names; merges work on the
names on disk. In six of the eight families of `lens_ray.testing.tiny_checkpoint` all differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lens_ray.errors import CheckpointError


def names_in_memory(folder: Path, tensors: Iterable[str]) -> dict[str, str]:
    """The names on disk by the names in memory; those that are stored in another form are left out.

    Args:
        folder: A local checkpoint of an architecture that transformers brings.
        tensors: Names on disk.

    Raises:
        CheckpointError: transformers cannot make a model of its configuration.
    """
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, rename_source_key

    maker: Any = AutoModelForImageTextToText
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        with torch.device("meta"):
            model = maker.from_config(config)
    except (ValueError, KeyError, OSError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{folder}: transformers does not know this model ({reason}), so the adapter's names "
            "cannot be found in it; fold it with peft: merge_and_unload()"
        ) from error
    steps: list[Any] = get_model_conversion_mapping(model)
    converters = [step for step in steps if isinstance(step, WeightConverter)]
    renamings = [step for step in steps if not isinstance(step, WeightConverter)]
    state = model.state_dict()
    found: dict[str, str] = {}
    for tensor in tensors:
        name, converted = rename_source_key(
            tensor, renamings, converters, model.base_model_prefix, state
        )
        if converted is None:
            found[name] = tensor
    return found
