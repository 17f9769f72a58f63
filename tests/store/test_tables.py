"""Parquet in memory: what is read is let go of at once."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lens_ray.store.tables import from_parquet, to_parquet


def test_no_thread_of_arrow_reads_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that frees them while the interpreter ends, ends the process with SIGABRT.

    The race itself shows in no, or in half of a hundred reads, from one process to the next; so
    what is asked of pyarrow is looked at.
    """
    asked: list[object] = []
    read = pq.ParquetFile.read

    def spy(self: pq.ParquetFile, *args: Any, **given: Any) -> pa.Table:
        asked.append(given.get("use_threads", True))
        return read(self, *args, **given)

    monkeypatch.setattr(pq.ParquetFile, "read", spy)
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    assert from_parquet(to_parquet(table), ["b"]).equals(table.select(["b"]))
    assert asked == [False]
