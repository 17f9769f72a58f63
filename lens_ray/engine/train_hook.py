"""For Ray Train: `LensTrainCallback` announces each checkpoint that workers report.

::

    TorchTrainer(
        train_fn, run_config=RunConfig(storage_path=..., callbacks=[LensTrainCallback()]), ...
    )

    def train_fn(config):
        stop = StopSignal(config["run"])            # lens_ray.online.stop_file
        ...
        ray.train.report({"step": step, "loss": loss}, checkpoint=checkpoint)
        if stop.asked():
            return

Ray calls it in the controller's process, once a checkpoint lies where it stays: workers wait for
nothing. The folder to watch is that of the run: ``storage_path/NAME``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pyarrow.fs import FileSelector, FileSystem, FileType
from ray.train import Checkpoint, UserCallback

from lens_ray.online.announce import announce

log = logging.getLogger(__name__)

#: What transformers' and other trainers call a step.
STEPS = ("step", "global_step", "training_iteration")
#: What they call the other things that are known, and what `announce` does.
_NAMES = {"learning_rate": "lr", "num_input_tokens_seen": "tokens"}


class LensTrainCallback(UserCallback):
    """Announces what workers report with a checkpoint; ``RunConfig(callbacks=[...])`` takes it.

    Args:
        step: Name of the metric that counts optimiser steps; None takes the first of `STEPS` that
            is reported.
    """

    def __init__(self, step: str | None = None) -> None:
        self._names = STEPS if step is None else (step,)

    def after_report(
        self,
        run_context: object,
        metrics: Sequence[Mapping[str, Any]],
        checkpoint: Checkpoint | None,
    ) -> None:
        """Announce a checkpoint; what goes wrong is a warning, for Ray would end the run.

        Args:
            run_context: Of Ray Train.
            metrics: What each worker reported; those of the first count.
            checkpoint: Where it lies now; None where none was reported.
        """
        if checkpoint is None:
            return
        try:
            said = metrics[0]
            step = next((int(said[name]) for name in self._names if name in said), None)
            if step is None:
                log.warning(
                    "checkpoint %s is not announced: no worker reported %s; report a step",
                    checkpoint.path, " or ".join(self._names),
                )  # fmt: skip
                return
            announce(_model_folder(checkpoint), step, _numbers(said))
        except Exception as error:  # see the docstring
            log.warning("checkpoint %s is not announced: %s", checkpoint, error)


def _numbers(said: Mapping[str, Any]) -> dict[str, float]:
    return {
        _NAMES.get(name, name): value
        for name, value in said.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _model_folder(checkpoint: Checkpoint) -> str:
    """The folder with the model: that of the checkpoint, or the one in it (as transformers' hook).

    Raises:
        ValueError: It lies on a file system that lens-ray does not read.
    """
    files: FileSystem = checkpoint.filesystem
    path: str = checkpoint.path
    entries = files.get_file_info(FileSelector(path))
    folders = [entry.path for entry in entries if entry.type == FileType.Directory]
    if len(folders) == 1 and len(entries) == 1:
        path = folders[0]
    if files.type_name == "local":
        return path
    if "s3" in files.type_name:
        return f"s3://{path}"
    raise ValueError(f"a file system {files.type_name}; use a folder or s3://")
