"""From a pack to a suite: `load_pack`, `build_pack`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from lens_ray.errors import SuiteError
from lens_ray.suites.files import make_info
from lens_ray.suites.mini.item import Dealer
from lens_ray.suites.packs.demo import DEMOS
from lens_ray.suites.packs.photos import Photos
from lens_ray.suites.packs.rows import samples_of
from lens_ray.suites.packs.schema import FILE, Pack, Subtask, read_pack
from lens_ray.suites.packs.tables import TableRow, read_rows
from lens_ray.suites.sample import Sample
from lens_ray.suites.splits import assign_splits
from lens_ray.suites.suite import Suite, read_suite, write_suite

PREFIX = "pack:"
_SHIPPED = Path(__file__).parent / "shipped"
#: The packs that come with lens-ray.
SHIPPED: tuple[str, ...] = tuple(sorted(file.parent.name for file in _SHIPPED.glob(f"*/{FILE}")))


@dataclass(frozen=True)
class PackContent:
    """What a pack holds.

    Attributes:
        pack: What its file says.
        samples: Its questions, their splits given.
        images: Pixels by hash.
    """

    pack: Pack
    samples: tuple[Sample, ...]
    images: Photos


def pack_file(ref: str | Path) -> Path | None:
    """The ``pack.yaml`` of a reference, or None where it is of no pack.

    Args:
        ref: ``pack:NAME`` of one that is shipped, a folder that holds a ``pack.yaml``, or that
            file.

    Raises:
        SuiteError: No pack of this name is shipped.
    """
    text = str(ref)
    if text.startswith(PREFIX):
        name = text.removeprefix(PREFIX)
        if name not in SHIPPED:
            near = get_close_matches(name, SHIPPED, 1, 0.0)[0]
            raise SuiteError(f"no pack {name!r} is shipped; the nearest is {PREFIX}{near}")
        return _SHIPPED / name / FILE
    path = Path(ref)
    if path.name == FILE and path.is_file():
        return path
    return path / FILE if (path / FILE).is_file() else None


def load_pack(ref: str | Path) -> PackContent:
    """Read a pack and all that it names.

    Args:
        ref: As in `pack_file`.

    Raises:
        SuiteError: There is no such pack, or something in it is not as it should be; one line
            names the file, the row and the column.
    """
    file = pack_file(ref)
    if file is None:
        raise SuiteError(f"pack {ref}: there is no {FILE} in it; write one, or give pack:NAME")
    pack = read_pack(file)
    photos = Photos()
    samples: list[Sample] = []
    for subtask in pack.subtasks:
        folder = file.parent / (subtask.images or ".")
        if not folder.is_dir():
            raise SuiteError(f"{file}: subtask {subtask.name}: there is no folder {folder}")
        rows = _rows(pack, subtask, file.parent)
        samples += samples_of(pack, subtask, rows, folder, photos)
    _check_twins(samples)
    return PackContent(pack, assign_splits(samples, _seed(pack.name, "splits")), photos)


def build_pack(
    ref: str | Path, out: str | Path | None = None, *, home: str | Path | None = None
) -> Suite:
    """Build a pack into a suite.

    Args:
        ref: As in `pack_file`.
        out: Folder or URL to write it to; left out, beside the other suites of this user, where a
            suite of the same content is found again.
        home: As in `lens_ray.suites.suite.load_suite`.

    Raises:
        SuiteError: As of `load_pack`; nothing is left under the final name.
    """
    from lens_ray.suites.load import folder_name, suites_home

    content = load_pack(ref)
    pack = content.pack
    if out is None:
        info = make_info(pack.name, content.samples, content.images, pack.licence, pack.revision)
        out = suites_home(home) / folder_name(pack.name, info.digest)
        if (Path(out) / "suite.json").exists():
            return read_suite(str(out))
    return write_suite(
        pack.name, content.samples, content.images, out,
        licence=pack.licence, revision=pack.revision,
    )  # fmt: skip


def notices(suite: Suite) -> list[str]:
    """What whoever uses a suite must know, as the pack that it was built from says it."""
    return sorted({sample.meta["notice"] for sample in suite.samples if "notice" in sample.meta})


def _rows(pack: Pack, subtask: Subtask, folder: Path) -> Iterator[TableRow]:
    if subtask.data is not None:
        yield from read_rows(folder / subtask.data)
        return
    assert subtask.demo is not None
    # Twins name the same generator and see the same pictures.
    dealer = Dealer(_seed(pack.name, "demo", subtask.demo))
    for number in range(1, subtask.count + 1):
        place = f"demo {subtask.demo} row {number}"
        yield TableRow(number, place, DEMOS[subtask.demo](dealer))


def _seed(*parts: str) -> int:
    path = "/".join(("lens-ray-pack-1", *parts))
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big")


def _check_twins(samples: list[Sample]) -> None:
    known = {sample.sample_id: sample for sample in samples}
    for sample in samples:
        name = sample.meta.get("twin")
        if name is None:
            continue
        if name not in known:
            raise SuiteError(f"{sample.sample_id}: its twin {name} does not exist; give both an id")
        if known[name].images != sample.images:
            raise SuiteError(f"{sample.sample_id}: its twin {name} shows other photos")
