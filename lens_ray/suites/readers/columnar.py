"""Parquet files and Arrow files (both kinds: file and stream), as a hub or a library wrote them.

Text columns are read batch by batch, whole row groups are never held; images come on a second pass,
only from the row groups that hold a wanted one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lens_ray.errors import SuiteError
from lens_ray.suites.readers.shelves import Shelf
from lens_ray.suites.readers.table import as_kind, check_columns, place_of
from lens_ray.suites.sources.base import Kind, Row

_TEXT_BATCH, _IMAGE_BATCH = 1024, 16
_BUFFER = 1 << 20
#: What pyarrow raises for damaged files; decompressors raise plain `OSError`.
DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError)


class ColumnarTable:
    """The shards of a split, one after the other."""

    def __init__(
        self, files: Sequence[Path], *, revision: str | None = None, shelf: Shelf | None = None
    ) -> None:
        """Look at the files' ends; no row is read.

        Args:
            files: Parquet (``.parquet``) or Arrow (any other ending), at least one.
            revision: What is known of them; None takes a digest of the files.
            shelf: Where images lie that a row names by path.

        Raises:
            SuiteError: One is damaged, or has other columns than the first.
        """
        self._files = tuple(files)
        self._revision = revision
        self._shelf = shelf
        self._parts = [_part(file) for file in self._files]
        self._starts: list[int] = []
        total = 0
        for part in self._parts:
            self._starts.append(total)
            total += part.rows
            if set(part.schema.names) != set(self._parts[0].schema.names):
                raise SuiteError(
                    f"{part.file}: has other columns than {self._files[0].name}; "
                    "they are shards of different data sets"
                )

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Table`."""
        return tuple(self._parts[0].schema.names)

    @property
    def schema(self) -> Any:
        """The Arrow schema of the first file."""
        return self._parts[0].schema

    def identity(self) -> str:
        """See `Table`."""
        return identity_of(self._files)

    def revision(self) -> str:
        """See `Table`."""
        return self._revision or digest_of(self._files)

    def rows(self, kinds: Mapping[str, Kind]) -> Iterator[Row]:
        """See `Table`."""
        names = list(kinds)
        row = 0
        for part in self._parts:
            check_columns(part.schema.names, names, str(part.file))
            for name, kind in kinds.items():
                _check_type(part, name, kind)
            for batch in part.batches(names, _TEXT_BATCH, None):
                for value in batch.to_pylist():
                    yield {
                        name: as_kind(value[name], kind, self._here(row, name))
                        for name, kind in kinds.items()
                    }
                    row += 1

    def pictures(
        self, wanted: Mapping[int, Sequence[str]]
    ) -> Iterator[tuple[int, Mapping[str, list[bytes]]]]:
        """See `Table`."""
        names = sorted({name for columns in wanted.values() for name in columns})
        for start, part in zip(self._starts, self._parts, strict=True):
            here = sorted(row - start for row in wanted if start <= row < start + part.rows)
            if not here:
                continue
            check_columns(part.schema.names, names, str(part.file))
            for name in names:
                _check_type(part, name, "images")
            for local, values in part.picked(names, here):
                row = start + local
                yield row, {name: self._encoded(values[name], row, name) for name in wanted[row]}

    def place(self, row: int, column: str | None = None) -> str:
        """See `Table`."""
        number = max(n for n, start in enumerate(self._starts) if start <= row or n == 0)
        return place_of(self._files[number], row - self._starts[number], column)

    def _here(self, row: int, column: str) -> Callable[[], str]:
        return lambda: self.place(row, column)

    def _encoded(self, value: object, row: int, column: str) -> list[bytes]:
        if isinstance(value, list):
            return [data for one in value for data in self._encoded(one, row, column)]
        data, path = value, None
        if isinstance(value, Mapping):
            data, path = value.get("bytes"), value.get("path")
        if isinstance(data, bytes):
            return [data]
        path = data if isinstance(data, str) else path
        where = self.place(row, column)
        if not path:
            raise SuiteError(f"{where}: there is no image")
        if self._shelf is None:
            raise SuiteError(
                f"{where}: names the image {str(path)[:100]!r} and holds no bytes of it; "
                "give --images FOLDER"
            )
        return [self._shelf.read(str(path), where)]


