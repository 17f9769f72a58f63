"""Which checkpoints of a run are worth their disk: `fates_of`; and `prune`, which deletes the rest.

Nothing is deleted unless somebody says so, and then only a checkpoint that is whole, has answers in
the store, waits for no further question, is neither the newest nor pinned, has not been rewritten
since it was asked, and lies directly in the run's own folder or prefix.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import stat
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, cast, get_args

from lens_ray.errors import StoreUnavailable, UserError
from lens_ray.online.best import before_falls, best_checkpoints, weights_of
from lens_ray.online.findings import Findings
from lens_ray.online.place import FolderFact, open_place
from lens_ray.online.series import Series
from lens_ray.online.spec import WatchSpec
from lens_ray.store.bucket import BucketObjects
from lens_ray.store.watch_log import Pins, Seen, WatchState
from lens_ray.yaml_problems import nearest

Keep = Literal["best_per_ability", "milestones", "before_falls", "everything"]
#: Always kept, whatever the rule: the newest, the pinned, and whatever is not done with.
KEEPS: tuple[Keep, ...] = get_args(Keep)
_TRASH = re.compile(r"\.lens-pruned-[0-9a-f]{32}")
#: Without these a checkpoint in a bucket is seen to be no whole one; they go first.
_FIRST = ("lens-ray.json", "config.json", "model.safetensors.index.json")


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to become of one checkpoint.

    Attributes:
        step: Its step.
        path: Folder or URL.
        kept: Whether it stays.
        why: Reasons to keep it; of one that goes, why it may.
        size: Bytes of its model files; None is not known.
        mark: Fingerprint of the files that were asked.
        pinned: Why somebody pinned it; None where nobody did.
        there: Whether its files are there.
    """

    step: int
    path: str
    kept: bool
    why: tuple[str, ...]
    size: int | None
    mark: str
    pinned: str | None = None
    there: bool = True


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of a checkpoint that was to go.

    Attributes:
        step: Its step.
        path: Folder or URL.
        deleted: Whether it is gone.
        reason: Why it was not deleted, in one line.
    """

    step: int
    path: str
    deleted: bool
    reason: str | None = None


def parse_keep(text: str) -> frozenset[Keep]:
    """What a rule such as ``best_per_ability,milestones`` keeps.

    Raises:
        UserError: It names something unknown, or nothing.
    """
    names = [name.strip() for name in text.removeprefix("keep=").split(",") if name.strip()]
    for name in names:
        if name not in KEEPS:
            raise UserError(f"keep {name!r}: {nearest(name, KEEPS)}")
    if not names:
        raise UserError(f"keep: nothing is named; write one or more of {', '.join(KEEPS)}")
    return frozenset(cast("list[Keep]", names))


def fates_of(
    spec: WatchSpec,
    path: str,
    state: WatchState,
    pins: Pins,
    keep: Collection[Keep],
    *,
    series: Series | None,
    findings: Findings,
    waiting: Collection[int] = (),
) -> tuple[Fate, ...]:
    """What is kept of a run's checkpoints, and why; those that are gone are listed as such.

    Args:
        spec: The watch.
        path: Of the run.
        state: Of the run's checkpoints.
        pins: Of the run.
        keep: What is kept besides the newest and the pinned.
        series: The run as it was asked; None where nothing was.
        findings: Of the same series.
        waiting: Steps of which something is still to be asked.

    Raises:
        StoreUnavailable: The run's folder cannot be listed.
    """
    folders = _folders(path)
    there = {one.step: folders[one.path] for one in state.seen if one.path in folders}
    reasons = _reasons(spec, state, keep, series, findings, there)
    for step in waiting:
        reasons.setdefault(step, []).append("something is still to be asked of it")
    for step, note in pins.steps.items():
        reasons.setdefault(step, []).insert(0, "pinned" + (f": {note}" if note else ""))
    if there:
        reasons.setdefault(max(there), []).append("the newest")
    return tuple(_fate(one, reasons, there, pins, series) for one in state.seen)


def _fate(
    one: Seen,
    reasons: Mapping[int, Sequence[str]],
    there: Mapping[int, FolderFact],
    pins: Pins,
    series: Series | None,
) -> Fate:
    why = [*reasons.get(one.step, ())]
    folder = there.get(one.step)
    if folder is None:
        why = ["its files are gone"]
    elif one.status != "whole":
        why.append({"growing": "it is not whole so far", "skipped": "the policy left it out, so "
                    "nobody knows its score", "failed": "it could not be asked"}.get(
                        one.status, one.status))  # fmt: skip
    elif one.run_id is None or series is None or one.step not in series.steps.tolist():
        why.append("it was not asked so far")
    elif folder.mark != one.asked_mark:
        why.append("it was written to since it was asked")
    return Fate(
        step=one.step,
        path=one.path,
        kept=bool(why) and folder is not None,
        why=tuple(dict.fromkeys(why)) or ("nothing speaks for it",),
        size=one.size if folder is None else folder.size,
        mark=one.asked_mark or one.mark,
        pinned=pins.steps.get(one.step),
        there=folder is not None,
    )


def _reasons(
    spec: WatchSpec,
    state: WatchState,
    keep: Collection[Keep],
    series: Series | None,
    findings: Findings,
    there: Mapping[int, FolderFact],
) -> dict[int, list[str]]:
    """Why checkpoints are kept by the rule."""
    found: dict[int, list[str]] = {}

    def note(step: int | None, why: str) -> None:
        if step is not None:
            found.setdefault(step, []).append(why)

    if "everything" in keep:
        for step in there:
            note(step, "everything is kept")
    if "best_per_ability" in keep and series is not None:
        best = best_checkpoints(
            series,
            margin=spec.rules.margin,
            confidence=spec.rules.confidence,
            weights=weights_of(series, spec.needs),
            among=list(there),
        )
        for name, each in best.items():
            note(each.step, f"best of {name}")
    if "before_falls" in keep:
        for step, ability in before_falls(findings, sorted(there)):
            note(step, f"before {ability} fell")
    if "milestones" in keep:
        for one in state.asked:
            if one.depth == "full" and one.step in there:
                note(one.step, "asked in full")
    return found


def _folders(path: str) -> dict[str, FolderFact]:
    """The folders of a run by their path; none where it is not there."""
    try:
        return {folder.path: folder for folder in open_place(path).folders()}
    except FileNotFoundError:
        return {}


def prune(path: str, fates: Sequence[Fate]) -> tuple[Pruned, ...]:
    """Delete the checkpoints of a run that are not kept.

    Args:
        path: Of the run.
        fates: Of its checkpoints.

    Returns:
        One for each that was to go; whatever speaks against it is a reason, and the others go on.
    """
    doomed = [fate for fate in fates if not fate.kept and fate.there]
    newest = max((fate.step for fate in fates if fate.there), default=None)
    found = []
    for fate in doomed:
        reason = "it is the newest" if fate.step == newest else None
        try:
            if reason is None:
                delete = _delete_objects if path.startswith("s3://") else _delete_folder
                reason = delete(path, fate)
        except (OSError, StoreUnavailable) as error:
            reason = " ".join(str(error).split())
        found.append(Pruned(fate.step, fate.path, reason is None, reason))
    if not path.startswith("s3://"):
        _finish(path)
    return tuple(found)


def _delete_folder(path: str, fate: Fate) -> str | None:
    """Delete a folder directly below the run's; returns why not.

    It gets a name first that no trainer and no watcher takes for a checkpoint, so that whoever is
    killed here leaves none that is half there. Links are unlinked, never followed.
    """
    root = os.path.abspath(os.path.expanduser(path.removeprefix("file://")))
    parent, name = os.path.split(fate.path)
    if parent != root or name in ("", ".", ".."):
        return f"it does not lie directly in {root}"
    current = _folders(path).get(fate.path)
    if current is None:
        return None  # somebody else was faster
    if current.mark != fate.mark:
        return "it was written to since it was asked"
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not stat.S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
            return "it is a link; delete it by hand"
        trash = f".lens-pruned-{uuid.uuid4().hex}"
        os.rename(name, trash, src_dir_fd=top, dst_dir_fd=top)
        if not stat.S_ISDIR(os.stat(trash, dir_fd=top, follow_symlinks=False).st_mode):
            os.rename(trash, name, src_dir_fd=top, dst_dir_fd=top)  # changed under our hands
            return "it is a link; delete it by hand"
        shutil.rmtree(trash, dir_fd=top)
    finally:
        os.close(top)
    return None


def _finish(path: str) -> None:
    """Delete what an earlier prune left when it was killed."""
    root = os.path.abspath(os.path.expanduser(path.removeprefix("file://")))
    with suppress(OSError):
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in os.listdir(top):
                facts = os.stat(name, dir_fd=top, follow_symlinks=False)
                if _TRASH.fullmatch(name) and stat.S_ISDIR(facts.st_mode):
                    shutil.rmtree(name, dir_fd=top)
        finally:
            os.close(top)


def _delete_objects(path: str, fate: Fate) -> str | None:
    """Delete the objects below a checkpoint's own prefix; returns why not."""
    run = BucketObjects(path)
    parent, name = posixpath.split(fate.path)
    if parent != run.url or name in ("", ".", ".."):
        return f"it does not lie directly in {run.url}"
    current = _folders(path).get(fate.path)
    if current is not None and current.mark != fate.mark:
        return "it was written to since it was asked"
    keys = [found.key for found in run.list(f"{name}/")]
    first = [f"{name}/{each}" for each in _FIRST]
    for key in sorted(keys, key=lambda key: (key not in first, key)):
        if not key.startswith(f"{name}/"):
            return f"{key} does not lie in it"
        run.delete(key)
    return None
