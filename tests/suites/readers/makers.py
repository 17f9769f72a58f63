"""Encoded images, and files that hold them."""

from __future__ import annotations

import base64
import csv
import io
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.suites.makers import pixels

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(seed: int, form: str = "PNG") -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels(seed)).save(sink, form)
    return sink.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """A PNG of a few bytes whose header promises very many pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def parquet(
    file: Path, rows: Sequence[dict[str, object]], schema: pa.Schema, group: int = 2
) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file, row_group_size=group)
    return file


def tsv(file: Path, rows: Iterable[Sequence[object]], end: str = "\n") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator=end)
        writer.writerows(rows)
    return file
