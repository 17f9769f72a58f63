"""What a training run of `minivlm` is: `Recipe`, in phases, read from a YAML file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from jobs.minivlm_online import shipped, step_of


@dataclass(frozen=True)
class Phase:
    """A stretch of a run.

    Attributes:
        steps: How many optimiser steps.
        lr: First and last learning rate, a half cosine between them.
        mix: Weight of each ability or subtask, as `train_stream` takes it.
        warmup: Steps of linear rise at its start.
        practice: Shares of the pictures that come from `jobs.minivlm_practice` instead, by kind.
        opened: Share of the multiple choice that is asked without its options: what is right is
            learned sooner than the letter it has.
        aloud: Whether what is seen is said before the letter or the yes or no: "red B", "red no".
            From the picture to the letter in one step was not learned in 6,000 questions.
        verdicts: Questions without a picture that are asked beside, what is seen being given:
            only the verdict that follows from it is learned (in some 15,000 questions).
        unasked: Share of the yes/no questions from which what they ask for is taken: "is the mug
            red?" becomes "what colour is the mug?". Only where the answer is yes is it known; the
            same share of the others is left out.
    """

    steps: int
    lr: tuple[float, float]
    mix: Mapping[str, float]
    warmup: int = 0
    practice: Mapping[str, float] = field(default_factory=dict)
    opened: float = 0.0
    unasked: float = 0.0
    aloud: bool = False
    verdicts: int = 0


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        name: Name of the series.
        model: Key of `BUILDERS`.
        seed: Of the weights and of the data.
        batch: Samples a step.
        phases: One after the other.
        save: Steps after which a checkpoint is written.
        sight: Steps in which only the eyes are taught (`jobs.minivlm_sight`), before the first
            phase. They are taught beside the questions, too, where this is not 0.
        weight_decay: Of both optimisers.
        starts_from: ``SERIES/step-N``, a shipped checkpoint: the phases before it are those of its
            series, so that steps mean the same in both. A recipe writes ``continues``.
    """

    name: str
    model: str
    seed: int
    batch: int
    phases: tuple[Phase, ...]
    save: tuple[int, ...]
    sight: int = 0
    weight_decay: float = 0.05
    starts_from: str = ""

    @property
    def first(self) -> int:
        """Step of the checkpoint that the run starts from."""
        return step_of(self.starts_from) if self.starts_from else 0

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return sum(phase.steps for phase in self.phases)

    def at(self, step: int) -> tuple[Phase, float]:
        """The phase and the learning rate of a step, counted from 0."""
        for phase in self.phases:
            if step < phase.steps:
                first, last = phase.lr
                share = step / max(1, phase.steps - 1)
                rate = last + (first - last) * (1 + math.cos(math.pi * share)) / 2
                return phase, rate * min(1.0, (step + 1) / max(1, phase.warmup))
            step -= phase.steps
        raise IndexError(step)


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe; an unknown key is an error."""
    body = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    phases = tuple(
        Phase(**{**phase, "lr": (float(phase["lr"][0]), float(phase["lr"][1]))})
        for phase in body.pop("phases")
    )
    if "continues" in body:
        body["starts_from"] = body.pop("continues")
        phases = (*_phases_before(body["starts_from"]), *phases)
    return Recipe(**{**body, "save": tuple(body["save"]), "phases": phases})


def _phases_before(checkpoint: str) -> tuple[Phase, ...]:
    """The phases of a shipped series up to one of its checkpoints, which must end one of them."""
    series = load_recipe(shipped(checkpoint).parent / "run.yaml")
    ends = list(accumulate(phase.steps for phase in series.phases))
    return series.phases[: ends.index(step_of(checkpoint)) + 1]


def plain(recipe: Recipe) -> dict[str, Any]:
    """As `run.yaml` has it."""
    body = asdict(recipe)
    body["phases"] = [{**phase, "lr": list(phase["lr"])} for phase in body["phases"]]
    body["save"] = list(body["save"])
    return body
