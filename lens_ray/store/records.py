"""What the small JSON objects of a store hold: run headers, manifests, commits.

Add-only, as the tables are: a reader skips keys that it does not know and gives missing ones
their default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from lens_ray.errors import StoreError
from lens_ray.store.schema import SCHEMA_VERSION, STATUSES

STORE_KIND = "lens-ray-store"
_RUN_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_FILE = re.compile(r"rows/\d{8}-[0-9a-f]{12}\.parquet|scores/[0-9a-f]{12}\.parquet")
_SHA256 = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What a run is, fixed when it is first opened.

    Attributes:
        run_id: Identity of the run, from all that makes its rows reusable.
        model: Name of the model in the job that opened it.
        model_key: Identity of what answers.
        weights_digest: Digest of its weights.
        suite: Name of the suite.
        suite_digest: Its digest.
        template: Prompt template.
        backend: Backend name.
        backend_path: Path of the model as the user wrote it.
        access: ``open`` or ``closed``.
        step: Training step, or None.
        generation: Generation overrides as given.
        created_at: When it was opened, ISO 8601 with time zone.
        job: Name of the job that opened it.
    """

    run_id: str
    model: str
    model_key: str
    weights_digest: str
    suite: str
    suite_digest: str
    template: str
    backend: str
    backend_path: str
    access: str
    step: int | None
    generation: Mapping[str, object]
    created_at: str
    job: str


@dataclass(frozen=True, slots=True)
class FileRef:
    """A data file as the object that names it knows it.

    Attributes:
        path: Its key below the run.
        size: Bytes.
        sha256: Of all its bytes.
        rows: How many rows are in it.
    """

    path: str
    size: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One append: which files, and whose rows are in them.

    Attributes:
        writer: Who wrote it; no two writers share the text, so an equal manifest is one's own.
        files: The data files.
        samples: Status to the ids of the samples whose rows are in the files.
        replaces: Whether it takes the place of every earlier manifest (same samples).
        remarked: Whether replaced rows changed in content; a compaction changes nothing.
        created_at: When it was written.
        schema_version: Schema of the files.
    """

    writer: str
    files: tuple[FileRef, ...]
    samples: Mapping[str, tuple[str, ...]]
    replaces: bool = False
    remarked: bool = False
    created_at: str = ""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Commit:
    """A run added up.

    Attributes:
        number: Its place in the run's log of commits.
        upto: How many manifests it adds up.
        expected: How many samples are to have a row; those left out are not among them.
        counts: Rows by status.
        left_out: Samples left out on purpose.
        scores: The file of the scores.
        facts: What else is to be kept with the run: flip rate, versions, ...
        created_at: When it was made.
        schema_version: Schema of the scores.
    """

    number: int
    upto: int
    expected: int
    counts: Mapping[str, int]
    left_out: tuple[str, ...]
    scores: FileRef
    facts: Mapping[str, object] = field(default_factory=dict)
    created_at: str = ""
    schema_version: int = SCHEMA_VERSION

    def same_content(self, other: Commit) -> bool:
        """Whether two commits say the same, whenever and after whatever compaction."""
        return (
            self.expected == other.expected
            and dict(self.counts) == dict(other.counts)
            and self.left_out == other.left_out
            and self.scores.sha256 == other.scores.sha256
            and dict(self.facts) == dict(other.facts)
        )


def now() -> str:
    """The time as records keep it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def dump(record: Mapping[str, object]) -> bytes:
    """JSON bytes that are equal where the content is.

    Raises:
        ValueError: Something in it has no JSON form.
    """
    try:
        text = json.dumps(
            record, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_nested
        )
    except TypeError as error:
        raise ValueError(f"only JSON values can be stored: {error}") from error
    return (text + "\n").encode("ascii")


def _nested(value: object) -> dict[str, object]:
    if not isinstance(value, FileRef):
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return asdict(value)


def dump_record(kind: str, record: RunHeader | Manifest | Commit) -> bytes:
    """JSON bytes of a record."""
    # Not `asdict` of the record: it copies every sample id, a third of what an append takes.
    values = {known.name: getattr(record, known.name) for known in fields(record)}
    return dump({"kind": kind, "schema_version": SCHEMA_VERSION, **values})


