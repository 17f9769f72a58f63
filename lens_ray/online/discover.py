"""Which folders below a run's path are its checkpoints, and of which step: `discover`. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lens_ray.online.marker import MARKER, Marker
from lens_ray.online.place import FolderFact

#: ``step-8700``, ``checkpoint-500``, ``global_step500``, ``iter_0000500``, ``epoch=1-step=500``.
_STEP = re.compile(
    r"(?P<before>.*?(?:global[-_]?step|step|checkpoint|ckpt|iteration|iter)[-_=]?|)(?P<step>[0-9]{1,15})",
    re.IGNORECASE,
)
#: Larger numbers are no steps, and no column of the store holds them.
_MOST = 10**15
_UNFINISHED = re.compile(r"(^|[-_.])(tmp|temp|partial|incomplete)([-_.]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A folder that is, or may become, a checkpoint of a run.

    Attributes:
        step: Of the optimiser.
        folder: What lies in it.
        marker: What its trainer announced; None is not so far.
    """

    step: int
    folder: FolderFact
    marker: Marker | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found below a run's path.

    Attributes:
        candidates: Its checkpoints, by ascending step.
        two_runs: Where it holds checkpoints of two runs: what was found, in one line.
    """

    candidates: tuple[Candidate, ...]
    two_runs: str | None = None


def step_in(name: str) -> tuple[str, int] | None:
    """The pattern and the step in a folder's name; None where it has none."""
    found = _STEP.fullmatch(name)
    if found is None or name.startswith(".") or _UNFINISHED.search(name):
        return None
    return re.sub(r"\d+", "#", found["before"]) + "#", int(found["step"])


def discover(
    folders: Sequence[FolderFact],
    markers: Mapping[str, Marker],
    known: Collection[str] = (),
) -> Discovery:
    """Find a run's checkpoints; what is none is passed over.

    A step announced by the trainer counts before the one in the folder's name. Folders of several
    patterns, or two of one step, are of several runs: only those whose pattern is known from
    before are taken then, and none where nothing is known.

    Args:
        folders: Below the run's path.
        markers: What trainers announced, by the folder's name.
        known: Names of folders that were taken before.
    """
    numbered: dict[str, list[Candidate]] = {}
    announced = []
    for folder in folders:
        if folder.name.startswith("."):  # on its way in or out: a prune renames before it deletes
            continue
        marker = markers.get(folder.name)
        if marker is not None and marker.step >= _MOST:
            marker = None
        # One level deeper only an announcement counts: ``old/step-100`` is no second run.
        named = step_in(folder.name) if "/" not in folder.name else None
        if named is not None and _holds_model(folder):
            step = marker.step if marker is not None else named[1]
            numbered.setdefault(named[0], []).append(Candidate(step, folder, marker))
        elif marker is not None:
            announced.append(Candidate(marker.step, folder, marker))
    two_runs = _two_runs(numbered)
    if two_runs is not None:
        own = {named[0] for name in known if (named := step_in(name)) is not None}
        old = frozenset(known)
        numbered = {
            pattern: [one for one in held if one.folder.name in old or not _twice(held)]
            for pattern, held in numbered.items()
            if pattern in own
        }
    taken = {one.step: one for held in numbered.values() for one in held}
    for one in announced:  # ``final`` beside ``checkpoint-1000``: the same weights
        taken.setdefault(one.step, one)
    return Discovery(tuple(taken[step] for step in sorted(taken)), two_runs)


def _holds_model(folder: FolderFact) -> bool:
    """Whether anything of a model lies in it, if only so far."""
    names = folder.files.keys()
    return (
        MARKER in names
        or "config.json" in names
        or any(PurePosixPath(name).suffix == ".safetensors" for name in names)
    )


def _two_runs(numbered: Mapping[str, Sequence[Candidate]]) -> str | None:
    if len(numbered) > 1:
        first, second = (held[0].folder.name for held in list(numbered.values())[:2])
        return f"two runs in one folder ({first} and {second} have different names)"
    for held in numbered.values():
        if twice := _twice(held):
            return f"two runs in one folder ({twice[0]} and {twice[1]} are the same step)"
    return None


def _twice(held: Sequence[Candidate]) -> tuple[str, str] | None:
    first: dict[int, str] = {}
    for one in held:
        if one.step in first:
            return first[one.step], one.folder.name
        first[one.step] = one.folder.name
    return None
