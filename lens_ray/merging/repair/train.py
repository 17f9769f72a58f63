"""The fine-tune itself, with transformers' ``Trainer``: `fine_tune`."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lens_ray.errors import EnvironmentFailure, UserError
from lens_ray.merging.answers import IGNORED, Example, labelled
from lens_ray.merging.live import LiveCheckpoint
from lens_ray.merging.repair.plan import RepairPlan


@dataclass(frozen=True, slots=True)
class Trained:
    """What a fine-tune cost, and how its loss went.

    Attributes:
        seen: Examples that went through the model.
        tokens: Tokens that did.
        answer_tokens: Of these, those that were learned.
        seconds: Wall-clock.
        losses: One a step, in nats a token.
    """

    seen: int
    tokens: int
    answer_tokens: int
    seconds: float
    losses: tuple[float, ...]

    def mean_loss(self, *, last: bool) -> float:
        """Of the first or the last tenth of the steps."""
        count = math.ceil(len(self.losses) / 10)
        part = self.losses[-count:] if last else self.losses[:count]
        return sum(part) / len(part)


def fine_tune(live: LiveCheckpoint, examples: Sequence[Example], plan: RepairPlan) -> Trained:
    """Train a live checkpoint, in place.

    Raises:
        EnvironmentFailure: accelerate, which the Trainer needs, is not installed.
        UserError: The plan trains no parameter, or the loss stopped being a number.
    """
    try:
        import accelerate  # noqa: F401
    except ImportError as error:
        raise EnvironmentFailure(
            "a repair trains with transformers' Trainer, which needs accelerate; "
            'type pip install "lens-ray[repair]"'
        ) from error
    _freeze(live.model, plan)
    counter = _Collate(live, plan)
    began = time.monotonic()
    losses = _run(live.model, plan.parts(examples), plan, counter)
    seconds = time.monotonic() - began
    live.model.eval()
    bad = next((step for step, loss in enumerate(losses, 1) if not math.isfinite(loss)), None)
    if bad is not None:
        raise UserError(
            f"the loss of step {bad} is no number; train with a lower rate than --lr {plan.lr:g}"
        )
    return Trained(counter.seen, counter.tokens, counter.learned, seconds, tuple(losses))


def _freeze(model: Any, plan: RepairPlan) -> None:
    names = [name for name, _ in model.named_parameters()]
    if not any(plan.trains(name) for name in names):
        raise UserError(
            f"--only {', '.join(plan.only)} matches none of the {len(names)} parameters; "
            f"the first is {names[0]}"
        )
    for name, weight in model.named_parameters():
        weight.requires_grad_(plan.trains(name))


class _Collate:
    """Makes inputs of a part, and counts what goes through."""

    def __init__(self, live: LiveCheckpoint, plan: RepairPlan) -> None:
        self._processor, self._ends = live.processor, live.ends
        self._max_pixels = plan.max_pixels
        self.seen = self.tokens = self.learned = 0

    def __call__(self, parts: list[list[Example]]) -> dict[str, Any]:
        (part,) = parts
        inputs = labelled(self._processor, part, ends=self._ends, max_pixels=self._max_pixels)
        self.seen += len(part)
        self.tokens += int(inputs["attention_mask"].sum())
        self.learned += int((inputs["labels"] != IGNORED).sum())
        return inputs


def _run(
    model: Any, parts: list[list[Example]], plan: RepairPlan, collate: _Collate
) -> list[float]:
    import torch
    from transformers import Trainer, TrainingArguments

    with tempfile.TemporaryDirectory(prefix="lens-ray-repair-") as scratch:
        arguments = TrainingArguments(
            output_dir=scratch, max_steps=plan.steps, per_device_train_batch_size=1,
            gradient_accumulation_steps=plan.accumulate, train_sampling_strategy="sequential",
            learning_rate=plan.lr, lr_scheduler_type="cosine",
            warmup_steps=math.ceil(plan.warmup * plan.steps), weight_decay=plan.weight_decay,
            max_grad_norm=plan.max_grad_norm, seed=plan.seed, data_seed=plan.seed,
            logging_steps=1, logging_nan_inf_filter=False, save_strategy="no", report_to=[],
            disable_tqdm=True, remove_unused_columns=False, use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(), log_level="error",
        )  # fmt: skip
        dataset: Any = parts
        trainer = _quiet(Trainer(model, arguments, data_collator=collate, train_dataset=dataset))
        trainer.train()
        return [float(each["loss"]) for each in trainer.state.log_history if "loss" in each]


def _quiet(trainer: Any) -> Any:
    """Without the callback that prints every loss."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer
