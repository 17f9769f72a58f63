"""Repaired weights become a folder: `write_repaired`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lens_ray.errors import UserError
from lens_ray.merging.card import Trained, card, code
from lens_ray.merging.companions import write_file
from lens_ray.merging.live import LiveCheckpoint
from lens_ray.merging.record import FILE as MERGE
from lens_ray.merging.record import MergeRecord
from lens_ray.merging.repair.record import FILE, RepairRecord
from lens_ray.merging.same_files import model_files
from lens_ray.merging.verify.provenance import ABOUT, CARD, file_digest, read_record
from lens_ray.models.checkpoint import INDEX, assert_swappable, inspect_checkpoint

if TYPE_CHECKING:
    from torch import Tensor


def write_repaired(
    live: LiveCheckpoint,
    partial: Path,
    record: Callable[[str], RepairRecord],
    *,
    durable: bool,
) -> RepairRecord:
    """Fill a folder with what a live checkpoint has become.

    Weights keep the shards and types of the old ones, so that nothing but numbers differs.

    Args:
        live: Trained.
        partial: An empty folder.
        record: Makes the record, given the digest of the weights.
        durable: Whether the disk is waited for.

    Raises:
        UserError: A number is NaN or infinite.
    """
    source = Path(live.facts.folder)
    with live.on_disk(live.model.state_dict()) as tensors:
        for shard in live.facts.weights:
            _write_shard(source / shard, partial / shard, tensors, durable)
    names = [*model_files(source), *([INDEX] if (source / INDEX).is_file() else [])]
    for name in names:
        if name != FILE:
            write_file(partial / name, (source / name).read_bytes(), durable=durable)
    made = inspect_checkpoint(str(partial))
    assert_swappable(live.facts, made)
    told = record(made.weights_digest)
    write_file(partial / FILE, (told.model_dump_json(indent=1) + "\n").encode(), durable=durable)
    if (source / MERGE).is_file():
        merge = _goes_on(read_record(source), partial, made.weights_digest)
        for name, text in (
            (CARD, card(merge, trained=_trained(told))),
            (MERGE, merge.model_dump_json(indent=1)),
        ):
            write_file(partial / name, f"{text.rstrip()}\n".encode(), durable=durable)
    return told


def _write_shard(old: Path, new: Path, tensors: Mapping[str, Tensor], durable: bool) -> None:
    import torch
    from safetensors import safe_open
    from safetensors.torch import save

    with safe_open(old, framework="pt") as held:
        made: dict[str, Tensor] = {}
        for name in held.keys():  # noqa: SIM118  (it is no mapping)
            made[name] = tensors[name].to(held.get_tensor(name).dtype).contiguous()
            if not bool(torch.isfinite(made[name]).all()):
                raise UserError(f"tensor {name!r} holds NaN or infinity after training; lower --lr")
        data = save(made, metadata=held.metadata() or {"format": "pt"})
    write_file(new, data, durable=durable)  # for all to read: safetensors' own files are not


def _goes_on(held: MergeRecord, partial: Path, weights_digest: str) -> MergeRecord:
    """The merge's record with the new digests; what was measured before is not kept."""
    files = {
        path.name: file_digest(path)
        for path in sorted(partial.iterdir())
        if path.is_file() and path.name not in ABOUT and not path.name.startswith(".")
    }
    return held.model_copy(
        update={
            "weights_digest": weights_digest,
            "files": files,
            "models": {name: run for name, run in held.models.items() if name != "merge"},
            "scores": {name: score for name, score in held.scores.items() if name != "merge"},
        }
    )


def trained_of(folder: Path) -> Trained | None:
    """What the model card of a folder says of its repair; None where there was none.

    Raises:
        CheckpointError: ``repair.json`` is no record.
    """
    from lens_ray.merging.repair.make import read_repair

    told = read_repair(folder)
    return None if told is None else _trained(told)


def _trained(told: RepairRecord) -> Trained:
    plan = told.plan
    section = (
        "## Repair\n\n"
        f"The merge was fine-tuned after it was made: {plan.steps} steps of {plan.batch} examples "
        f"of the suite {code(told.calibration)} ({told.examples} different ones, {told.tokens:,} "
        f"tokens), AdamW at {plan.lr:g}. Its weights before had the digest "
        f"{code(told.start_digest)}. `{FILE}` has all of this for programs.\n"
    )
    return Trained("then fine-tuned (below)", section)
