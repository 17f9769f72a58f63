"""Suites on disk and in buckets: write, read, and the images on demand."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lens_ray.errors import EnvironmentFailure, SuiteError
from lens_ray.node_cache import is_full, no_room
from lens_ray.suites.digest import suite_digest
from lens_ray.suites.image_writer import ImageWriter
from lens_ray.suites.images import Pixels, decode_png, encode_png, image_hash
from lens_ray.suites.sample import Sample
from lens_ray.suites.seen import SeenImages
from lens_ray.suites.suite import Suite, SuiteInfo

SCHEMA_VERSION = 1
#: Keys of ``suite.json`` that older versions neither write nor read.
_LATER = frozenset({"weighting", "sources", "recipe"})
FILES: tuple[str, ...] = ("samples.parquet", "images.parquet", "suite.json")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,99}")
#: Row groups of images kept in memory at once by one reader.
_GROUPS_KEPT = 4

_STRINGS = pa.list_(pa.string())
_SAMPLES = pa.schema(
    [
        ("sample_id", pa.string()), ("ability", pa.string()), ("source", pa.string()),
        ("subtask", pa.string()), ("format", pa.string()), ("domain", pa.string()),
        ("images", _STRINGS), ("question", pa.string()), ("choices", _STRINGS),
        ("answers", _STRINGS), ("metric", pa.string()), ("chance", pa.float64()),
        ("upper", pa.float64()), ("cluster_id", pa.string()), ("group_id", pa.string()),
        ("split", pa.string()), ("variant", pa.string()), ("max_new_tokens", pa.int64()),
        ("meta", pa.map_(pa.string(), pa.string())),
    ]
)  # fmt: skip


def is_url(location: str) -> bool:
    """Whether a location is a URL and not a folder."""
    return "://" in location


def filesystem_of(location: str) -> tuple[Any, str]:
    """The file system (fsspec's) of a folder or URL, and the path in it.

    Raises:
        SuiteError: No such protocol is known.
    """
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(location)
    except (ImportError, ValueError) as error:
        raise SuiteError(f"suite {location}: {error}; give a folder or an s3:// URL") from error
    return filesystem, str(root).rstrip("/")


def unreachable(location: str, error: Exception) -> EnvironmentFailure:
    """What to raise where a URL does not answer."""
    cause = " ".join(str(error).split())[:200] or type(error).__name__
    return EnvironmentFailure(
        f"suite {location}: cannot be reached ({cause}); check the URL, the network and the keys"
    )


def make_info(
    name: str,
    samples: Sequence[Sample],
    image_hashes: Iterable[str],
    licence: str,
    revision: str,
    *,
    weighting: str = "samples",
) -> SuiteInfo:
    """The facts of a suite: its counts, its weights and its digest.

    Raises:
        SuiteError: The name cannot be one, there is no sample, or two share an id.
    """
    if not _NAME.fullmatch(name):
        raise SuiteError(f"suite name {name!r}: use letters, digits and . _ : + - only")
    if not samples:
        raise SuiteError(f"suite {name}: there is no sample in it")
    twice = [key for key, count in Counter(s.sample_id for s in samples).items() if count > 1]
    if twice:
        raise SuiteError(f"suite {name}: sample id {twice[0]!r} is used more than once")
    counts: dict[str, dict[str, int]] = {}
    for sample in samples:
        subtasks = counts.setdefault(sample.ability, {})
        subtasks[sample.subtask] = subtasks.get(sample.subtask, 0) + 1
    weights = {ability: _weights(subtasks, weighting) for ability, subtasks in counts.items()}
    hashes = sorted(image_hashes)
    digest = suite_digest(samples, hashes, weighting)
    return SuiteInfo(
        name, digest, licence, revision, counts, weights, len(hashes), weighting=weighting
    )


def _weights(subtasks: Mapping[str, int], weighting: str) -> dict[str, float]:
    if weighting == "uniform":
        return {name: 1 / len(subtasks) for name in subtasks}
    if weighting != "samples":
        raise SuiteError(f"weighting {weighting!r} is not known; give samples or uniform")
    total = sum(subtasks.values())
    return {name: count / total for name, count in subtasks.items()}


def _sample_table(samples: Sequence[Sample]) -> pa.Table:
    columns: dict[str, list[object]] = {}
    for field in _SAMPLES.names:
        values = [getattr(sample, field) for sample in samples]
        if field == "meta":
            values = [sorted(value.items()) for value in values]
        elif field in ("images", "choices", "answers"):
            values = [list(value) for value in values]
        columns[field] = values
    return pa.table(columns, schema=_SAMPLES)


def _check_images(name: str, samples: Sequence[Sample], images: Mapping[str, Pixels]) -> None:
    for key, pixels in images.items():
        if pixels.dtype != "uint8" or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise SuiteError(
                f"suite {name}: image {key[:12]} is {pixels.dtype} {pixels.shape}; "
                "give uint8 of height x width x 3"
            )
        if image_hash(pixels) != key:
            raise SuiteError(f"suite {name}: image {key[:12]} does not have the hash of its key")
    for sample in samples:
        for key in sample.images:
            if key not in images:
                raise SuiteError(f"suite {name}: {sample.sample_id} needs the image {key[:12]}")


def write(
    name: str,
    samples: Sequence[Sample],
    images: Mapping[str, Pixels],
    directory: str | Path,
    *,
    licence: str,
    revision: str,
) -> Suite:
    """See `lens_ray.suites.suite.write_suite`."""
    location = str(directory)
    _check_images(name, samples, images)
    info = make_info(name, samples, images, licence, revision)
    with tempfile.TemporaryDirectory() as scratch:
        with ImageWriter(Path(scratch, "images.parquet")) as writer:
            for key in sorted(images):
                pixels = images[key]  # a pack's photos are decoded at each look
                writer.add(key, encode_png(pixels), pixels.shape[1], pixels.shape[0])
        write_samples(samples, Path(scratch, "samples.parquet"))
        write_info(info, Path(scratch, "suite.json"))
        place(Path(scratch), location, info.digest)
    return Suite(name, info.digest, tuple(samples), info, location)


def copy_suite(suite: Suite, location: str) -> Suite:
    """Copy a suite as it is, its images looked at, to a folder or URL.

    Raises:
        SuiteError: An image is damaged, or the folder holds something else.
        EnvironmentFailure: The URL cannot be written, or the disk is full.
    """
    with tempfile.TemporaryDirectory() as scratch:
        with ImageWriter(Path(scratch, "images.parquet")) as writer:
            for key, (width, height) in suite.image_sizes().items():
                writer.add(key, suite.image_bytes(key), width, height)
        write_samples(suite.samples, Path(scratch, "samples.parquet"))
        write_info(suite.info, Path(scratch, "suite.json"))
        place(Path(scratch), location, suite.digest)
    return Suite(suite.name, suite.digest, suite.samples, suite.info, location)


def write_samples(samples: Sequence[Sample], file: Path) -> None:
    """Write ``samples.parquet``."""
    # A stream of Python's own: its errors keep their number (a full disk has one).
    with file.open("wb") as stream:
        pq.write_table(_sample_table(samples), stream, compression="zstd")


def write_info(info: SuiteInfo, file: Path) -> None:
    """Write ``suite.json``; what is as in every suite of an older version is left out."""
    facts = asdict(info)
    for field in fields(info):
        if field.name in _LATER and facts[field.name] == _default(field):
            del facts[field.name]
    file.write_text(json.dumps(facts, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


def _default(field: Field[Any]) -> object:
    return field.default if field.default is not MISSING else {}


def place(scratch: Path, location: str, digest: str, *, move: bool = False) -> None:
    """Put the files of a suite, made in a folder, to the folder or URL where it is to be.

    Args:
        scratch: Holds the three files.
        location: Folder or URL.
        digest: Of the suite.
        move: Whether `scratch` may go; on the same disk nothing is copied then.

    Raises:
        SuiteError: The folder cannot be written, or holds something else.
        EnvironmentFailure: The URL cannot be written, or the disk is full.
    """
    if not is_url(location):
        publish(scratch, Path(location), digest, move=move)
        return
    filesystem, root = filesystem_of(location)
    try:
        for file in FILES:  # suite.json comes last: without it there is no suite
            filesystem.put_file(f"{scratch}/{file}", f"{root}/{file}")
    except Exception as error:  # clients of buckets raise classes of their own
        raise unreachable(location, error) from error


def publish(scratch: Path, target: Path, digest: str, *, move: bool = False) -> None:
    """Move the files of a suite to their folder by one rename.

    Where another process was faster with the same suite, its folder stays.

    Args:
        scratch: Holds the three files.
        target: Folder that is to be; none, or an empty one.
        digest: Of the suite.
        move: Whether `scratch` itself may become the folder.

    Raises:
        SuiteError: The folder cannot be written, or holds something else.
        StoreUnavailable: The disk is full.
    """
    partial = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if move and scratch.stat().st_dev == target.parent.stat().st_dev:
            os.rename(scratch, target)
            return
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        for file in FILES:
            shutil.copyfile(scratch / file, partial / file)
        partial.chmod(0o755)
        os.rename(partial, target)
    except OSError as error:
        held = _digest_of(target)
        if held != digest:
            if is_full(error):
                size = sum(file.stat().st_size for file in scratch.iterdir())
                raise no_room(target.parent, size) from error
            found = f"it holds {held[:12]}" if held else (error.strerror or type(error).__name__)
            raise SuiteError(
                f"suite folder {target}: cannot be written ({found}); give an empty folder"
            ) from error
    finally:
        if partial is not None and partial.exists():
            shutil.rmtree(partial)


def _digest_of(folder: Path) -> str | None:
    try:
        facts = json.loads((folder / "suite.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    digest = facts.get("digest") if isinstance(facts, dict) else None
    return digest if isinstance(digest, str) else None


def read_info(location: str) -> SuiteInfo:
    """The facts of ``suite.json``, not yet compared with the content.

    Raises:
        SuiteError: There is none, or it is not valid.
    """
    filesystem, root = filesystem_of(location)
    try:
        facts = json.loads(filesystem.cat_file(f"{root}/suite.json"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SuiteError(
            f"suite {location}: there is no suite.json in it; "
            "give a folder that `lens-ray suite build` wrote"
        ) from error
    except ValueError as error:
        raise SuiteError(f"suite {location}: suite.json is not JSON ({error})") from error
    except Exception as error:  # clients of buckets raise classes of their own
        raise unreachable(location, error) from error
    version = facts.get("schema_version") if isinstance(facts, dict) else None
    if version != SCHEMA_VERSION:
        raise SuiteError(
            f"suite {location}: suite.json has schema_version {version!r}; "
            f"this version of lens-ray reads {SCHEMA_VERSION}"
        )
    try:
        return SuiteInfo(**facts)
    except TypeError as error:
        raise SuiteError(f"suite {location}: suite.json has other keys ({error})") from error


def _open_table(location: str, file: str) -> pq.ParquetFile:
    filesystem, root = filesystem_of(location)
    try:
        stream = filesystem.open(f"{root}/{file}", "rb")
    except FileNotFoundError as error:
        raise SuiteError(f"suite {location}: {file} is missing; build the suite again") from error
    except Exception as error:  # clients of buckets raise classes of their own
        raise unreachable(location, error) from error
    try:
        return pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        stream.close()
        raise SuiteError(
            f"suite {location}: {file} is damaged or cut off; build the suite again"
        ) from error


def _read_samples(location: str) -> tuple[Sample, ...]:
    try:
        with _open_table(location, "samples.parquet") as file:
            table = file.read(use_threads=False)
        if table.schema.names != _SAMPLES.names:
            raise SuiteError(f"suite {location}: samples.parquet has other columns")
        rows = table.cast(_SAMPLES).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise SuiteError(f"suite {location}: samples.parquet is damaged") from error
    for row in rows:
        row["meta"] = dict(row["meta"] or ())
        for key in ("images", "choices", "answers"):
            row[key] = tuple(row[key] or ())
    return tuple(Sample(**row) for row in rows)


def read(location: str) -> Suite:
    """See `lens_ray.suites.suite.read_suite`."""
    info = read_info(location)
    samples = _read_samples(location)
    shelf = ImageShelf(location)
    found = make_info(
        info.name, samples, shelf.sizes(), info.licence, info.revision, weighting=info.weighting
    )
    if found.digest != info.digest:
        raise SuiteError(
            f"suite {location}: its content has digest {found.digest[:12]}, suite.json says "
            f"{str(info.digest)[:12]}; build the suite again"
        )
    if found != replace(info, sources={}, recipe={}):
        raise SuiteError(f"suite {location}: suite.json has other counts or weights than its rows")
    for sample in samples:
        if not all(image in shelf.sizes() for image in sample.images):
            raise SuiteError(f"suite {location}: an image of {sample.sample_id} is missing")
    return Suite(info.name, info.digest, samples, info, location)


class ImageShelf:
    """The images of a suite, one row group at a time, a few of them kept."""

    def __init__(self, location: str, digest: str | None = None) -> None:
        self._location = location
        self._seen = SeenImages(digest) if digest is not None else None
        self._file = _open_table(location, "images.parquet")
        self._rows: dict[str, tuple[int, int]] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._groups: OrderedDict[int, list[bytes]] = OrderedDict()
        try:
            facts = self._file.read(columns=["hash", "width", "height"], use_threads=False)
            hashes = facts.column("hash").to_pylist()
            sizes = zip(
                facts.column("width").to_pylist(), facts.column("height").to_pylist(), strict=True
            )
            self._sizes = dict(zip(hashes, sizes, strict=True))
            row = 0
            for group in range(self._file.metadata.num_row_groups):
                for number in range(self._file.metadata.row_group(group).num_rows):
                    self._rows[hashes[row]] = (group, number)
                    row += 1
        except (pa.ArrowException, OSError, KeyError) as error:
            raise SuiteError(f"suite {location}: images.parquet is damaged") from error

    def sizes(self) -> Mapping[str, tuple[int, int]]:
        """Width and height of each image."""
        return self._sizes

    def read(self, image: str) -> bytes:
        """The encoded bytes of an image, its pixels looked at once on this machine."""
        if image not in self._rows:
            raise SuiteError(f"suite {self._location}: it holds no image {image[:12]}")
        group, row = self._rows[image]
        if group not in self._groups:
            try:
                column = self._file.read_row_group(
                    group, columns=["png"], use_threads=False
                ).column("png")
            except (pa.ArrowException, OSError) as error:
                raise SuiteError(f"suite {self._location}: images.parquet is damaged") from error
            self._groups[group] = column.to_pylist()
            while len(self._groups) > _GROUPS_KEPT:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        data = self._groups[group][row]
        if self._seen is not None and self._seen.knows(image, data):
            return data
        if image_hash(decode_png(data, image[:12])) != image:
            raise SuiteError(
                f"suite {self._location}: image {image[:12]} has other pixels than its hash says"
            )
        if self._seen is not None:
            self._seen.add(image, data)
        return data
