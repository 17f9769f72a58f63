"""A checkpoint is fine-tuned and written beside itself, whole or not at all: `repair`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lens_ray.errors import CheckpointError, StoreUnavailable, UserError
from lens_ray.merging import record as merge_record
from lens_ray.merging.answers import Example
from lens_ray.merging.live import LiveCheckpoint, load_live
from lens_ray.merging.repair.plan import RepairPlan
from lens_ray.merging.repair.record import FILE, RepairRecord
from lens_ray.merging.repair.train import Trained, fine_tune
from lens_ray.models.checkpoint import CheckpointFacts, assert_swappable, inspect_checkpoint
from lens_ray.node_cache import filling, is_full

if TYPE_CHECKING:
    from torch import Tensor

#: Of the source; the result has its own.
_OWN = (merge_record.FILE, FILE, "README.md")
_NO_WEIGHTS = {".json", ".jinja", ".txt", ".model", ".md"}


def repair(
    folder: str | Path,
    examples: Sequence[Example],
    out: str | Path,
    plan: RepairPlan | None = None,
    *,
    calibration: str,
    calibration_digest: str,
    named: str | None = None,
    threads: int = 1,
) -> RepairRecord:
    """Fine-tune a checkpoint on some examples.

    The result has the tensors, types, files and everything but the numbers of what was trained, so
    that it can be swapped into a warm replica. A folder ``merge.json`` goes on in it, without the
    scores that the merge had before.

    Args:
        folder: A local checkpoint: a merge, or what it is to be compared with.
        examples: What it should say (`lens_ray.merging.answers.examples_of`).
        out: New folder.
        plan: How; None takes the defaults.
        calibration: What the examples are of, for the record.
        calibration_digest: Of that suite.
        named: How the user named the checkpoint; None takes ``folder``.
        threads: Of torch.

    Returns:
        The record, which lies in ``repair.json`` too. Where ``out`` is the result of the same
        repair already, that one is returned and nothing is trained.

    Raises:
        CheckpointError: The folder is no checkpoint that can be trained.
        UserError: ``out`` holds something else, or training failed for the plan's sake.
        EnvironmentFailure: accelerate is missing.
        StoreUnavailable: The disk is full or cannot be written.
    """
    plan = plan or RepairPlan()
    target = Path(out).absolute()
    source = Path(folder).resolve()
    if target.resolve().is_relative_to(source) or source.is_relative_to(target.resolve()):
        raise UserError(f"--out {out}: lies within {folder} or around it; name another folder")
    with _writing(target), filling(target):
        done = _done(target, source, plan, calibration_digest, len(examples))
        if done is not None:
            return done
        live = load_live(source, threads=threads)
        live.settle_names()
        trained = fine_tune(live, examples, plan)
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        made = _write(live, partial)
        record = RepairRecord(
            started_from=named or str(folder), start_digest=live.facts.weights_digest,
            weights_digest=made.weights_digest, calibration=calibration,
            calibration_digest=calibration_digest, examples=len(examples), plan=plan,
            tools=_tools(), **_cost(trained),
        )  # fmt: skip
        _put(partial / FILE, record.model_dump_json(indent=1) + "\n")
        _keep_merge_record(source, partial, made.weights_digest)
        _flush(partial)
        partial.rename(target)
    return record


class _writing:
    """Turns what the disk says into one line."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or not (isinstance(error, OSError) or is_full(error)):
            return
        shutil.rmtree(self._target.with_name(f"{self._target.name}.partial"), ignore_errors=True)
        why = "the disk is full" if is_full(error) else getattr(error, "strerror", None) or error
        raise StoreUnavailable(f"{self._target}: cannot be written: {why}") from error


def _done(
    target: Path, source: Path, plan: RepairPlan, calibration_digest: str, examples: int
) -> RepairRecord | None:
    if not target.exists():
        return None
    held = read_record(target)
    if held is not None and (held.plan, held.calibration_digest, held.examples) == (
        plan, calibration_digest, examples,
    ):  # fmt: skip
        facts = inspect_checkpoint(str(target))
        same = held.start_digest == inspect_checkpoint(str(source)).weights_digest
        if same and facts.weights_digest == held.weights_digest:
            return held
    raise UserError(f"--out {target}: is there already and is another result; name another folder")


def read_record(folder: str | Path) -> RepairRecord | None:
    """What ``repair.json`` of a folder says; None where there is none.

    Raises:
        CheckpointError: It is no record.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        return None
    try:
        return RepairRecord.model_validate_json(file.read_bytes())
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{file}: no record of a repair; was it edited?") from error


def _write(live: LiveCheckpoint, partial: Path) -> CheckpointFacts:
    """The folder with new weights, in the shards and types of the old ones."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    source = Path(live.facts.folder)
    partial.mkdir(parents=True)
    for file in sorted(source.iterdir()):
        if file.is_file() and file.suffix in _NO_WEIGHTS and file.name not in _OWN:
            shutil.copyfile(file, partial / file.name)
    with live.on_disk(live.model.state_dict()) as tensors:
        for shard in live.facts.weights:
            with safe_open(source / shard, framework="pt") as old:
                new: dict[str, Tensor] = {}
                for name in old.keys():  # noqa: SIM118  (no mapping)
                    new[name] = tensors[name].to(old.get_tensor(name).dtype).contiguous()
                    if not bool(torch.isfinite(new[name]).all()):
                        raise UserError(f"{name} holds NaN or infinity after training; lower --lr")
                save_file(new, partial / shard, metadata=old.metadata() or {"format": "pt"})
    _readable(partial)
    made = inspect_checkpoint(str(partial))
    assert_swappable(live.facts, made)
    return made


def _readable(partial: Path) -> None:
    """Safetensors writes files that only their owner may read."""
    mask = os.umask(0)
    os.umask(mask)
    for file in partial.iterdir():
        file.chmod((stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH) & ~mask)


def _keep_merge_record(source: Path, partial: Path, weights_digest: str) -> None:
    """The merge's record goes on with the new digests; what was measured before is not kept."""
    file = source / merge_record.FILE
    if not file.is_file():
        return
    try:
        held = merge_record.MergeRecord.model_validate_json(file.read_bytes())
    except ValueError as error:
        raise CheckpointError(f"{file}: no record of a merge; was it edited?") from error
    files = {
        path.name: _sha256(path)
        for path in sorted(partial.iterdir())
        if path.name not in (merge_record.FILE, "README.md")
    }
    apart = {"merge"}
    new = held.model_copy(
        update={
            "weights_digest": weights_digest,
            "files": files,
            "models": _without(held.models, apart),
            "scores": _without(held.scores, apart),
        }
    )
    _put(partial / merge_record.FILE, new.model_dump_json(indent=1) + "\n")


def _without(held: Mapping[str, object], names: set[str]) -> dict[str, object]:
    return {name: value for name, value in held.items() if name not in names}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put(path: Path, text: str) -> None:
    json.loads(text)
    path.write_text(text, encoding="utf-8")


def _flush(partial: Path) -> None:
    for path in (*partial.iterdir(), partial):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _tools() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("lens-ray", "torch", "transformers", "accelerate")}


def _cost(trained: Trained) -> dict[str, float]:
    return {
        "seen": trained.seen, "tokens": trained.tokens, "answer_tokens": trained.answer_tokens,
        "seconds": round(trained.seconds, 3), "loss_before": trained.mean_loss(last=False),
        "loss_after": trained.mean_loss(last=True),
    }  # fmt: skip
