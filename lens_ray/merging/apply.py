"""A recipe carried out: `apply_recipe` writes a model folder that loads like its parents."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.errors import CheckpointError, NoGo, UserError
from lens_ray.merging.card import card
from lens_ray.merging.companions import write_companions, write_file
from lens_ray.merging.destination import Making, is_taken, making
from lens_ray.merging.digests import weights_digest
from lens_ray.merging.layout import Layout, Place, lay_out
from lens_ray.merging.parents import Family, Source, gathered
from lens_ray.merging.reader import Reader
from lens_ray.merging.recipe import AFFINE, Recipe
from lens_ray.merging.record import FILE, MergeRecord, ParentRecord
from lens_ray.merging.stream import KernelOf, stream
from lens_ray.merging.verify.provenance import CARD, read_record
from lens_ray.merging.writer import Digests, Progress, Writer

if TYPE_CHECKING:
    import torch

    from lens_ray.merging.kernel import Kernel
    from lens_ray.merging.methods.slerp import Slerp

_TOOLS = ("lens-ray", "torch", "safetensors")


@dataclass(frozen=True, slots=True)
class _How:
    """How a recipe is carried out; see `apply_recipe`."""

    threads: int | None
    durable: bool
    check: bool
    told: Mapping[str, Any]
    storage_options: Mapping[str, object] | None
    progress: Progress | None
    remark: Callable[[str], None] | None


def apply_recipe(
    recipe: Recipe,
    out: str | Path,
    *,
    threads: int | None = None,
    durable: bool = True,
    check: bool = True,
    told: Mapping[str, Any] | None = None,
    storage_options: Mapping[str, object] | None = None,
    progress: Progress | None = None,
    remark: Callable[[str], None] | None = None,
) -> MergeRecord:
    """Merge checkpoints into a folder, which is whole or not there.

    Where it holds this merge already, of the same parents, nothing is done.

    Args:
        recipe: What is merged and how.
        out: Folder that the merge becomes, or ``s3://`` URL of one.
        threads: None takes every core that this process may use.
        durable: Whether the disk is waited for.
        check: Whether structure and algebra (V0, V1) are verified before the folder gets its name.
        told: Further fields of `MergeRecord`: suite, store, scores, ...
        storage_options: For fsspec, where parents are at URLs.
        progress: Told how many bytes are written, and of how many; by another thread.
        remark: Told what the user may want to know of the recipe's method, in a line.

    Raises:
        CheckpointError: A parent is missing, damaged, or of another model than the others, or the
            recipe gives another digest for it.
        UserError: `out` holds something else, or lies in a parent; the recipe does not fit.
        NoGo: The merge does not pass V0 or V1; nothing is left of it.
        RunBusy: Another process is merging to `out`.
        StoreUnavailable: It cannot be written, the disk is full, or a URL is out of reach.
    """
    if not str(out).removeprefix("file://").strip():
        raise UserError("--out is empty; name the folder that the merge becomes")
    how = _How(threads, durable, check, told or {}, storage_options, progress, remark)
    if "://" in str(out) and not str(out).startswith("file://"):
        from lens_ray.merging.publish import publish

        return publish(str(out), recipe, lambda folder: _to_folder(recipe, folder, how))
    return _to_folder(recipe, Path(str(out).removeprefix("file://")), how)


def _to_folder(recipe: Recipe, out: Path, how: _How) -> MergeRecord:
    out = Path(os.path.abspath(out.expanduser()))
    with gathered(recipe, how.storage_options) as family:
        _require_outside(out, family)
        if is_taken(out):
            return _as_it_is(out, recipe, family)
        with making(out, durable=how.durable) as place:
            if is_taken(out):  # another process was faster
                return _as_it_is(out, recipe, family)
            with family.unchanged():
                record = _made(recipe, family, place, how)
            place.finish()
            return record


def _require_outside(out: Path, family: Family) -> None:
    for source in family.sources:
        if source.folder in (out.resolve(), *out.resolve().parents):
            raise UserError(
                f"{out} lies in the folder of parent {source.name}; take --out beside it"
            )


def _as_it_is(out: Path, recipe: Recipe, family: Family) -> MergeRecord:
    """The record of what is there, if it is this merge."""
    try:
        record = read_record(out)
    except CheckpointError as error:
        raise UserError(
            f"{out} is there already and is no merge; take another --out, or remove it"
        ) from error
    recorded = [one for one in (*record.parents, record.base) if one is not None]
    before = [(one.weights_digest, one.adapter_digest) for one in recorded]
    adapters = [source.adapter_digest for source in family.sources]
    now = list(zip(_parent_digests(family), adapters, strict=True))
    same = record.recipe == recipe and before == now
    if not same or not all((out / name).is_file() for name in record.files):
        what = "is another merge" if not same else "has lost files"
        raise UserError(f"{out} is there already and {what}; take another --out, or remove it")
    files = [name for name in record.files if name.endswith(".safetensors")]
    with closing(Reader(out, files)) as reader:
        if weights_digest(reader, threading.Event()) != record.weights_digest:
            what = "its weights were changed after the merge"
            raise UserError(f"{out} is there already, and {what}; take another --out, or remove it")
    return record


def _parent_digests(family: Family) -> list[str]:
    never = threading.Event()
    return [weights_digest(source.reader, never) for source in family.sources]


def _made(recipe: Recipe, family: Family, place: Making, how: _How) -> MergeRecord:
    """Everything that belongs in the folder."""
    layout = lay_out(family.parents[0].reader.tensors, recipe.dtype, recipe.shard_gb)
    place.require_room(layout.size)
    kernels = _Kernels(recipe, layout)
    written, parents = _write_weights(family, layout, kernels, _keeps_equal(recipe), place, how)
    if how.remark is not None and (said := kernels.remark()) is not None:
        how.remark(said)
    others = write_companions(
        family.parents[0].folder, layout, recipe.dtype, place.partial, durable=how.durable
    )
    records = [_of(source, digest) for source, digest in zip(family.sources, parents, strict=True)]
    record = MergeRecord(
        recipe=recipe,
        base=records.pop().model_copy(update={"name": "base"}) if recipe.base else None,
        parents=tuple(records),
        weights_digest=written.weights,
        files=dict(sorted({**others, **written.files}.items())),
        tools={name: version(name) for name in _TOOLS},
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        **how.told,
    )
    for name, text in ((CARD, card(record)), (FILE, record.model_dump_json(indent=1) + "\n")):
        write_file(place.partial / name, text.encode(), durable=how.durable)
    if how.check:
        _require_sound(recipe, family, place)
    return record


class _Kernels:
    """The kernel of each tensor; those that know an angle in the end are kept."""

    def __init__(self, recipe: Recipe, layout: Layout) -> None:
        from lens_ray.merging.stream import torch_types
        from lens_ray.merging.weights import Weights

        self._recipe = recipe
        self._types: Mapping[str, torch.dtype] = torch_types()
        names = [place.name for place in layout.places if place.merged]
        self._weights = Weights.of(recipe, names)
        self._arcs: list[Slerp] = []

    def __call__(self, place: Place) -> Kernel:
        from lens_ray.merging.methods import kernel_of
        from lens_ray.merging.methods.slerp import Slerp

        source = place.source
        dtype = self._types[source.dtype]
        kernel = kernel_of(self._recipe, place.name, source.shape, dtype, self._weights)
        if isinstance(kernel, Slerp):
            self._arcs.append(kernel)
        return kernel

    def remark(self) -> str | None:
        """What is to be said of the arcs once all tensors are merged."""
        from lens_ray.merging.methods.slerp import like_linear

        return like_linear([kernel.angle for kernel in self._arcs])


def _keeps_equal(recipe: Recipe) -> bool:
    """Whether numbers that all parents and the base share are the merge's.

    Task vectors are zero there, and shares sum to 1. An arc is longer than its chord: slerp moves
    equal numbers where others of the same tensor differ.
    """
    return recipe.base is not None or (recipe.method in AFFINE and recipe.method != "slerp")


def _write_weights(
    family: Family,
    layout: Layout,
    kernel_of: KernelOf,
    keeps_equal: bool,
    place: Making,
    how: _How,
) -> tuple[Digests, list[str]]:
    """The weight files; returns their digests, and those of the family's."""
    writer = Writer(place.partial, layout, how.progress)
    stopped = threading.Event()
    workers = 1 + len(family.sources)
    with closing(writer), ThreadPoolExecutor(workers, thread_name_prefix="digest") as aside:
        try:
            syncing = aside.submit(writer.sync) if how.durable else None
            known = [
                aside.submit(weights_digest, source.reader, stopped) for source in family.sources
            ]
            stream(family, layout, kernel_of, writer, keeps_equal=keeps_equal, threads=how.threads)
            written = writer.digests()
            parents = [digest.result() for digest in known]
            _require_digests(family, parents)
            if syncing is not None:
                syncing.result()
        finally:
            stopped.set()
            writer.end()
    return written, parents


