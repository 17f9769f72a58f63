"""What several tests of this folder ask and answer with."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lens_ray.models import Backend, Completion, Generation, ModelSpec, Request, create_backend


def png(seed: int, width: int = 64, height: int = 64) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def request(number: int, **given: Any) -> Request:
    """Requests that differ in length, number of images and limit."""
    images = tuple(png(10 * number + i) for i in range(1 + number % 2))
    facts: dict[str, Any] = {
        "request_id": f"r{number:03d}",
        "text": f"How many {'small ' * (number % 7)}boxes are there in picture {number}?",
        "images": images,
        "generation": Generation(max_new_tokens=2 + number % 6),
    }
    return Request(**{**facts, **given})


def spec(path: Path | str, **options: Any) -> ModelSpec:
    return ModelSpec(name="m", path=str(path), options=options)


async def ask(backend: Backend, requests: Sequence[Request]) -> dict[str, Completion]:
    found: dict[str, Completion] = {}
    async for completion in backend.generate(requests):
        assert completion.request_id not in found
        found[completion.request_id] = completion
    return found


def answers(path: Path | str, requests: Sequence[Request], **options: Any) -> dict[str, Completion]:
    """Start, ask, close."""

    async def run() -> dict[str, Completion]:
        backend = create_backend(spec(path, **options), str(path))
        await backend.start()
        try:
            return await ask(backend, requests)
        finally:
            await backend.close()

    return asyncio.run(run())


def bare_loop(folder: Path, requests: list[Any]) -> dict[str, tuple[str, float, int, int]]:
    """An own greedy loop at batch 1, without ``generate``.

    Returns:
        By request id: text, probability, prompt tokens, new tokens.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    from lens_ray.models.image_processing import image_text_processor
    from lens_ray.models.images import decode_image

    processor = image_text_processor(str(folder))
    loaded: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    model = loaded.eval()
    ends = model.generation_config.eos_token_id
    ends = [ends] if isinstance(ends, int) else ends
    found = {}
    for one in requests:
        parts = [{"type": "image"} for _ in one.images] + [{"type": "text", "text": one.text}]
        text = processor.apply_chat_template(
            [{"role": "user", "content": parts}], add_generation_prompt=True
        )
        # Nested: to some processors a flat list is one image for each of several prompts.
        images = [[decode_image(data, 10**9) for data in one.images]]
        start = processor.tokenizer.bos_token
        twice = start is not None and text.startswith(start)  # unless it is left out
        inputs = dict(
            processor(
                text=text,
                images=images if one.images else None,
                return_tensors="pt",
                **({"add_special_tokens": False} if twice else {}),
            )
        )
        prompt = inputs.pop("input_ids")
        inputs.pop("attention_mask")
        step: dict[str, Any] = {"input_ids": prompt, **inputs}
        if hasattr(model.model, "rope_deltas"):
            model.model.rope_deltas = None  # a Qwen-VL remembers its last prompt outside the cache
        new: list[int] = []
        probability = 1.0
        for _ in range(one.generation.max_new_tokens):
            with torch.inference_mode():
                out = model(**step, use_cache=True)
            logits = out.logits[0, -1].double()
            new.append(int(logits.argmax()))
            probability *= float(torch.softmax(logits, 0)[new[-1]])
            step = {
                "input_ids": torch.tensor([new[-1:]]),
                "past_key_values": out.past_key_values,
            }
            if new[-1] in ends:
                break
        decoded = processor.tokenizer.decode(new, skip_special_tokens=True)
        found[one.request_id] = (decoded, probability, prompt.shape[1], len(new))
    return found
