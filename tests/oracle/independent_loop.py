"""A second opinion that shares no inference code with lens-ray: transformers alone, batch 1.

Usage: ``python -m tests.oracle.independent_loop CHECKPOINT SUITE_FOLDER`` prints one JSON object,
sample id to text. It reads the suite's Parquet files itself and writes the prompt by hand.
"""

from __future__ import annotations

import io
import json
import sys

import pyarrow.parquet as pq
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor


def prompt(row: dict[str, object]) -> str:
    """The default prompt, written here a second time on purpose."""
    question = str(row["question"])
    if row["format"] == "true_false":
        return question + "\nAnswer yes or no."
    if row["format"] == "multiple_choice":
        choices = row["choices"]
        assert isinstance(choices, list)
        options = [f"{'ABCDEFGHIJ'[i]}. {text}" for i, text in enumerate(choices)]
        return "\n".join([question, *options, "Answer with the letter."])
    return question + "\nAnswer briefly."


def answers(checkpoint: str, suite: str) -> dict[str, str]:
    """Greedy answers of one checkpoint to every sample of a built suite, one at a time."""
    torch.set_num_threads(1)
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()
    rows = pq.read_table(f"{suite}/samples.parquet").to_pylist()
    pictures = {r["hash"]: r["png"] for r in pq.read_table(f"{suite}/images.parquet").to_pylist()}
    out: dict[str, str] = {}
    for row in rows:
        images = [Image.open(io.BytesIO(pictures[h])).convert("RGB") for h in row["images"]]
        content: list[dict[str, str]] = [{"type": "image"} for _ in images]
        content.append({"type": "text", "text": prompt(row)})
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        inputs = processor(text=text, images=images, return_tensors="pt")
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=row["max_new_tokens"], do_sample=False)
        new = ids[0, inputs["input_ids"].shape[1] :]
        out[row["sample_id"]] = processor.tokenizer.decode(new, skip_special_tokens=True)
    return out


if __name__ == "__main__":
    json.dump(answers(sys.argv[1], sys.argv[2]), sys.stdout)
