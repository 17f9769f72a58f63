"""Where vLLM would ask or compute something else than the checkpoint's own processor and model.

Each of these was seen with vLLM 0.32 and gives answers that look right and are not: images of
LLaVA-OneVision that are all tiled where several images must not be, a second ``<image>`` token in
the prompt of PaliGemma, and the two-way attention within images of Gemma 3 and within the prompt
of PaliGemma, which its attention for CPUs does not know.
"""

from __future__ import annotations

import io
from importlib.util import find_spec
from typing import Any

from lens_ray.errors import EnvironmentFailure
from lens_ray.models.images import decode_image
from lens_ray.models.prompts import model_inputs
from lens_ray.models.protocol import Generation, Request

#: Wider than high and the reverse: a family that cuts images into tiles cuts these.
_SIZES = ((96, 64), (64, 128))


def require_two_way_attention(model_config: Any, folder: str, *, on_cpu: bool) -> None:
    """Refuse a family whose tokens see later ones, where vLLM's attention is strictly causal.

    Raises:
        EnvironmentFailure: On a CPU, and the family is one.
    """
    if on_cpu and model_config.is_mm_prefix_lm:
        raise EnvironmentFailure(
            f"{folder}: the tokens of an image see each other both ways, which vLLM does not "
            "compute on a CPU; write backend: transformers, or run it on a GPU"
        )


def missing_torchvision() -> str:
    """What to add to the message of an engine that does not start; empty where it is installed."""
    if find_spec("torchvision") is not None:
        return ""
    return "; torchvision is not installed, which vLLM needs for many families: pip install it"


def trial(images: int) -> Request:
    """A first question, about grey images."""
    return Request(
        f"first-{images}", "?", tuple(_grey(*size) for size in _SIZES[:images]), Generation(1)
    )


def tokens_of(processor: Any, request: Request, max_pixels: int) -> list[int]:
    """The prompt as the checkpoint's own processor makes it."""
    images = [decode_image(data, max_pixels) for data in request.images]
    found: list[int] = model_inputs(processor, [request], [images])["input_ids"][0].tolist()
    return found


def _grey(width: int, height: int) -> bytes:
    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", (width, height), (128, 128, 128)).save(data, "PNG")
    return data.getvalue()
