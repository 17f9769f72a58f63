"""LoRA adapters as PEFT saves them, folded into a parent while it is read: `open_adapter`.

A folder holds ``adapter_config.json`` and ``adapter_model.safetensors``. The factors stay apart:
what a piece of rows needs of B A is multiplied when it is read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.errors import CheckpointError
from lens_ray.merging.adapter_config import AdapterConfig, read_adapter_config
from lens_ray.merging.memory_names import names_in_memory
from lens_ray.models.safetensors_header import TensorFacts, read_header

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_CONFIG_LIMIT = 2**20
#: Adapters are held in memory; larger ones are models.
_WEIGHTS_LIMIT = 4 * 2**30
_PREFIX = "base_model.model."
_FACTOR = re.compile(
    r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(?:\.default)?(?:\.weight)?"
)


@dataclass(frozen=True, slots=True)
class _Factors:
    """A difference of low rank: scale · left @ right, its rows those of the tensor."""

    left: Tensor
    right: Tensor
    scale: float


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter, open, for one checkpoint.

    Attributes:
        folder: Where it lies.
        digest: SHA-256 over its configuration and its weights.
        factors: By the tensor's name on disk.
        replaced: Tensors that it brings whole (``modules_to_save``, biases), by name on disk.
    """

    folder: Path
    digest: str
    factors: Mapping[str, _Factors]
    replaced: Mapping[str, Tensor]

    def adapts(self, tensor: str) -> bool:
        """Whether it changes a tensor."""
        return tensor in self.factors or tensor in self.replaced

    def delta(self, tensor: str, rows: tuple[int, int]) -> Tensor | None:
        """The product s B A in some rows of a tensor, flat, float64; None where there is none."""
        factors = self.factors.get(tensor)
        if factors is None:
            return None
        # Multiplied in float64: in float32 the last bits would depend on the number of rows.
        left = factors.left[rows[0] : rows[1]].double()
        return (left @ factors.right.double()).mul_(factors.scale).flatten()

    def adapted(self, tensor: str, rows: tuple[int, int], numbers: Tensor) -> Tensor:
        """Some rows of a tensor with the adapter folded in.

        Args:
            tensor: Its name on disk.
            rows: First row and the one after the last; (0, 1) of a scalar.
            numbers: Those of the checkpoint, flat.

        Returns:
            Flat, float32 (float64 of a float64 tensor); ``numbers`` where nothing is changed.
        """
        import torch

        work = torch.float64 if numbers.dtype == torch.float64 else torch.float32
        if (whole := self.replaced.get(tensor)) is not None:
            numbers = (whole[rows[0] : rows[1]] if whole.dim() else whole).flatten().to(work)
        delta = self.delta(tensor, rows)
        return numbers if delta is None else delta.add_(numbers).to(work)


def open_adapter(
    folder: str | Path, model: str | Path, tensors: Mapping[str, TensorFacts]
) -> Adapter:
    """Read an adapter and see that every tensor of it belongs to a tensor of the checkpoint.

    Args:
        folder: Of the adapter, local (`lens_ray.models.resolve.resolve` makes it so).
        model: Folder of the checkpoint that it is folded into, local.
        tensors: Of that checkpoint.

    Raises:
        CheckpointError: It is no LoRA adapter, one that cannot be folded in, damaged, or of
            another model.
    """
    root = Path(folder)
    hashed = hashlib.sha256()
    file = root / CONFIG
    config = read_adapter_config(_object(_bytes(file, _CONFIG_LIMIT, hashed), file), str(file))
    file = root / WEIGHTS
    pairs, wholes = _sorted_out(_weights(root, hashed), file)
    wanted = [*(f"{module}.weight" for module in pairs), *wholes]
    names = _on_disk(wanted, file, Path(model), tensors)
    factors = {}
    for module, pair in pairs.items():
        name = names[f"{module}.weight"]
        factors[name] = _factors(pair, config, module, tensors[name].shape, file)
    replaced = {}
    for memory, values in wholes.items():
        name = names[memory]
        if tuple(values.shape) != tensors[name].shape:
            raise _other_shape(file, memory, values.shape, tensors[name].shape)
        replaced[name] = values
    _require_own_head([*factors, *replaced], file, tensors)
    return Adapter(root, hashed.hexdigest(), factors, replaced)


def _bytes(file: Path, limit: int, hashed: Any) -> bytes:
    """A whole file, so that what was checked is what is used."""
    try:
        if file.stat().st_size > limit:
            raise CheckpointError(f"{file}: larger than {limit} bytes; this is no adapter")
        data = file.read_bytes()
    except FileNotFoundError as error:
        hint = f"a PEFT adapter is a folder with {CONFIG} and {WEIGHTS}"
        if (file.parent / "adapter_model.bin").is_file():
            hint = "it has pickled weights, which could run code; save it with safetensors"
        raise CheckpointError(f"{file.parent}: has no {file.name}; {hint}") from error
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror})") from error
    hashed.update(len(data).to_bytes(8, "little"))
    hashed.update(data)
    return data


