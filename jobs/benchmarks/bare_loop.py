"""A plain transformers loop, the yardstick of `bench_engine.py`: no Ray, no store, no marking.

Sorted by prompt length and batched, greedy, left-padded: what a careful person would write by
hand. ``python jobs/benchmarks/bare_loop.py CHECKPOINT SUITE_FOLDER --batch 64`` prints one JSON
object with the seconds of generation (start-up apart).
"""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

LETTERS = "ABCDEFGHIJ"


def prompt(row: dict[str, object]) -> str:
    """The same prompt that lens-ray's default template gives."""
    question = str(row["question"])
    if row["format"] == "true_false":
        return question + "\nAnswer yes or no."
    if row["format"] == "multiple_choice":
        choices = row["choices"]
        assert isinstance(choices, list)
        options = [f"{LETTERS[i]}. {text}" for i, text in enumerate(choices)]
        return "\n".join([question, *options, "Answer with the letter."])
    return question + "\nAnswer briefly."


def run(
    checkpoint: str, suite: str, batch: int, limit: int, threads: int, device: str
) -> dict[str, float]:
    """Seconds and samples per second of one pass."""
    torch.set_num_threads(threads)
    processor = AutoProcessor.from_pretrained(checkpoint)
    processor.tokenizer.padding_side = "left"
    loaded: Any = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32)
    model = loaded.to(device).eval()
    rows = pq.read_table(Path(suite) / "samples.parquet").to_pylist()[:limit]
    table = pq.read_table(Path(suite) / "images.parquet").to_pylist()
    pictures = {r["hash"]: r["png"] for r in table}
    texts = []
    for row in rows:
        content: list[dict[str, str]] = [{"type": "image"} for _ in row["images"]]
        content.append({"type": "text", "text": prompt(row)})
        texts.append(
            processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
        )
    order = sorted(range(len(rows)), key=lambda i: -len(texts[i]))
    start = time.perf_counter()
    for at in range(0, len(order), batch):
        part = order[at : at + batch]
        images = [
            [Image.open(io.BytesIO(pictures[h])).convert("RGB") for h in rows[i]["images"]]
            for i in part
        ]
        inputs = processor(
            text=[texts[i] for i in part], images=images, padding=True, return_tensors="pt"
        ).to(device)
        limit_tokens = max(rows[i]["max_new_tokens"] for i in part)
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=limit_tokens, do_sample=False)
        processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "samples": len(rows), "rate": len(rows) / seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("suite")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--limit", type=int, default=3000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    print(json.dumps(run(a.checkpoint, a.suite, a.batch, a.limit, a.threads, a.device)))
