"""A plain loop over `AsyncLLM`, the yardstick of `bench_vllm.py`: no Ray, no store, no marking.

What a careful person would write by hand: prompts rendered beforehand, a window of requests kept
full, greedy. ``python -m jobs.benchmarks.bare_vllm CHECKPOINT SUITE_FOLDER --windows 32,48`` starts
one engine and prints one JSON object a window, with the seconds of its pass (start-up apart).
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

from jobs.benchmarks.bare_loop import prompt

os.environ.update(
    {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        # As the backend does it: the model computes in the engine's process, which is faster here.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "OMP_NUM_THREADS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
)


async def run(checkpoint: str, suite: str, windows: list[int], limit: int, sequences: int) -> None:
    """One pass a window, after a short one that warms the engine."""
    from transformers import AutoProcessor
    from vllm import AsyncEngineArgs, SamplingParams
    from vllm.sampling_params import RequestOutputKind
    from vllm.v1.engine.async_llm import AsyncLLM

    engine = AsyncLLM.from_engine_args(
        AsyncEngineArgs(
            model=checkpoint, dtype="float32", enforce_eager=True, block_size=32,
            max_model_len=512, max_num_seqs=sequences, limit_mm_per_prompt={"image": 4},
            generation_config="vllm", disable_log_stats=True,
        )
    )  # fmt: skip
    processor: Any = AutoProcessor.from_pretrained(checkpoint)
    rows = pq.read_table(Path(suite) / "samples.parquet").to_pylist()[:limit]
    pictures = {
        row["hash"]: row["png"] for row in pq.read_table(Path(suite) / "images.parquet").to_pylist()
    }
    texts = []
    for row in rows:
        content: list[dict[str, str]] = [{"type": "image"} for _ in row["images"]]
        content.append({"type": "text", "text": prompt(row)})
        turn = [{"role": "user", "content": content}]
        texts.append(processor.apply_chat_template(turn, add_generation_prompt=True))

    async def ask(number: int, name: str) -> None:
        row = rows[number]
        given: dict[str, Any] = {"prompt": texts[number]}
        if row["images"]:
            images = [Image.open(io.BytesIO(pictures[h])).convert("RGB") for h in row["images"]]
            given["multi_modal_data"] = {"image": images}
        sampling = SamplingParams(
            temperature=0.0,
            max_tokens=row["max_new_tokens"],
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        async for _ in engine.generate(given, sampling, f"{name}-{number}"):
            pass

    async def go(count: int, window: int, name: str) -> float:
        # Longest first, as the engine does.
        left = iter(sorted(range(count), key=lambda n: -len(texts[n])))

        async def worker() -> None:
            for number in left:
                await ask(number, name)

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(window)))
        return count / (time.perf_counter() - began)

    await go(min(64, len(rows)), 16, "warm")
    for window in windows:
        await engine.reset_mm_cache()
        await engine.reset_prefix_cache()
        await engine.reset_encoder_cache()
        rate = await go(len(rows), window, f"w{window}")
        print(json.dumps({"window": window, "rate": rate, "samples": len(rows)}), flush=True)
    engine.shutdown(timeout=0.5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("suite")
    parser.add_argument("--windows", default="40")
    parser.add_argument("--limit", type=int, default=3000)
    parser.add_argument("--sequences", type=int, default=32)
    a = parser.parse_args()
    chosen = [int(window) for window in a.windows.split(",")]
    asyncio.run(run(a.checkpoint, a.suite, chosen, a.limit, a.sequences))
