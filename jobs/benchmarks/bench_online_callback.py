"""What `LensCallback` costs a training run: its own time beside that of the steps.

``python -m jobs.benchmarks.bench_online_callback --out FILE.json``. The built-in model (1.3 million
parameters) is trained by transformers' ``Trainer`` on its own questions, 32 a step, and saved every
20 steps: steps as short and saves as frequent as this make the callback look worse than it is
anywhere else. Evaluation is elsewhere: nothing of it runs here. Runs without and with the callback
take turns, so that whatever else the machine does meets both.

The limit is on the callback's own time, all hooks together with what its thread computes, over the
time of training: at most 1 %, in the median run. The ratio of whole runs with and without it is
printed beside it: on a busy machine it varies by more than what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, Trainer, TrainingArguments

from jobs.minivlm_recipe import load_recipe
from jobs.train_minivlm import ONLINE, make_batch
from lens_ray.models.resolve import resolve
from lens_ray.online import stop_file
from lens_ray.online.callback import LensCallback

LIMIT = 0.01
REPEATS = 3
STEPS, SAVE = 40, 20
QUESTIONS = 32
MODEL = "builtin:minivlm-a/step-8700"


class Timed(LensCallback):
    """The callback with a clock around each of its hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}
        for name in ("on_train_begin", "on_step_end", "on_save", "on_train_end"):
            setattr(self, name, self._clocked(name, getattr(self, name)))

    def _clocked(self, name: str, hook: Callable[..., None]) -> Callable[..., None]:
        def clocked(*arguments: Any, **more: Any) -> None:
            began = time.perf_counter()
            hook(*arguments, **more)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

        return clocked


class Looks:
    """CPU of the thread that looks for the stop file."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.count = 0
        self._look = stop_file.stop_asked
        stop_file.stop_asked = self.clocked

    def clocked(self, run: str | os.PathLike[str], *, file: str = stop_file.STOP) -> str | None:
        """One look."""
        began = time.thread_time()
        found = self._look(run, file=file)
        self.seconds += time.thread_time() - began
        self.count += 1
        return found

    def close(self) -> None:
        """Put the real one back."""
        stop_file.stop_asked = self._look


def batches(folder: str) -> list[dict[str, torch.Tensor]]:
    """The largest part of each of some real steps, as the model takes it."""
    recipe = load_recipe(ONLINE)
    phase = recipe.at(recipe.first)[0]
    found = []
    for step in range(8):
        parts = make_batch(folder, recipe.seed, step, QUESTIONS, phase)
        part = max(
            (p for p in parts if "pixel_values" in p["inputs"]), key=lambda p: len(p["tasks"])
        )
        arrays = {**part["inputs"], "labels": part["labels"]}
        found.append({name: torch.from_numpy(array) for name, array in arrays.items()})
    return found


def train(folder: str, data: list[dict[str, torch.Tensor]], callback: Timed | None) -> float:
    """Seconds of a whole training."""
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            output_dir=out, max_steps=STEPS, save_steps=SAVE, logging_steps=SAVE, report_to=[],
            per_device_train_batch_size=1, use_cpu=True, disable_tqdm=True, learning_rate=1e-5,
            remove_unused_columns=False,
        )  # fmt: skip
        trainer = Trainer(
            AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32),
            arguments,
            data_collator=lambda rows: rows[0],
            train_dataset=data,
            processing_class=AutoProcessor.from_pretrained(folder),
            callbacks=[callback] if callback else [],
        )
        began = time.perf_counter()
        trainer.train()
        return time.perf_counter() - began


def measure() -> dict[str, Any]:
    """All runs, and what they show."""
    torch.set_num_threads(1)
    folder = resolve(MODEL)
    data = batches(folder)
    train(folder, data, None)  # what is done once a process
    each = []
    for _ in range(REPEATS):
        plain = train(folder, data, None)
        callback, looks = Timed(), Looks()
        watched = train(folder, data, callback)
        looks.close()
        own = sum(callback.seconds.values()) + looks.seconds
        each.append(
            {
                "own_share": own / (watched - own),
                "whole_ratio": watched / plain,
                "step_ms": 1000 * plain / STEPS,
                "save_hook_ms": 1000 * callback.seconds["on_save"] / (STEPS // SAVE),
                "step_hook_us": 1e6 * callback.seconds["on_step_end"] / STEPS,
                "look_us": 1e6 * looks.seconds / max(1, looks.count),
                "load": os.getloadavg()[0],
            }
        )
    medians = {key: statistics.median(one[key] for one in each) for key in each[0]}
    return {
        "benchmark": "online_callback",
        **{key: float(f"{value:.4g}") for key, value in medians.items()},
        "limit": LIMIT,
        "steps": STEPS,
        "saved_every": SAVE,
        "repeats": REPEATS,
        "each": each,
        "holds": medians["own_share"] <= LIMIT,
    }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    result = measure()
    text = json.dumps(result, indent=1)
    print(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
