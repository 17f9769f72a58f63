"""Whether a checkpoint is whole, and what it is: `examine`."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lens_ray.errors import CheckpointError
from lens_ray.models.checkpoint import CheckpointFacts, inspect_checkpoint
from lens_ray.online.discover import Candidate
from lens_ray.online.marker import MARKER, MAX_BYTES, Marker, read_marker
from lens_ray.online.place import FolderFact, FolderPlace, Place
from lens_ray.online.weight_scan import ScanLimit, broken_weights

_WEIGHTS = ".safetensors"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: A header of safetensors may be 100 MB; more of a file than this is no small file of a model.
_SMALL = 100_000_000
#: Of weights in a bucket only the beginnings of some tensors are read: each is one request.
_AFAR = ScanLimit(size=1 << 22, tensors=16)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole checkpoint.

    Attributes:
        shell: Digest of config, tokenizer and processor.
        files: Digest of each of their files, to name the one that differs.
        broken: Why its weights cannot be trusted.
        doubt: Announced as whole, and yet this is wrong with it; asking it will say so.
    """

    shell: str | None
    files: Mapping[str, str]
    broken: str | None = None
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class NotWhole:
    """A checkpoint that lacks something so far.

    Attributes:
        reason: What, in one line.
    """

    reason: str


def marker_of(place: Place, folder: FolderFact) -> Marker | None:
    """What a checkpoint's trainer announced; None where there is no announcement.

    Raises:
        CheckpointError: It is none that can be read.
        StoreUnavailable: It cannot be read.
        FileNotFoundError: It is gone.
    """
    if MARKER not in folder.files:
        return None
    return read_marker(place.read(folder, MARKER, 0, MAX_BYTES + 1), f"{folder.path}/{MARKER}")


def announced_whole(candidate: Candidate) -> bool:
    """Whether its trainer says that it is whole, and every file is there as it says."""
    marker, files = candidate.marker, candidate.folder.files
    return marker is not None and all(
        name in files and files[name].size == size for name, size in marker.files.items()
    )


def examine(place: Place, candidate: Candidate) -> Whole | NotWhole:
    """Read headers and small files, and look into the weights, of a checkpoint at rest.

    Raises:
        StoreUnavailable: It cannot be read.
        FileNotFoundError: It is being deleted.
    """
    folder = candidate.folder
    try:
        facts = _facts(place, folder)
    except CheckpointError as error:
        if announced_whole(candidate):
            return Whole(None, {}, doubt=str(error))
        return NotWhole(str(error))
    limit = ScanLimit() if isinstance(place, FolderPlace) else _AFAR
    sizes = {name: folder.files[name].size for name in facts.weights if name in folder.files}
    broken = broken_weights(
        lambda name, start, length: place.read(folder, name, start, length), sizes, limit
    )
    return Whole(facts.shell_digest, facts.shell, broken)


def what_differs(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """The first file of two shells that differs."""
    odd = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return odd[0] if odd else "config, tokenizer or processor"


def _facts(place: Place, folder: FolderFact) -> CheckpointFacts:
    with _local(place, folder) as path:
        try:
            # Nothing is run here; whoever asks it refuses code that comes along.
            return inspect_checkpoint(str(path), trust_remote_code=True, digest=False)
        except CheckpointError as error:
            raise CheckpointError(str(error).replace(str(path), folder.path)) from error


@contextmanager
def _local(place: Place, folder: FolderFact) -> Iterator[Path]:
    """The folder, or a copy whose weights are holes behind their headers."""
    if isinstance(place, FolderPlace):
        yield Path(folder.path)
        return
    with tempfile.TemporaryDirectory(prefix="lens-whole-") as made:
        for name, fact in folder.model_files.items():
            if not _NAME.fullmatch(name):
                continue
            length = fact.size
            if name.endswith(_WEIGHTS):
                head = int.from_bytes(place.read(folder, name, 0, 8), "little")
                length = 8 + min(head, _SMALL)
            with Path(made, name).open("wb") as file:
                if min(length, fact.size):
                    file.write(place.read(folder, name, 0, min(length, fact.size, _SMALL + 8)))
                file.truncate(fact.size)
        yield Path(made)
