"""VLMEvalKit's tables."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from lens_ray.errors import SuiteError
from lens_ray.suites.readers import tsv as module
from lens_ray.suites.readers.shelves import FolderShelf
from lens_ray.suites.readers.tsv import TsvTable, is_vlmevalkit, unified
from lens_ray.suites.readers.vlmevalkit import RENAMED, as_published, source_of_file
from lens_ray.suites.sources.base import Kind
from lens_ray.suites.sources.registry import SOURCES
from tests.suites.readers.makers import b64, png, tsv

HEAD = ("index", "Question", "A", "a", "L2_Category", "image")
KINDS: dict[str, Kind] = {"index": "integer", "question": "string", "A": "string", "a": "string"}


def line(index: object, image: str, question: str = "q?") -> tuple[object, ...]:
    return (index, question, "opt", "", "l2", image)


def table(tmp_path: Path, *rows: Sequence[object], head: Sequence[str] = HEAD) -> TsvTable:
    return TsvTable(tsv(tmp_path / "t.tsv", [head, *rows]), shelf=FolderShelf(tmp_path))


def test_rows_keep_line_ends_quotes_and_tabs(tmp_path: Path) -> None:
    question = 'a "b"\tc\r\nd\re\n"'
    made = table(tmp_path, line(3, b64(png(1)), question))
    assert made.columns == ("index", "question", "A", "a", "l2-category", "image")
    assert list(made.rows(KINDS)) == [{"index": 3, "question": question, "A": "opt", "a": None}]


def test_images_references_and_lists(tmp_path: Path) -> None:
    both = repr([b64(png(5)), b64(png(6))])
    (tmp_path / "x.png").write_bytes(png(7))
    made = table(
        tmp_path,
        line("x", "y"),  # refers to a later row
        line("y", b64(png(2))),
        line("z", both),
        line("w", " z "),
        line("v", "data:image/png;base64," + b64(png(4))),
    )
    found = dict(made.pictures({row: ("image_list",) for row in range(5)}))
    assert {row: columns["image_list"] for row, columns in found.items()} == {
        0: [png(2)], 1: [png(2)], 2: [png(5), png(6)], 3: [png(5), png(6)], 4: [png(4)],
    }  # fmt: skip
    assert dict(made.pictures({0: ("image",)})) == {0: {"image": [png(2)]}}
    data = (tmp_path / "t.tsv").read_bytes()
    assert made.revision() == f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}"


def test_images_on_disk(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png(7))
    head = ("index", "question", "image_path")
    made = table(tmp_path, (0, "q", "x.png"), (1, "q", "['x.png']"), (2, "q", "../x"), head=head)
    assert dict(made.pictures({0: ("image",), 1: ("image",)})) == {
        0: {"image": [png(7)]}, 1: {"image": [png(7)]}
    }  # fmt: skip
    with pytest.raises(SuiteError, match="row 3, column 'image_path': the image name"):
        list(made.pictures({2: ("image",)}))
    alone = TsvTable(tmp_path / "t.tsv")
    with pytest.raises(SuiteError, match=r"names the image 'x.png', and the table holds no bytes"):
        list(alone.pictures({0: ("image",)}))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([line(1, "9")], "row 1, column 'image': '9' is no image and no other row's index"),
        ([line(1, "1")], "row 1, column 'image': '1' is no image"),
        ([line(1, "2"), line(2, "3"), line(3, b64(png(1)))],
         "row 1, column 'image': refers to row 2, which refers to another row itself"),
        ([line(1, "x" * 80), line(1, "x" * 80)],
         "row 2, column 'index': '1' is that of row 1 too"),
        ([line("", "x" * 80)], "row 1, column 'index': is empty"),
    ],
)  # fmt: skip
def test_bad_indices_and_references(
    tmp_path: Path, rows: list[tuple[object, ...]], message: str
) -> None:
    with pytest.raises(SuiteError) as caught:
        table(tmp_path, *rows)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("not base64!" * 9, "row 1, column 'image': is not base64"),
        ("[" + "os.system('x')," * 9 + "]", "row 1, column 'image': holds an unsafe list literal"),
        ("", "row 1, column 'image': there is no image"),
        ("[" + " " * 70 + "]", "row 1, column 'image': is an empty list"),
    ],
)
def test_bad_images(tmp_path: Path, image: str, message: str) -> None:
    made = table(tmp_path, line(1, image))
    with pytest.raises(SuiteError) as caught:
        list(made.pictures({0: ("image",)}))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"index\tquestion\n", "column 'image' is missing"),
        (b"question\timage\n", "column 'index' is missing"),
        (b"index\tquestion\timage\tINDEX\n", "the column 'index' stands twice"),
        (b"index\tindex\timage\n", "the column 'index' stands twice"),
        (b"index\tquestion\timage\n1\tq\n", "row 1: has 2 fields, the header 3"),
        (b"index\tquestion\timage\n1\tq\tx\ty\n", "row 1: has 4 fields, the header 3"),
        (b'index\tquestion\timage\n1\tq\t"x\n', "row 1: cannot be read"),
        (b'index\tquestion\timage\n1\tq\t"x"y\n', "row 1: cannot be read"),
        (b"index\tquestion\timage\n1\tq\t\xff\n", "is not UTF-8"),
        (b"index\tquestion\timage\r\n1\tq\t\r\n2\tq\t\n3\tq\t\r\n",
         "row 2: ends its line with '\\n', the rows before with '\\r\\n' (mixed line ends)"),
        (b"index\tquestion\timage\n1\tq\t\r2\tq\t\n", "row 1: cannot be read"),
    ],
)  # fmt: skip
def test_damaged_tables(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "t.tsv"
    file.write_bytes(data)
    with pytest.raises(SuiteError) as caught:
        TsvTable(file)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(file))


def test_a_byte_order_mark_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "t.tsv"
    file.write_bytes("\ufeffindex\tquestion\timage\r\n\r\n1\tq\t\r\n2\tr\t".encode())
    rows = TsvTable(file).rows({"index": "integer", "question": "string"})
    assert list(rows) == [{"index": 1, "question": "q"}, {"index": 2, "question": "r"}]


def test_a_lost_quote_does_not_eat_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CELL", 1000)
    before = csv.field_size_limit()
    with pytest.raises(SuiteError, match=r"row 1: cannot be read .*field larger than"):
        table(tmp_path, line(1, "x" * 2000))
    assert csv.field_size_limit() == before


def test_headers() -> None:
    assert unified("L2-Category") == unified("l2_category") == "l2-category"
    assert (unified("A"), unified("a"), unified("Split")) == ("A", "a", "split")
    assert is_vlmevalkit(["Index", "IMAGE", "question"])
    assert not is_vlmevalkit(["id", "image", "question"])
    assert source_of_file(Path("x/SEEDBench_IMG.tsv")) == "seed_bench"
    assert source_of_file(Path("mmbench.tsv")) == "mmbench"
    assert source_of_file(Path("POPE.tsv")) is None


@pytest.mark.parametrize("source", sorted(RENAMED))
def test_a_renamed_table_has_every_column_its_source_needs(tmp_path: Path, source: str) -> None:
    head = ("index", "image", "image_path", "question", "A", "B", "answer", "category",
            "l2-category", "split")  # fmt: skip
    made = as_published(source, tsv(tmp_path / "t.tsv", [head]))
    needed = set(SOURCES[source].columns) - SOURCES[source].optional
    assert needed <= set(made.columns)


def test_renamed_rows_that_cannot_be(tmp_path: Path) -> None:
    head = ("index", "image", "question", "A", "B", "answer", "category")
    file = tsv(tmp_path / "t.tsv", [head, (1, "", "q", "x", "y", "Q2", "Sene Understanding")])
    kinds: dict[str, Kind] = {"question": "string"}
    with pytest.raises(SuiteError, match="row 1: answer 'Q2' is no option's letter"):
        list(as_published("ai2d", file).rows(kinds))
    with pytest.raises(SuiteError, match=r"row 1: category .* the nearest is 'sceneunderstanding'"):
        list(as_published("seed_bench", file).rows(kinds))
    with pytest.raises(SuiteError, match="mirb has no table of VLMEvalKit"):
        as_published("mirb", file)
    with pytest.raises(SuiteError, match="column 'image_path' is missing"):
        as_published("mme", file)