def identity_of(files: Sequence[Path]) -> str:
    """Names, sizes and times of files."""
    facts = []
    for file in files:
        status = file.stat()
        facts.append(f"{file.resolve()} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def digest_of(files: Sequence[Path]) -> str:
    """SHA-256 over the content of files, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while piece := stream.read(1 << 22):
                digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def _damaged(file: Path, error: BaseException) -> SuiteError:
    said = " ".join(str(error).split())[:120] or type(error).__name__
    return SuiteError(f"{file}: is damaged or cut off ({said}); fetch it again")


def _part(file: Path) -> _Parquet | _Arrow:
    try:
        return _Parquet(file) if file.suffix == ".parquet" else _Arrow(file)
    except FileNotFoundError as error:
        raise SuiteError(f"{file}: there is no such file") from error
    except DAMAGE as error:
        raise _damaged(file, error) from error


class _Parquet:
    def __init__(self, file: Path) -> None:
        self.file = file
        with self._open() as opened:
            self.schema = opened.schema_arrow
            self.rows: int = opened.metadata.num_rows
            self._groups = [
                opened.metadata.row_group(group).num_rows
                for group in range(opened.metadata.num_row_groups)
            ]

    def _open(self) -> pq.ParquetFile:
        # A buffer makes pyarrow read a column chunk piece by piece, not whole.
        return pq.ParquetFile(self.file, buffer_size=_BUFFER, pre_buffer=False)

    def batches(self, names: list[str], size: int, groups: list[int] | None) -> Iterator[Any]:
        try:
            with self._open() as opened:
                yield from opened.iter_batches(
                    size, row_groups=groups, columns=names, use_threads=False
                )
        except DAMAGE as error:
            raise _damaged(self.file, error) from error

    def picked(self, names: list[str], rows: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        start, at = 0, 0
        for group, count in enumerate(self._groups):
            here = at
            while at < len(rows) and rows[at] < start + count:
                at += 1
            if at > here:
                inside = rows[here:at]
                yield from _pick(self.batches(names, _IMAGE_BATCH, [group]), start, inside)
            start += count


class _Arrow:
    """The stream format (what ``datasets`` keeps) or the file format; mapped, not read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows = 0
        reader, self.schema = self._open()
        for batch in reader:
            self.rows += batch.num_rows

    def _open(self) -> tuple[Iterator[Any], Any]:
        source = pa.memory_map(str(self.file))
        try:
            opened = pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            stream = pa.ipc.open_stream(source)
            return iter(stream), stream.schema
        numbers = range(opened.num_record_batches)
        return (opened.get_batch(number) for number in numbers), opened.schema

    def batches(self, names: list[str], size: int, groups: list[int] | None) -> Iterator[Any]:
        try:
            reader, _ = self._open()
            for batch in reader:
                chosen = batch.select(names)
                for at in range(0, chosen.num_rows, size):
                    yield chosen.slice(at, size)
        except DAMAGE as error:
            raise _damaged(self.file, error) from error

    def picked(self, names: list[str], rows: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from _pick(self.batches(names, _IMAGE_BATCH, None), 0, rows)


def _pick(
    batches: Iterator[Any], start: int, rows: list[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of these numbers; the first batch begins at `start`."""
    at = 0
    for batch in batches:
        while at < len(rows) and rows[at] < start + batch.num_rows:
            offset = rows[at] - start
            yield rows[at], batch.slice(offset, 1).to_pylist()[0]
            at += 1
        if at == len(rows):
            return
        start += batch.num_rows


def _check_type(part: _Parquet | _Arrow, name: str, kind: Kind) -> None:
    held = part.schema.field(name).type
    if pa.types.is_dictionary(held):
        held = held.value_type
    fits = _FITS.get(kind)
    if fits is not None and not fits(held) and not pa.types.is_null(held):
        raise SuiteError(
            f"{part.file}, column {name!r}: holds {str(held)[:60]}, not {_WORDS[kind]}"
        )


def _is_text(held: Any) -> bool:
    return bool(pa.types.is_string(held) or pa.types.is_large_string(held))


def _is_list(held: Any) -> bool:
    return bool(pa.types.is_list(held) or pa.types.is_large_list(held))


def _is_scalar(held: Any) -> bool:
    return _is_text(held) or bool(pa.types.is_integer(held))


def _is_image(held: Any) -> bool:
    if pa.types.is_struct(held):
        return "bytes" in held.names or "path" in held.names
    return bool(pa.types.is_binary(held) or pa.types.is_large_binary(held)) or _is_text(held)


_FITS: dict[str, Callable[[Any], bool]] = {
    "string": lambda held: _is_scalar(held) or bool(pa.types.is_floating(held)),
    "integer": lambda held: _is_scalar(held) or bool(pa.types.is_floating(held)),
    "strings": lambda held: (
        _is_text(held)
        or (_is_list(held) and (_is_scalar(held.value_type) or pa.types.is_null(held.value_type)))
    ),
    "image": _is_image,
    "images": lambda held: _is_image(held) or (_is_list(held) and _is_image(held.value_type)),
}
_WORDS = {
    "string": "text",
    "integer": "whole numbers",
    "strings": "lists of texts",
    "image": "images",
    "images": "images",
}