def load_object(data: bytes) -> dict[str, Any]:
    """The object in JSON bytes.

    Raises:
        ValueError: There is none.
    """
    record = json.loads(data)
    if not isinstance(record, dict):
        raise ValueError("no JSON object")
    return record


def load(data: bytes, *kinds: str) -> dict[str, Any]:
    """The record in JSON bytes.

    Raises:
        ValueError: It is no record of these kinds.
        StoreError: A newer version of lens-ray wrote it.
    """
    record = load_object(data)
    if record.get("kind") not in kinds:
        raise ValueError(f"kind {record.get('kind')!r} where {' or '.join(kinds)} belongs")
    version = record.get("schema_version")
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"schema_version {version!r}")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the store has schema version {version}, newer than this lens-ray reads "
            f"({SCHEMA_VERSION}); install the newer lens-ray"
        )
    return record


def build(kind: type[T], record: Mapping[str, Any], **changes: Any) -> T:
    """A dataclass from the keys that it knows."""
    values: dict[str, Any] = {}
    for known in fields(kind):  # type: ignore[arg-type]
        if known.name in changes:
            values[known.name] = changes[known.name]
        elif known.name in record:
            values[known.name] = record[known.name]
        elif known.default is MISSING and known.default_factory is MISSING:
            raise ValueError(f"{known.name} is missing")
    return kind(**values)


def check_run_id(run_id: object) -> str:
    """A run id, or a digest, that is safe as part of a key.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise ValueError(f"run id {run_id!r}: use letters, digits and . _ - only")
    return run_id


def parse_entry(data: bytes) -> RunHeader | str:
    """An entry of the catalogue: the header of a run, or the digest of a suite.

    Raises:
        ValueError: It is damaged.
        StoreError: A newer version of lens-ray wrote it.
    """
    record = load(data, "run", "suite")
    if record["kind"] == "suite":
        return check_run_id(record.get("digest"))
    header = build(RunHeader, record)
    check_run_id(header.run_id)
    if not isinstance(header.generation, dict):
        raise ValueError("generation is no object")
    return header


def _parse_file(record: object) -> FileRef:
    if not isinstance(record, dict):
        raise ValueError("a file is no object")
    file = build(FileRef, record)
    if not isinstance(file.path, str) or not _FILE.fullmatch(file.path):
        raise ValueError(f"path {file.path!r}")
    if not isinstance(file.sha256, str) or not _SHA256.fullmatch(file.sha256):
        raise ValueError(f"sha256 {file.sha256!r}")
    if not isinstance(file.size, int) or not isinstance(file.rows, int):
        raise ValueError("size and rows are numbers")
    return file


def parse_manifest(data: bytes) -> Manifest:
    """A manifest.

    Raises:
        ValueError: It is damaged.
        StoreError: A newer version of lens-ray wrote it.
    """
    record = load(data, "manifest")
    samples = record.get("samples")
    if not isinstance(samples, dict) or not isinstance(record.get("files"), list):
        raise ValueError("samples or files are missing")
    seen: set[str] = set()
    total = 0
    for status, ids in samples.items():
        if status not in STATUSES:
            raise ValueError(f"status {status!r}")
        if not isinstance(ids, list):
            raise ValueError(f"samples of {status} are no list")
        seen.update(ids)
        total += len(ids)
    files = tuple(_parse_file(file) for file in record["files"])
    if len(seen) != total or total != sum(file.rows for file in files):
        raise ValueError("not one sample a row")
    return build(
        Manifest,
        record,
        files=files,
        samples={status: tuple(ids) for status, ids in samples.items()},
    )


def parse_commit(data: bytes) -> Commit:
    """A commit.

    Raises:
        ValueError: It is damaged.
        StoreError: A newer version of lens-ray wrote it.
    """
    record = load(data, "commit")
    commit = build(
        Commit,
        record,
        scores=_parse_file(record.get("scores")),
        left_out=tuple(record.get("left_out") or ()),
    )
    if not all(isinstance(n, int) for n in (commit.number, commit.upto, commit.expected)):
        raise ValueError("number, upto and expected are numbers")
    if not isinstance(commit.counts, dict) or not isinstance(commit.facts, dict):
        raise ValueError("counts or facts are no object")
    return commit
