"""For trainers: `LensCallback` of transformers' ``Trainer``, and the same two steps for accelerate.

::

    trainer = Trainer(..., processing_class=processor, callbacks=[LensCallback()])

    while step < steps:                                   # accelerate
        ...
        if step % 500 == 0:
            accelerator.unwrap_model(model).save_pretrained(folder, ...)
            announce_saved(accelerator, folder, step, {"loss": loss})
        if stop.asked():                                  # stop = StopSignal(folder of the run)
            break

A checkpoint can be evaluated only if its processor (or tokenizer) lies in its folder, too.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Protocol, SupportsFloat

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from lens_ray.online.announce import announce, flush
from lens_ray.online.stop_file import STOP, StopSignal

log = logging.getLogger(__name__)


class LensCallback(TrainerCallback):
    """Announces what ``Trainer`` saves, and ends its training when the stop file is there.

    With several processes each must have it: only the first one announces, but all agree when to
    stop. Loss, learning rate, tokens (with ``include_num_input_tokens_seen``) and seconds a step go
    along.

    Args:
        stop_file: Name of the stop file in ``output_dir``; None heeds none.
        poll_s: Seconds between two looks for it, which a thread does.
    """

    def __init__(self, *, stop_file: str | None = STOP, poll_s: float = 5.0) -> None:
        self._stop_file = stop_file
        self._poll_s = poll_s
        self._stop: StopSignal | None = None
        self._began = 0.0
        self._first = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Start the clock and the look-out for the stop file."""
        self._began, self._first = time.monotonic(), state.global_step
        if self._stop_file is not None:
            self._stop = StopSignal(str(args.output_dir), file=self._stop_file, poll_s=self._poll_s)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """End the training, with a last checkpoint, where somebody asked for it."""
        reason = self._stop.asked() if self._stop is not None else None
        if reason is not None and not control.should_training_stop:
            log.warning("training ends at step %d: %s", state.global_step, reason)
            control.should_training_stop = True
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Announce the checkpoint that was written."""
        if state.is_world_process_zero:
            folder = os.path.join(str(args.output_dir), f"checkpoint-{state.global_step}")
            announce(folder, state.global_step, self._metrics(state))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Look for no stop file any more; wait a while for announcements to a bucket."""
        if self._stop is not None:
            self._stop.close()
        flush()

    def _metrics(self, state: TrainerState) -> dict[str, float]:
        known: dict[str, float] = {}
        for logged in state.log_history[-10:]:
            known |= {
                name: logged[key]
                for key, name in (("loss", "loss"), ("learning_rate", "lr"))
                if key in logged
            }
        if state.num_input_tokens_seen:
            known["tokens"] = state.num_input_tokens_seen
        steps = state.global_step - self._first
        if self._began and steps > 0:
            known["seconds_per_step"] = (time.monotonic() - self._began) / steps
        return known


class _Accelerator(Protocol):
    """What is used of ``accelerate.Accelerator``."""

    @property
    def is_main_process(self) -> bool: ...

    def wait_for_everyone(self) -> None: ...


def announce_saved(
    accelerator: _Accelerator,
    path: str | os.PathLike[str],
    step: int,
    metrics: Mapping[str, SupportsFloat] | None = None,
) -> None:
    """Announce a checkpoint that all processes of accelerate have written; call it in each.

    Args:
        accelerator: ``accelerate.Accelerator``.
        path: Folder or ``s3://`` URL of the checkpoint.
        step: Optimiser steps so far.
        metrics: As `lens_ray.online.announce` takes them.
    """
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        announce(path, step, metrics)
