"""The images of a suite written one by one, never held: `ImageWriter`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

#: ``png`` is called so since PNG was all that a suite held; it may be JPEG or WebP.
IMAGES = pa.schema(
    [("hash", pa.string()), ("png", pa.binary()), ("width", pa.int32()), ("height", pa.int32())]
)
#: A row group ends at either; a reader holds a few groups in memory.
_ROWS, _BYTES = 256, 4 * 2**20


class ImageWriter:
    """Writes ``images.parquet``; an image whose hash is there already is passed over."""

    def __init__(self, file: Path) -> None:
        """Begin the file."""
        # A stream of Python's own: its errors keep their number (a full disk has one).
        self._stream = file.open("wb")
        self._writer = pq.ParquetWriter(self._stream, IMAGES, compression="none")
        self._rows: dict[str, list[object]] = {name: [] for name in IMAGES.names}
        self._bytes = 0
        self.hashes: dict[str, None] = {}

    def add(self, key: str, data: bytes, width: int, height: int) -> None:
        """Write an image.

        Args:
            key: Hash of its pixels.
            data: PNG, JPEG or WebP bytes.
            width: In pixels.
            height: In pixels.
        """
        if key in self.hashes:
            return
        self.hashes[key] = None
        for name, value in zip(IMAGES.names, (key, data, width, height), strict=True):
            self._rows[name].append(value)
        self._bytes += len(data)
        if len(self._rows["hash"]) >= _ROWS or self._bytes >= _BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows["hash"]:
            self._writer.write_table(pa.table(self._rows, schema=IMAGES))
        self._rows = {name: [] for name in IMAGES.names}
        self._bytes = 0

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the file, whole only where nothing was raised."""
        try:
            if kind is None:
                self._flush()
                self._writer.close()
        finally:
            self._stream.close()


def read_images(file: Path) -> Iterator[tuple[str, bytes, int, int]]:
    """Every image of such a file, a row group at a time: hash, data, width, height."""
    with pq.ParquetFile(file) as opened:
        for group in range(opened.metadata.num_row_groups):
            table = opened.read_row_group(group, use_threads=False)
            for row in table.to_pylist():
                yield row["hash"], row["png"], row["width"], row["height"]
