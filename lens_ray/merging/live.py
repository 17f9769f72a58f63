"""A checkpoint in memory that can be differentiated, and its tensors under their names on disk.

transformers renames tensors as it loads them, and back as it saves that same model. Merges work on
names on disk, so what is found out about a live model, or learned by it, goes through its saving.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.errors import CheckpointError
from lens_ray.merging.answers import ends_of
from lens_ray.models.checkpoint import CheckpointFacts, inspect_checkpoint
from lens_ray.models.prompts import load_processor

if TYPE_CHECKING:
    from torch import Tensor

_FLOATS = ("F64", "F32", "F16", "BF16")
_COUNTS = ("I64", "I32", "BOOL")  # positions and the like


@dataclass
class LiveCheckpoint:
    """A checkpoint, loaded in float32.

    Attributes:
        facts: What lies on disk.
        model: The transformers model, in evaluation mode.
        processor: The checkpoint's own.
    """

    facts: CheckpointFacts
    model: Any
    processor: Any

    @property
    def ends(self) -> list[int]:
        """The tokens that end an answer."""
        return ends_of(self.model, self.processor)

    @cached_property
    def _saved_as(self) -> Mapping[str, str]:
        """The name that transformers saves by, for each name on disk."""
        with _saved(self.model, self.model.state_dict()) as saved:
            return _matched(self.facts, saved)

    def settle_names(self) -> None:
        """Find out what is called how on disk; to be called before the weights change.

        Raises:
            CheckpointError: A tensor on disk is not to be found in the model, or the reverse.
        """
        _ = self._saved_as

    @contextmanager
    def on_disk(self, state: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
        """Tensors of the model, or others of their names and shapes, by their names on disk.

        They pass through a temporary folder as large as the model, and are read one by one.
        """
        names = self._saved_as
        with _saved(self.model, state) as saved:
            yield _Renamed(names, saved)


def load_live(folder: str | Path, *, threads: int = 1) -> LiveCheckpoint:
    """Load a checkpoint in float32, on the CPU.

    Args:
        folder: A local folder.
        threads: Of torch.

    Raises:
        CheckpointError: It is none, is quantised, or its weights do not fit its configuration.
    """
    facts = inspect_checkpoint(str(folder))
    odd = {tensor.dtype for tensor in facts.tensors.values()} - {*_FLOATS, *_COUNTS}
    if odd:
        raise CheckpointError(
            f"{folder}: some weights are {min(odd)}, so quantised; gradients need F32, F16 or BF16"
        )
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    loaded: Any = transformers.AutoModelForImageTextToText.from_pretrained(
        str(folder), dtype=torch.float32, local_files_only=True, use_safetensors=True,
        output_loading_info=True,
    )  # fmt: skip
    model, info = loaded
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[what]:
            first = sorted(str(key) for key in info[what])[0]
            raise CheckpointError(
                f"{folder}: {len(info[what])} weights are {what.removesuffix('_keys')}, first "
                f"{first!r}; the checkpoint does not fit its config.json"
            )
    processor = load_processor(str(folder), trust_remote_code=False)
    return LiveCheckpoint(facts, model.eval(), processor)


class _Saved(Mapping[str, "Tensor"]):
    """The tensors of safetensors files, read at each look."""

    def __init__(self, folder: Path) -> None:
        from safetensors import safe_open

        self._file: dict[str, Path] = {}
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="pt") as opened:
                self._file.update(dict.fromkeys(opened.keys(), file))

    def __getitem__(self, name: str) -> Tensor:
        from safetensors import safe_open

        with safe_open(self._file[name], framework="pt") as opened:
            tensor: Tensor = opened.get_tensor(name)
            return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._file)

    def __len__(self) -> int:
        return len(self._file)


class _Renamed(Mapping[str, "Tensor"]):
    def __init__(self, names: Mapping[str, str], saved: Mapping[str, Tensor]) -> None:
        self._names, self._saved = names, saved

    def __getitem__(self, name: str) -> Tensor:
        return self._saved[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@contextmanager
def _saved(model: Any, state: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    with tempfile.TemporaryDirectory(prefix="lens-ray-live-") as folder:
        model.save_pretrained(folder, state_dict=dict(state))
        yield _Saved(Path(folder))


def _matched(facts: CheckpointFacts, saved: Mapping[str, Tensor]) -> dict[str, str]:
    """Names on disk to names as saved: the same ones, but for the second of two tied tensors."""
    held = _Saved(Path(facts.folder))
    found: dict[str, str] = {}
    for name in facts.tensors:
        twin = name if name in saved else _twin(held[name], saved)
        if twin is None:
            raise CheckpointError(_REFUSAL.format(facts.folder, name, "on disk and not in"))
        found[name] = twin
    unused = sorted(saved.keys() - set(found.values()))
    if unused:
        raise CheckpointError(_REFUSAL.format(facts.folder, unused[0], "not on disk but in"))
    return found


_REFUSAL = (
    "{}: tensor {!r} is {} the model as transformers saves it; load the checkpoint and save it "
    "again with the transformers that is installed here"
)


def _twin(tensor: Tensor, saved: Mapping[str, Tensor]) -> str | None:
    """A saved matrix with the same numbers: what is tied is on disk twice and saved once."""
    if tensor.ndim != 2:
        return None
    for name, other in saved.items():
        if other.shape == tensor.shape and bool((other.to(tensor.dtype) == tensor).all()):
            return name
    return None
