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
