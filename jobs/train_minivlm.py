"""Trains a series of `minivlm` checkpoints on other seeds of the generator of `mini`.

``python -m jobs.train_minivlm jobs/minivlm-a.yaml --out runs/minivlm-a`` writes ``step-NNNN``
folders, ``run.yaml`` and ``log.jsonl`` (loss and accuracy of every task on batches that were
never seen before). A batch is a function of seed and step alone, so the same command goes on where
an interrupted run stopped, with the same result.

``python -m jobs.train_minivlm --online`` trains `jobs/minivlm-online.yaml` in `runs/minivlm-online`
to be watched by ``lens-ray watch jobs/watch_minivlm.yaml``: it goes on from a shipped checkpoint,
announces each one that it writes, and ends when the file ``STOP`` appears.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from jobs.minivlm_models import BUILDERS
from jobs.minivlm_online import Watched, copy_shell, shell_of, weights_of
from jobs.minivlm_practice import practice, verdict
from jobs.minivlm_recipe import Phase, Recipe, load_recipe, plain
from jobs.minivlm_sight import (
    BESIDE,
    WEIGHT,
    SightBatch,
    sight_batch,
    sight_loss,
    take_step,
    teach_sight,
)
from lens_ray.suites.images import image_hash
from lens_ray.suites.mini import SIZES, train_stream
from lens_ray.suites.mini.item import LETTERS
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import load_suite
from lens_ray.suites.templates import render

#: What ``--online`` trains.
ONLINE = Path(__file__).with_name("minivlm-online.yaml")
AHEAD = 6
IGNORED = -100


@cache
def _suite_images() -> frozenset[str]:
    """Hashes of every image of every size of `mini`: none of them may be trained on.

    Read from the suites on disk: to draw them takes 8 s in each process that makes batches.
    """
    suites = (load_suite(f"mini:{size}") for size in SIZES)
    return frozenset(image for suite in suites for image in suite.image_hashes())


@cache
def _processor(folder: str) -> Any:
    processor = AutoProcessor.from_pretrained(folder)
    processor.tokenizer.padding_side = "right"
    return processor


@dataclass(frozen=True)
class Talk:
    """Pictures, and one question with its answer after the other.

    Attributes:
        task: The subtask, or the kind of practice.
        images: The pictures.
        turns: Questions and answers.
        given: Whether what is said before the verdict is no part of what is learned.
    """

    task: str
    images: tuple[Any, ...]
    turns: tuple[tuple[str, str], ...]
    given: bool = False


def _opened(sample: Sample) -> Sample:
    """A multiple-choice sample without its options."""
    right = sample.choices[LETTERS.index(sample.answers[0])]
    return replace(sample, format="open", choices=(), answers=(right,))


#: Yes/no questions, what is asked instead, and the group that is the answer.
_UNASKED = (
    (re.compile(r"is (\d+) in (row \w, column \w)\?"), r"what is in \2?"),
    (re.compile(r"does the panel show (\w+)\?"), "read the panel."),
    (re.compile(r"is the \w+ (plain|striped)\?"), "what pattern has the {}?"),
    (re.compile(r"is the \w+ (\w+)\?"), "what colour is the {}?"),
    (re.compile(r"are there exactly (\d+) (\w+)\?"), r"how many \2 are there?"),
)


def _unasked(sample: Sample) -> Sample | None:
    """A yes/no sample asked openly; itself where that cannot be, None where it is left out."""
    for pattern, question in _UNASKED:
        found = pattern.fullmatch(sample.question)
        if found is None:
            continue
        if sample.answers != ("yes",):
            return None
        asked = found.expand(question).format(sample.question.split()[2])
        return replace(sample, format="open", question=asked, answers=(found[1],))
    return sample


def _talks(seed: int, phase: Phase) -> Iterator[Talk]:
    """An endless stream from a seed."""
    rng = random.Random(seed)
    shares = phase.practice
    ends = dict(zip(shares, accumulate(shares.values()), strict=True))
    for sample, images in train_stream(seed, phase.mix):
        point = rng.random()
        kind = next((kind for kind, end in ends.items() if point < end), None)
        if kind is not None:
            picture, turns = practice(kind, rng, aloud=phase.aloud)
            yield Talk(kind, (picture,), tuple(turns))
        elif not any(image_hash(image) in _suite_images() for image in images):
            said = _asked_otherwise(sample, phase, rng)
            if said is not None:
                task = sample.subtask + ("" if said.format == sample.format else "+")
                yield Talk(task, tuple(images), ((render(said), said.answers[0]),))


def _asked_otherwise(sample: Sample, phase: Phase, rng: random.Random) -> Sample | None:
    if sample.choices and phase.opened and rng.random() < phase.opened:
        return _opened(sample)
    if sample.format == "true_false" and phase.unasked and rng.random() < phase.unasked:
        return _unasked(sample)
    return _aloud(sample) if phase.aloud else sample


def _aloud(sample: Sample) -> Sample:
    """A sample whose answer says what is seen first."""
    (answer,) = sample.answers
    seen = sample.meta.get("shown")
    if sample.choices:
        seen = sample.choices[LETTERS.index(answer)]
    return sample if seen is None else replace(sample, answers=(f"{seen} {answer}",))


def make_batch(folder: str, seed: int, step: int, size: int, phase: Phase) -> list[dict[str, Any]]:
    """The micro-batches of one step: talks of like length share one, so little is padding."""
    torch.set_num_threads(1)
    processor = _processor(folder)
    talks = list(islice(_talks(seed * 10_000_000 + step, phase), size))
    talks.sort(key=lambda talk: (len(talk.images), sum(len(q) + len(a) for q, a in talk.turns)))
    third = math.ceil(size / 3)
    parts = [_collate(processor, talks[at : at + third]) for at in range(0, size, third)]
    if phase.verdicts:
        rng = random.Random(f"verdicts {seed} {step}")
        asked = [Talk("verdicts", (), (verdict(rng),), given=True) for _ in range(phase.verdicts)]
        parts.append(_collate(processor, asked))
    return parts


def _prompt(processor: Any, question: str, images: int) -> str:
    content = [*({"type": "image"} for _ in range(images)), {"type": "text", "text": question}]
    told: str = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    return told


def _collate(processor: Any, talks: list[Talk]) -> dict[str, Any]:
    tokenizer = processor.tokenizer
    first = [_prompt(processor, talk.turns[0][0], len(talk.images)) for talk in talks]
    images = [[Image.fromarray(image) for image in talk.images] for talk in talks]
    inputs = processor(
        text=first,
        images=images if any(images) else None,
        padding=True,
        return_tensors="np",
    )
    lengths = inputs["attention_mask"].sum(axis=1)
    rows, marks = [], []
    for ids, length, talk in zip(inputs["input_ids"], lengths, talks, strict=True):
        row, mark = ids[:length].tolist(), [IGNORED] * int(length)
        for number, (question, answer) in enumerate(talk.turns):
            if number:
                asked = tokenizer("\n" + _prompt(processor, question, 0), add_special_tokens=False)
                row += asked.input_ids
                mark += [IGNORED] * len(asked.input_ids)
            said = tokenizer(f" {answer}{tokenizer.eos_token}", add_special_tokens=False)
            row += said.input_ids
            learned = 2 if talk.given else len(said.input_ids)  # the verdict and the end
            mark += [IGNORED] * (len(said.input_ids) - learned) + said.input_ids[-learned:]
        rows.append(row)
        marks.append(mark)
    longest = max(map(len, rows))
    pad = tokenizer.pad_token_id
    arrays = {key: np.asarray(value) for key, value in inputs.items()}
    arrays["input_ids"] = np.array([row + [pad] * (longest - len(row)) for row in rows])
    arrays["attention_mask"] = np.array(
        [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    )
    labels = np.array([mark + [IGNORED] * (longest - len(mark)) for mark in marks])
    return {"inputs": arrays, "labels": labels, "tasks": [talk.task for talk in talks]}


def _optimisers(model: Any, weight_decay: float) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices of the layers, AdamW at half the rate for all else.

    With AdamW alone a model found the colour of a truck's part in 52 of 100 questions after 9,600
    samples, so in 86 after 15,200; plain tiles took 12,000 samples, so 5,300.
    """
    named = list(model.named_parameters())
    layers = [
        weight for name, weight in named
        if weight.ndim == 2 and "embed" not in name and "lm_head" not in name
    ]  # fmt: skip
    taken = {id(weight) for weight in layers}
    others = [weight for _, weight in named if id(weight) not in taken]
    muon = torch.optim.Muon(
        [{"params": layers, "share": 1.0}],
        weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    adam = torch.optim.AdamW(
        [{"params": others, "share": 0.5}], betas=(0.9, 0.98), weight_decay=weight_decay
    )
    return muon, adam


class Run:
    """A run on disk: its weights, its optimiser, and how far it is."""

    def __init__(self, recipe: Recipe, out: Path) -> None:
        self.recipe = recipe
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        self.shell = out / "processor"
        if not (self.shell / "config.json").is_file():
            processor, config = (
                shell_of(recipe.starts_from) if recipe.starts_from else BUILDERS[recipe.model]()
            )
            processor.save_pretrained(str(self.shell))
            config.save_pretrained(str(self.shell))
        # Always from disk: a vocabulary that is learned again need not be the same one.
        self.processor = AutoProcessor.from_pretrained(str(self.shell))
        torch.manual_seed(recipe.seed)
        self.model: Any = AutoModelForImageTextToText.from_config(
            AutoConfig.from_pretrained(str(self.shell))
        )
        for name, parameter in self.model.named_parameters():
            if "position_embedding" in name:  # as loud as the patches: a third fewer steps
                torch.nn.init.normal_(parameter, std=0.5)
        self.optimisers = _optimisers(self.model, recipe.weight_decay)
        self.step = 0
        self.sight = ""
        if (out / "state.pt").is_file():
            state = torch.load(out / "state.pt", weights_only=True)
            self.model.load_state_dict(state["model"])
            for optimiser, kept in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(kept)
            self.step = state["step"]
        elif recipe.starts_from:
            self.model.load_state_dict(weights_of(recipe.starts_from))
            self.step = recipe.first
        elif recipe.sight:
            rate = recipe.phases[0].lr[0]
            teach_sight(
                self.model, self.processor, self.optimisers, recipe.seed, recipe.sight, rate
            )
            self.optimisers = _optimisers(self.model, recipe.weight_decay)
            self.keep()
        (out / "run.yaml").write_text(yaml.safe_dump(plain(recipe), sort_keys=False))

    def keep(self) -> None:
        """Write the state to go on from, whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
        }
        torch.save(state, self.out / "state.partial")
        (self.out / "state.partial").rename(self.out / "state.pt")

    def save(self) -> Path:
        """Write a checkpoint in bfloat16, whole or not at all."""
        folder = self.out / f"step-{self.step:04d}"
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        with torch.no_grad():
            whole = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            self.model.to(torch.bfloat16).save_pretrained(str(partial))
            self.model.to(torch.float32).load_state_dict(whole)
        self.processor.save_pretrained(str(partial))
        if self.recipe.starts_from:
            copy_shell(self.recipe.starts_from, partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        return folder

    def learn(
        self, parts: list[dict[str, Any]], rate: float, seen: SightBatch | None = None
    ) -> tuple[float, dict[str, list[int]]]:
        """One optimiser step; returns the loss, and right answers and answers by task."""
        wanted = sum(int((part["labels"] != IGNORED).sum()) for part in parts)
        total = 0.0
        right: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for part in parts:
            inputs = {key: torch.from_numpy(value) for key, value in part["inputs"].items()}
            labels = torch.from_numpy(part["labels"])[:, 1:]
            hidden = self.model.model(**inputs, use_cache=False).last_hidden_state[:, :-1]
            asked = labels != IGNORED
            logits = self.model.lm_head(hidden[asked])
            loss = torch.nn.functional.cross_entropy(logits, labels[asked], reduction="sum")
            (loss / wanted).backward()
            total += loss.item()
            hits = torch.zeros(labels.shape, dtype=torch.bool)
            hits[asked] = logits.argmax(-1) == labels[asked]
            _count(right, part["tasks"], hits, asked)
        if seen is not None:
            blindness, self.sight = sight_loss(self.model, self.processor, seen)
            (WEIGHT * blindness).backward()
        take_step(self.model, self.optimisers, rate)
        self.step += 1
        return total / wanted, dict(right)


def _count(right: dict[str, list[int]], tasks: list[str], hits: Any, asked: Any) -> None:
    """Whole answers of single questions; tokens of practice."""
    for task, found, wanted in zip(tasks, hits.sum(1).tolist(), asked.sum(1).tolist(), strict=True):
        counted = (found, wanted) if task in ("things", "writing") else (int(found == wanted), 1)
        right[task][0] += counted[0]
        right[task][1] += counted[1]


def train(
    recipe: Recipe, out: Path, *, stop: int | None = None, watched: Watched | None = None
) -> None:
    """Run a recipe to its end, or to a step, from wherever its folder is."""
    run = Run(recipe, out)
    last = min(recipe.steps, stop or recipe.steps)
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    began, first, losses = time.monotonic(), run.step, []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:

        def order(step: int) -> tuple[Future[list[dict[str, Any]]], Future[SightBatch] | None]:
            phase = recipe.at(step)[0]
            return (
                pool.submit(make_batch, str(run.shell), recipe.seed, step, recipe.batch, phase),
                pool.submit(sight_batch, recipe.seed, recipe.sight + step, BESIDE)
                if recipe.sight else None,
            )  # fmt: skip

        coming = [order(step) for step in islice(range(run.step, last), AHEAD)]
        while run.step < last:
            reason = watched.told_to_stop() if watched else None
            if reason is not None:
                print(f"step {run.step}: told to stop: {reason}", flush=True)
                run.keep()
                break
            parts, seen = coming.pop(0)
            if run.step + AHEAD < last:
                coming.append(order(run.step + AHEAD))
            rate = recipe.at(run.step)[1]
            loss, right = run.learn(parts.result(), rate, seen.result() if seen else None)
            losses.append(loss)
            for task, (hits, asked) in right.items():
                tally[task][0] += hits
                tally[task][1] += asked
            if run.step in recipe.save:
                folder = run.save()
                if watched:
                    pace = (time.monotonic() - began) / (run.step - first)
                    watched.saved(folder, run.step, loss, rate, pace)
            if run.step % 50 == 0 or run.step == last:
                run.keep()
                pace = (time.monotonic() - began) / (run.step - first)
                _report(out, run.step, last, pace, sum(losses) / len(losses), tally, run.sight)
                tally.clear()
                losses.clear()


def _report(
    out: Path,
    step: int,
    last: int,
    pace: float,
    loss: float,
    tally: Mapping[str, list[int]],
    sight: str,
) -> None:
    accuracy = {task: round(h / n, 4) for task, (h, n) in sorted(tally.items())}
    line = {"step": step, "loss": round(loss, 4), "accuracy": accuracy}
    with (out / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
    shares = " ".join(f"{task[:3]}{task[-6:]} {share:.2f}" for task, share in accuracy.items())
    left = f"{pace:.2f} s a step, {(last - step) * pace / 60:.0f} min left"
    print(f"step {step}/{last} loss {loss:.3f} {shares} {sight} {left}", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", type=Path, help="default with --online: its own")
    parser.add_argument("--out", type=Path, help="folder; default: runs/NAME of the recipe")
    parser.add_argument("--online", action="store_true", help="to be watched: announce, heed STOP")
    parser.add_argument("--stop", type=int, help="end after this step")
    chosen = parser.parse_args()
    if chosen.recipe is None and not chosen.online:
        parser.error("write a recipe, such as jobs/minivlm-a.yaml, or --online")
    recipe = load_recipe(chosen.recipe or ONLINE)
    out = chosen.out or Path("runs") / recipe.name
    watched = Watched(out, recipe.starts_from) if chosen.online else None
    train(recipe, out, stop=chosen.stop, watched=watched)


if __name__ == "__main__":
    main()
