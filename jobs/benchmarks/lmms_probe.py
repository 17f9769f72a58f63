"""Whether lmms-eval's vLLM backend asks what lens-ray asks: token ids and pixels, side by side.

``PYTHON -m jobs.benchmarks.lmms_probe TASK_FOLDER SUITE_FOLDER CHECKPOINT MODEL_ARGS``, with the
Python of lmms-eval's environment. The messages come from lmms-eval's own class and go through
`LLM.chat`; lens-ray's prompts come from its own functions and go through `LLM.generate` of the
same engine. Both report the token ids after the images' placeholders were expanded. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
from types import SimpleNamespace
from typing import Any

from jobs.benchmarks.lmms_functions import messages
from jobs.benchmarks.lmms_task import TASK, token_limit
from lens_ray import load_suite
from lens_ray.models.images import decode_image
from lens_ray.models.prompts import load_processor, prompt_texts
from lens_ray.models.protocol import Generation, Request
from lens_ray.suites.templates import render

#: Prompts whose token ids of both sides are shown on standard error.
_SHOWN = 5
_MAX_PIXELS = 1_500_000


def theirs(model: Any, task_folder: str, limit: int) -> list[list[dict[str, Any]]]:
    """The messages of all documents, as lmms-eval hands them to vLLM."""
    import datasets  # type: ignore[import-not-found, unused-ignore]

    data: Any = datasets.load_dataset(
        "parquet", data_files={"test": f"{task_folder}/samples.parquet"}
    )
    model.task_dict = {TASK: data}
    found = []
    for number in range(len(data["test"])):
        given = ("", messages, {"max_new_tokens": limit, "temperature": 0}, number, TASK, "test")
        turn, sampling = model.make_one_request(SimpleNamespace(arguments=given))
        if sampling["max_tokens"] != limit:
            raise SystemExit(f"lmms-eval generates {sampling['max_tokens']} tokens, not {limit}")
        found.append(turn)
    return found


def pictures(turn: list[dict[str, Any]]) -> list[Any]:
    """The decoded images of messages in the form of OpenAI's API."""
    from PIL import Image

    parts = [part for part in turn[0]["content"] if part["type"] == "image_url"]
    data = [base64.b64decode(part["image_url"]["url"].partition(",")[2]) for part in parts]
    return [Image.open(io.BytesIO(one)).convert("RGB") for one in data]


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("task_folder", "suite", "checkpoint", "model_args"):
        parser.add_argument(name)
    given = parser.parse_args()
    from lmms_eval.models.chat.vllm import VLLM  # type: ignore[import-not-found, unused-ignore]
    from lmms_eval.utils import (  # type: ignore[import-not-found, unused-ignore]
        simple_parse_args_string,
    )
    from vllm import SamplingParams

    suite = load_suite(given.suite)
    samples = list(suite.select(None, None))
    limit = token_limit(samples)
    model: Any = VLLM(**simple_parse_args_string(given.model_args))
    turns = theirs(model, given.task_folder, limit)
    processor = load_processor(given.checkpoint, trust_remote_code=False)
    one = SamplingParams(max_tokens=1, temperature=0)
    prompts: list[dict[str, Any]] = []
    same_pixels = images = 0
    for sample, turn in zip(samples, turns, strict=True):
        data = tuple(suite.image_bytes(image) for image in sample.images)
        asked = Request(sample.sample_id, render(sample), data, Generation(max_new_tokens=limit))
        (text,), bare = prompt_texts(processor, [asked])
        assert not bare, "this template writes the first token: tokenize without special tokens"
        mine = [decode_image(one_image, _MAX_PIXELS) for one_image in data]
        prompts.append({"prompt": text, "multi_modal_data": {"image": mine}})
        images += len(mine)
        same_pixels += sum(
            a.size == b.size and a.tobytes() == b.tobytes()
            for a, b in zip(mine, pictures(turn), strict=True)
        )
    their_ids = [o.prompt_token_ids for o in model.client.chat(turns, one, use_tqdm=False)]
    our_ids = [o.prompt_token_ids for o in model.client.generate(prompts, one, use_tqdm=False)]
    for ours, their in list(zip(our_ids, their_ids, strict=True))[:_SHOWN]:
        print(f"lens-ray  {ours}\nlmms-eval {their}", file=sys.stderr)
    # At exit multiprocessing waits for the engine, and the engine for the end of this process.
    model.client.llm_engine.engine_core.shutdown()
    equal = sum(a == b for a, b in zip(our_ids, their_ids, strict=True))
    print(
        json.dumps(
            {
                "prompts": len(samples),
                "equal_token_ids": equal,
                "images": images,
                "equal_pixels": same_pixels,
                "same": equal == len(samples) and same_pixels == images,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
