"""A checkpoint is fine-tuned and written beside itself, whole or not at all: `repair`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lens_ray.errors import CheckpointError, UserError
from lens_ray.merging.answers import Example
from lens_ray.merging.destination import is_taken, making
from lens_ray.merging.live import load_live
from lens_ray.merging.repair.plan import RepairPlan
from lens_ray.merging.repair.record import FILE, RepairRecord
from lens_ray.merging.repair.train import Trained, fine_tune
from lens_ray.merging.repair.write import write_repaired
from lens_ray.models.checkpoint import inspect_checkpoint

_TOOLS = ("lens-ray", "torch", "transformers", "accelerate")


def repair(
    folder: str | Path,
    examples: Sequence[Example],
    out: str | Path,
    plan: RepairPlan | None = None,
    *,
    calibration: tuple[str, str],
    named: str | None = None,
    threads: int = 1,
    durable: bool = True,
) -> RepairRecord:
    """Fine-tune a checkpoint on some examples.

    The result has the tensors, types, files and everything but the numbers of what was trained, so
    that it can be swapped into a warm replica. A merge's ``merge.json`` goes on in it, without the
    scores that the merge had before.

    Args:
        folder: A local checkpoint: a merge, or what it is to be compared with.
        examples: What it should say (`lens_ray.merging.answers.examples_of`).
        out: New folder.
        plan: How; None takes the defaults.
        calibration: Name and digest of the suite that the examples are of, for the record.
        named: How the user named the checkpoint; None takes ``folder``.
        threads: Of torch.
        durable: Whether the disk is waited for.

    Returns:
        The record, which lies in ``repair.json`` too. Where ``out`` is the result of the same
        repair already, that one is returned and nothing is trained.

    Raises:
        CheckpointError: The folder is no checkpoint that can be trained.
        UserError: ``out`` holds something else, or training failed for the plan's sake.
        EnvironmentFailure: accelerate is missing.
        RunBusy: Another process is writing to ``out``.
        StoreUnavailable: The disk is full or cannot be written.
    """
    plan = plan or RepairPlan()
    source, target = Path(folder).resolve(), Path(os.path.abspath(Path(out).expanduser()))
    if source in (target.resolve(), *target.resolve().parents):
        raise UserError(f"--out {out}: lies in {folder}; take a folder beside it")
    if is_taken(target):
        return _as_it_is(target, source, plan, calibration[1])
    with making(target, durable=durable) as place:
        if is_taken(target):  # another process was faster
            return _as_it_is(target, source, plan, calibration[1])
        live = load_live(source, threads=threads)
        place.require_room(sum(one.elements for one in live.facts.tensors.values()) * 2)
        live.settle_names()
        trained = fine_tune(live, examples, plan)

        def record(weights_digest: str) -> RepairRecord:
            return RepairRecord(
                started_from=named or str(folder),
                start_digest=live.facts.weights_digest,
                weights_digest=weights_digest,
                calibration=calibration[0],
                calibration_digest=calibration[1],
                examples=len(examples),
                plan=plan,
                tools=_tools(),
                **_cost(trained),
            )

        made = write_repaired(live, place.partial, record, durable=durable)
        place.finish()
    return made


def read_repair(folder: str | Path) -> RepairRecord | None:
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


def _as_it_is(target: Path, source: Path, plan: RepairPlan, digest: str) -> RepairRecord:
    """The record of what is there, if it is this repair."""
    held = read_repair(target) if target.is_dir() else None
    if held is not None and (held.plan, held.calibration_digest) == (plan, digest):
        whole = inspect_checkpoint(str(target)).weights_digest == held.weights_digest
        if whole and inspect_checkpoint(str(source)).weights_digest == held.start_digest:
            return held
    raise UserError(
        f"--out {target} is there already, and is not this repair; take another, or remove it"
    )


def _tools() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in _TOOLS}


def _cost(trained: Trained) -> dict[str, float]:
    return {
        "seen": trained.seen,
        "tokens": trained.tokens,
        "answer_tokens": trained.answer_tokens,
        "seconds": round(trained.seconds, 3),
        "loss_before": trained.mean_loss(last=False),
        "loss_after": trained.mean_loss(last=True),
    }