def _object(data: bytes, file: Path) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: no valid JSON ({error}); copy the adapter again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: a JSON object is expected")
    return values


def _weights(root: Path, hashed: Any) -> dict[str, Tensor]:
    """Its tensors, by their names without PEFT's prefix."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    file = root / WEIGHTS
    data = _bytes(file, _WEIGHTS_LIMIT, hashed)
    read_header(file)
    try:
        held = load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{file}: damaged ({error}); copy the adapter again") from error
    for name, values in held.items():
        if not name.startswith(_PREFIX):
            raise CheckpointError(
                f"{file}: tensor {name!r:.120} does not begin with {_PREFIX}; save the adapter "
                "with peft: save_pretrained(FOLDER)"
            )
        if not values.is_floating_point() or not bool(torch.isfinite(values).all()):
            raise CheckpointError(
                f"{file}: tensor {name!r:.120} holds NaN, infinity or no floating numbers"
            )
    return {name.removeprefix(_PREFIX): values for name, values in held.items()}


def _sorted_out(
    held: Mapping[str, Tensor], file: Path
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """Pairs of factors, by module, as ``left`` and ``right``; and tensors that come whole."""
    pairs: dict[str, dict[str, Tensor]] = {}
    wholes: dict[str, Tensor] = {}
    for name, values in held.items():
        if found := _FACTOR.fullmatch(name):
            pair = pairs.setdefault(found["module"], {})
            pair[f"{found['embedding'] or ''}{found['side']}"] = values
        elif ".lora_" in name:
            what = "DoRA" if "magnitude" in name else "a kind of LoRA"
            raise CheckpointError(
                f"{file}: tensor {name!r:.120} is of {what} that cannot be folded in; fold it "
                "with peft: merge_and_unload()"
            )
        else:
            wholes[re.sub(r"\.(modules_to_save(\.default)?|base_layer)(?=\.)", "", name)] = values
    for module, pair in pairs.items():
        if pair.keys() not in ({"A", "B"}, {"embedding_A", "embedding_B"}):
            raise CheckpointError(f"{file}: of {module:.120} only one factor is there")
    return pairs, wholes


def _on_disk(
    wanted: list[str], file: Path, model: Path, tensors: Mapping[str, TensorFacts]
) -> dict[str, str]:
    """The checkpoint's names of some tensors, by their names in memory."""
    if not wanted:
        raise CheckpointError(f"{file}: the adapter holds no tensor")
    names = {name: name for name in wanted}
    if not names.keys() <= tensors.keys():
        known = names_in_memory(model, tensors)
        if unknown := sorted(names.keys() - known.keys()):
            raise CheckpointError(
                f"{file}: {len(unknown)} of its {len(names)} tensors are not in {model}, such as "
                f"{unknown[0]!r:.120}; it is an adapter of another model, or of weights that are "
                "stored in another form"
            )
        names = {name: known[name] for name in wanted}
    return names


def _factors(
    pair: Mapping[str, Tensor],
    config: AdapterConfig,
    module: str,
    shape: tuple[int, ...],
    file: Path,
) -> _Factors:
    """B and A as matrices whose product has the rows of the tensor.

    A convolution's kernel is a row of A; an embedding's product, and that of a weight that is
    stored input first, is turned round.
    """
    embedding = "embedding_A" in pair
    a = pair["embedding_A" if embedding else "A"]
    b = pair["embedding_B" if embedding else "B"]
    rank = a.shape[0] if a.dim() > 1 else 0
    if not rank or b.dim() < 2 or prod(b.shape[1:]) != rank:
        raise _other_shape(file, f"{module}.lora_B", b.shape, (shape[0] if shape else 1, rank))
    left, right = b.flatten(1), a.flatten(1)
    if embedding or config.transposed:
        left, right = right.T, left.T
    if not shape or (left.shape[0], right.shape[1]) != (shape[0], prod(shape[1:])):
        raise _other_shape(file, module, (left.shape[0], right.shape[1]), shape)
    return _Factors(left, right, config.scale(module, rank))


def _other_shape(
    file: Path, name: str, found: Sequence[int], wanted: Sequence[int]
) -> CheckpointError:
    return CheckpointError(
        f"{file}: {name:.120} makes {list(found)}, where {list(wanted)} is expected; it is an "
        "adapter of another model"
    )


def _require_own_head(
    changed: Iterable[str], file: Path, tensors: Mapping[str, TensorFacts]
) -> None:
    """Embeddings that are the head too would change it with them, which no adapter means."""
    ends = tuple(name for name in tensors if name.endswith("lm_head.weight"))
    for name in changed:
        if name.endswith("embed_tokens.weight") and not ends:
            raise CheckpointError(
                f"{file}: it changes {name}, which is the head too in this checkpoint (there is "
                "no lm_head.weight); fold it with peft: merge_and_unload()"
            )
