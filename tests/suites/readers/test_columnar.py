"""Parquet and Arrow files, several shards, and what can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lens_ray.errors import SuiteError
from lens_ray.suites.readers.columnar import ColumnarTable
from lens_ray.suites.readers.shelves import FolderShelf
from lens_ray.suites.sources.base import Kind
from tests.suites.readers.makers import IMAGE, parquet, png

SCHEMA = pa.schema([
    ("id", pa.int64()), ("category", pa.string()), ("options", pa.list_(pa.string())),
    ("image", IMAGE), ("images", pa.list_(IMAGE)),
])  # fmt: skip
KINDS: dict[str, Kind] = {"id": "string", "category": "string", "options": "strings"}


def row(number: int) -> dict[str, Any]:
    return {
        "id": number, "category": f"c{number}", "options": ["a", str(number)],
        "image": {"bytes": png(number), "path": None},
        "images": [{"bytes": png(10 * number + n), "path": None} for n in range(2)],
    }  # fmt: skip


def arrow(file: Path, rows: list[dict[str, Any]], *, stream: bool) -> Path:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(str(file), "wb") as sink, new(sink, SCHEMA) as writer:
        writer.write_table(table, max_chunksize=2)
    return file


@pytest.mark.parametrize("kind", ["parquet", "stream", "file"])
def test_rows_and_pictures_over_shards(tmp_path: Path, kind: str) -> None:
    rows = [row(number) for number in range(7)]
    shards = [rows[:4], rows[4:]]
    if kind == "parquet":
        files = [parquet(tmp_path / f"{n}.parquet", s, SCHEMA) for n, s in enumerate(shards)]
    else:
        files = [
            arrow(tmp_path / f"{n}.arrow", s, stream=kind == "stream") for n, s in enumerate(shards)
        ]
    table = ColumnarTable(files)
    assert table.columns == tuple(SCHEMA.names)
    assert list(table.rows(KINDS)) == [
        {"id": str(n), "category": f"c{n}", "options": ("a", str(n))} for n in range(7)
    ]
    found = dict(table.pictures({5: ("images", "image"), 0: ("image",), 3: ("images",)}))
    assert found == {
        0: {"image": [png(0)]},
        3: {"images": [png(30), png(31)]},
        5: {"images": [png(50), png(51)], "image": [png(5)]},
    }
    assert table.place(5, "image") == f"{files[1]}, row 2, column 'image'"
    assert table.revision().startswith("sha256:")
    assert ColumnarTable(files, revision="c0ffee").revision() == "c0ffee"


def test_identity_follows_the_files(tmp_path: Path) -> None:
    file = parquet(tmp_path / "a.parquet", [row(1)], SCHEMA)
    before = ColumnarTable([file]).identity()
    assert ColumnarTable([file]).identity() == before
    parquet(file, [row(1), row(2)], SCHEMA)
    assert ColumnarTable([file]).identity() != before


def test_a_missing_column_and_a_wrong_type(tmp_path: Path) -> None:
    file = parquet(tmp_path / "a.parquet", [row(1)], SCHEMA)
    table = ColumnarTable([file])
    with pytest.raises(SuiteError, match=r"a.parquet: column 'categories' is missing; the nearest"):
        list(table.rows({"categories": "string"}))
    with pytest.raises(SuiteError, match=r"a.parquet, column 'options': holds list.*, not text"):
        list(table.rows({"options": "string"}))
    with pytest.raises(SuiteError, match=r"column 'image': holds struct.*, not whole numbers"):
        list(table.rows({"image": "integer"}))
    with pytest.raises(SuiteError, match=r"column 'id': holds int64, not images"):
        list(table.pictures({0: ("id",)}))
    with pytest.raises(
        SuiteError, match=r"a.parquet, row 1, column 'category': holds 'c1' \(str\)"
    ):
        list(table.rows({"category": "integer"}))


def read_all(file: Path) -> None:
    table = ColumnarTable([file])
    list(table.rows(KINDS))
    list(table.pictures({0: ("image",)}))


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("damage", ["cut", "empty", "text", "middle"])
def test_damaged_files_are_named(tmp_path: Path, ending: str, damage: str) -> None:
    rows = [row(number) for number in range(6)]
    file = tmp_path / f"a.{ending}"
    if ending == "parquet":
        parquet(file, rows, SCHEMA)
    else:
        arrow(file, rows, stream=True)
    data = file.read_bytes()
    garbled = data[:200] + bytes(byte ^ 0x5A for byte in data[200:900]) + data[900:]
    file.write_bytes(
        {"cut": data[: len(data) // 2], "empty": b"", "text": b"hello" * 99, "middle": garbled}[
            damage
        ]
    )
    with pytest.raises(SuiteError) as caught:
        read_all(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_shards_of_different_data_sets(tmp_path: Path) -> None:
    one = parquet(tmp_path / "a.parquet", [row(1)], SCHEMA)
    two = parquet(tmp_path / "b.parquet", [{"id": 1}], pa.schema([("id", pa.int64())]))
    with pytest.raises(SuiteError, match=r"b.parquet: has other columns than a.parquet"):
        ColumnarTable([one, two])


def test_images_named_by_path(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png(3))
    named = {"bytes": None, "path": "x.png"}
    schema = pa.schema([("image", IMAGE)])
    file = parquet(
        tmp_path / "a.parquet",
        [{"image": named}, {"image": None}, {"image": {"bytes": None, "path": "../../etc/passwd"}}],
        schema,
    )
    table = ColumnarTable([file], shelf=FolderShelf(tmp_path))
    assert dict(table.pictures({0: ("image",)})) == {0: {"image": [png(3)]}}
    with pytest.raises(SuiteError, match="row 2, column 'image': there is no image"):
        list(table.pictures({1: ("image",)}))
    with pytest.raises(SuiteError, match=r"row 3, column 'image': the image name .* leads out"):
        list(table.pictures({2: ("image",)}))
    with pytest.raises(SuiteError, match="holds no bytes of it; give --images FOLDER"):
        list(ColumnarTable([file]).pictures({0: ("image",)}))
