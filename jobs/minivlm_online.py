"""The parts of `jobs.train_minivlm` that only a watched run needs: its start and its watcher."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoProcessor

from lens_ray.models.resolve import builtin_root
from lens_ray.online.announce import announce
from lens_ray.online.stop_file import stop_asked


def shipped(checkpoint: str) -> Path:
    """The folder of ``SERIES/step-N``."""
    return builtin_root() / checkpoint


def step_of(checkpoint: str | Path) -> int:
    """The step in the name of a checkpoint."""
    return int(str(checkpoint).rpartition("-")[2])


def shell_of(checkpoint: str) -> tuple[Any, Any]:
    """Processor and config of a shipped checkpoint, as its series had them when it began."""
    folder = str(shipped(checkpoint))
    config = AutoConfig.from_pretrained(folder)
    config.dtype = None  # trained in float32, whatever it was saved in
    return AutoProcessor.from_pretrained(folder), config


def copy_shell(checkpoint: str, folder: Path) -> None:
    """Put all of a shipped checkpoint but its weights into a folder.

    transformers writes some of it in other words by version and environment (HF_HUB_OFFLINE), and a
    watcher takes that for another model.
    """
    for file in shipped(checkpoint).iterdir():
        if file.suffix != ".safetensors":
            shutil.copyfile(file, folder / file.name)


def weights_of(checkpoint: str) -> dict[str, torch.Tensor]:
    """Weights of a shipped checkpoint, in float32."""
    found = load_file(shipped(checkpoint) / "model.safetensors")
    return {name: tensor.float() for name, tensor in found.items()}


class Watched:
    """A run that somebody watches: its checkpoints are announced, and it stops when told.

    The shipped checkpoints up to the one that the run goes on from are copied beside its own, so
    that its curves begin where learning began.
    """

    def __init__(self, out: Path, starts_from: str) -> None:
        self.out = out
        series = shipped(starts_from).parent
        for folder in sorted(series.glob("step-*"), key=step_of):
            if step_of(folder) <= step_of(starts_from) and not (out / folder.name).is_dir():
                partial = out / f"{folder.name}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                shutil.copytree(folder, partial)
                announce(partial.rename(out / folder.name), step_of(folder))

    def saved(self, folder: Path, step: int, loss: float, rate: float, pace: float) -> None:
        """Announce a checkpoint that is whole."""
        announce(folder, step, {"loss": loss, "lr": rate, "seconds_per_step": pace})

    def told_to_stop(self) -> str | None:
        """Why the run should end now, or None."""
        return stop_asked(self.out)