def _require_digests(family: Family, found: list[str]) -> None:
    for source, digest in zip(family.sources, found, strict=True):
        if source.parent.digest not in (None, digest):
            raise CheckpointError(
                f"parent {source.name}: the digest of {source.path} is {digest}, the recipe says "
                f"{source.parent.digest}; take the checkpoint that the recipe was written for"
            )


def _of(source: Source, digest: str) -> ParentRecord:
    return ParentRecord(
        name=source.name,
        path=source.path,
        step=source.parent.step,
        weights_digest=digest,
        shell_digest=source.facts.shell_digest,
        adapter_digest=source.adapter_digest,
    )


def _require_sound(recipe: Recipe, family: Family, place: Making) -> None:
    """V0 and V1; NaN and infinity were looked for while it was written."""
    from lens_ray.merging.checks import failed
    from lens_ray.merging.verify.algebra import algebra
    from lens_ray.merging.verify.structure import structure

    folders = [source.folder for source in family.parents]
    base = family.base.folder if family.base is not None else None
    facts = [source.facts for source in family.sources]
    checks = structure(place.partial, recipe, facts, scan=False)
    if not failed(checks):
        adapters = {source.name: source.adapter for source in family.parents if source.adapter}
        if family.base is not None and family.base.adapter is not None:
            adapters["base"] = family.base.adapter
        checks = algebra(place.partial, recipe, folders, base, adapters=adapters)
    if wrong := failed(checks):
        raise NoGo(
            f"{place.out}: the merge does not pass {wrong[0].tier} {wrong[0].name}: "
            f"{wrong[0].what}; nothing is left of it"
        )
