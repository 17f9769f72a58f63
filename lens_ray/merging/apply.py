"""A recipe carried out: `apply_recipe` writes a model folder that loads like its parents."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.merging.destination import Making, making, sync_folder
from lens_ray.merging.digests import weights_digest
from lens_ray.merging.layout import INDEX, Layout, Place, lay_out
from lens_ray.merging.parents import Family, Source, gathered
from lens_ray.merging.recipe import AFFINE, Recipe
from lens_ray.merging.record import FILE, MergeRecord, ParentRecord
from lens_ray.merging.same_files import model_files
from lens_ray.merging.stream import stream
from lens_ray.merging.writer import MODE, Writer

if TYPE_CHECKING:
    from lens_ray.merging.kernel import Kernel


def apply_recipe(
    recipe: Recipe,
    out: str | Path,
    *,
    threads: int | None = None,
    durable: bool = True,
    check: bool = True,
    told: Mapping[str, Any] | None = None,
    storage_options: Mapping[str, object] | None = None,
) -> MergeRecord:
    """Merge checkpoints into a folder, which is whole or not there.

    Where the folder holds this merge already, nothing is done.

    Args:
        recipe: What is merged and how.
        out: Folder that the merge becomes.
        threads: None takes every core that this process may use.
        durable: Whether the disk is waited for.
        check: Whether structure and algebra (V0, V1) are verified before the folder gets its name.
        told: Further fields of `MergeRecord`: suite, store, scores, ...
        storage_options: For fsspec, where paths are URLs.

    Raises:
        CheckpointError: A parent is missing, damaged, or of another model than the others.
        UserError: `out` holds something else.
        RunBusy: Another process is merging to it.
        StoreUnavailable: It cannot be written, the disk is full, or a URL is out of reach.
    """
    with making(Path(out), durable=durable) as place, gathered(recipe, storage_options) as family:
        layout = lay_out(family.parents[0].reader.tensors, recipe.dtype, recipe.shard_gb)
        _write_weights(recipe, family, layout, place, threads)
        _write_others(recipe, family.parents[0], layout, place.partial)
        record = _record(recipe, family, place.partial, told or {})
        family.require_unchanged()
        _write(place.partial / FILE, record.model_dump_json(indent=2).encode() + b"\n")
        if durable:
            sync_folder(place.partial)
        place.finish()
        return record


def _write_weights(
    recipe: Recipe, family: Family, layout: Layout, place: Making, threads: int | None
) -> None:
    import torch

    from lens_ray.merging.methods import kernel_of
    from lens_ray.merging.weights import Weights

    types = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16}
    weights = Weights.of(recipe, [one.name for one in layout.places if one.merged])

    def kernel(one: Place) -> Kernel:
        dtype = types.get(one.source.dtype, torch.bfloat16)
        return kernel_of(recipe, one.name, one.source.shape, dtype, weights)

    # An arc is longer than its chord: slerp keeps only what is equal in the whole tensor.
    keeps = family.base is not None or (recipe.method in AFFINE and recipe.method != "slerp")
    writer = Writer(place.partial, layout)
    try:
        stream(family, layout, kernel, writer, keeps_equal=keeps, threads=threads)
        if place.durable:
            writer.sync()
    finally:
        writer.close()


def _write_others(recipe: Recipe, first: Source, layout: Layout, folder: Path) -> None:
    """The model's other files, which are equal in all parents: the first one's."""
    for name in model_files(first.folder):
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(first.folder / name, target)
        target.chmod(MODE)
    if layout.index is not None:
        _write(folder / INDEX, layout.index)


def _record(recipe: Recipe, family: Family, folder: Path, told: Mapping[str, Any]) -> MergeRecord:
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    total = hashlib.sha256()
    for name in sorted(name for name in files if name.endswith(".safetensors")):
        total.update((folder / name).read_bytes())
    return MergeRecord(
        recipe=recipe,
        parents=tuple(_of(source) for source in family.parents),
        base=None if family.base is None else _of(family.base),
        weights_digest=total.hexdigest(),
        files=files,
        tools={name: version(name) for name in ("lens-ray", "torch", "safetensors")},
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        **told,
    )


def _of(source: Source) -> ParentRecord:
    return ParentRecord(
        name=source.name,
        path=source.path,
        step=source.parent.step,
        weights_digest=weights_digest(source.reader),
        shell_digest=source.facts.shell_digest,
    )


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def read_record(folder: str | Path) -> MergeRecord:
    """The record of a merge.

    Raises:
        OSError: There is none.
        ValueError: It is none.
    """
    return MergeRecord.model_validate(json.loads((Path(folder) / FILE).read_bytes()))
