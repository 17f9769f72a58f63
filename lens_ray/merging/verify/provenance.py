"""V5: is this the merge that its record tells of? `provenance`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG

from pydantic import ValidationError

from lens_ray.errors import CheckpointError
from lens_ray.merging.checks import Check
from lens_ray.merging.record import FILE, MergeRecord, ParentRecord
from lens_ray.models.checkpoint import CheckpointFacts

#: Files that are written after the merge was made and say things of it: its record, its model
#: card, what the last verification found.
CARD = "README.md"
VERIFIED = "verification.json"
ABOUT = (FILE, CARD, VERIFIED)
#: What `lens_ray.models.remote` copies of a bucket; licence texts and notes stay there.
_COPIED = (".safetensors", ".json", ".jinja", ".txt", ".model", ".py")
_LIMIT = 64 * 2**20
_CHUNK = 1 << 22


def read_record(folder: Path) -> MergeRecord:
    """What ``merge.json`` says.

    Raises:
        CheckpointError: There is none, or it is none.
    """
    path = folder / FILE
    try:
        if not S_ISREG(path.stat().st_mode):
            raise CheckpointError(f"{path}: no file; make the merge again")
        if path.stat().st_size > _LIMIT:
            raise CheckpointError(f"{path}: larger than {_LIMIT} bytes; this is no merge's record")
        return MergeRecord.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} has no {FILE}; name a folder that lens-ray merge made, or give the recipe "
            "that made it: --recipe RECIPE.yaml"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"{path}: {where}: {first['msg']}; make the merge again, or give its recipe: --recipe"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: no valid JSON ({error}); make the merge again") from error


def provenance(
    folder: Path,
    record: MergeRecord,
    parents: Mapping[str, CheckpointFacts | str],
    adapters: Mapping[str, str] | None = None,
    *,
    copied: bool = False,
) -> tuple[Check, ...]:
    """Compute every digest of a record once more.

    Args:
        folder: Of the merge.
        record: Of it.
        parents: By name in the recipe (``base`` of the base), each with the digest of its weights;
            of a parent that is not at hand, why.
        adapters: Digests of the adapters as they lie now, by parent's name.
        copied: Whether the folder is a copy of one in a bucket, of what makes a model only.
    """
    told = {one.name: one for one in record.parents}
    if record.base is not None:
        told["base"] = record.base
    found = _weights_digest(folder)
    return (
        _files(folder, record, copied),
        _weights(found, record),
        *_repair(folder, found),
        *(
            _parent(name, one, parents.get(name, "not at hand"), (adapters or {}).get(name))
            for name, one in told.items()
        ),
    )


def _files(folder: Path, record: MergeRecord, copied: bool) -> Check:
    there = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in ABOUT
    }
    told = {
        name: digest
        for name, digest in record.files.items()
        if name not in ABOUT and (not copied or ("/" not in name and name.endswith(_COPIED)))
    }
    faults = [f"{name} is missing" for name in sorted(told.keys() - there.keys())]
    faults += [f"{name} is not in {FILE}" for name in sorted(there.keys() - told.keys())]
    faults += [
        f"{name} was changed after the merge"
        for name in sorted(there.keys() & told.keys())
        if file_digest(there[name]) != told[name]
    ]
    figures = {"files": len(told)}
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return Check("V5", "files", "fail", f"{faults[0]}{more}", figures)
    what = f"{len(told)} files have the SHA-256 that {FILE} says, and there is no other"
    return Check("V5", "files", "pass", what, figures)


def _weights_digest(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*.safetensors") if path.is_file())
    total = hashlib.sha256()
    for name in names:
        _take(total, folder / name)
    return total.hexdigest()


def _repair(folder: Path, found: str) -> tuple[Check, ...]:
    """Whether the weights are those that the fine-tune after the merge made, if there was one."""
    from lens_ray.merging.repair.make import read_repair

    try:
        told = read_repair(folder)
    except CheckpointError as error:
        return (Check("V5", "repair", "fail", str(error)),)
    if told is None:
        return ()
    if told.weights_digest != found:
        what = f"the weights have digest {found[:12]}, the repair made {told.weights_digest[:12]}"
        return (Check("V5", "repair", "fail", what),)
    what = (
        f"the weights are what {told.plan.steps} steps on {told.calibration} made of "
        f"{told.start_digest[:12]}"
    )
    return (Check("V5", "repair", "pass", what),)


def _weights(found: str, record: MergeRecord) -> Check:
    if found == record.weights_digest:
        return Check("V5", "weights", "pass", f"weights are those of the record, {found[:12]}")
    what = f"the weights have digest {found[:12]}, the record says {record.weights_digest[:12]}"
    return Check("V5", "weights", "fail", what)


def _parent(
    name: str, told: ParentRecord, found: CheckpointFacts | str, adapter: str | None
) -> Check:
    if isinstance(found, str):
        return Check("V5", "parent", "skipped", f"{told.path}: {found}", subject=name)
    faults = []
    if found.weights_digest != told.weights_digest:
        faults.append(_other("weights", found.weights_digest, told.weights_digest))
    if found.shell_digest != told.shell_digest:
        shell = "config, tokenizer or processor"
        faults.append(_other(shell, found.shell_digest, told.shell_digest))
    if told.adapter_digest is not None and adapter != told.adapter_digest:
        faults.append(_other("adapter", adapter or "", told.adapter_digest))
    if faults:
        return Check("V5", "parent", "fail", f"{told.path}: {faults[0]}", subject=name)
    what = f"{told.path} is what was merged, weights {told.weights_digest[:12]}"
    return Check("V5", "parent", "pass", what, subject=name)


def _other(what: str, found: str, told: str) -> str:
    there = f"digest {found[:12]}" if found else "not there"
    return f"{what}: {there}, merged was {told[:12]}; the parent was replaced after the merge"


def rerun(record: MergeRecord, again: MergeRecord, trained_from: str | None = None) -> Check:
    """Whether the recipe, carried out once more, gave the same bytes.

    Args:
        record: Of the merge.
        again: Of the second one.
        trained_from: Digest of the weights before they were fine-tuned, where they were.
    """
    wanted = record.weights_digest if trained_from is None else trained_from
    if again.weights_digest != wanted:
        told = ", ".join(f"{name} {version}" for name, version in sorted(record.tools.items()))
        what = (
            f"the recipe gives weights {again.weights_digest[:12]} now, it gave {wanted[:12]}; "
            f"it was made with {told or 'no version that is known'}"
        )
        return Check("V5", "rerun", "fail", what)
    what = f"the recipe gives the same weights again, byte for byte, {wanted[:12]}"
    return Check("V5", "rerun", "pass", what)


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    total = hashlib.sha256()
    _take(total, path)
    return total.hexdigest()


def _take(total: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
