"""Export: what another program reads back, and what no cell can do to it."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.errors import UserError
from lens_ray.report.export import FORMATS, export, write
from lens_ray.stats.leaderboard import Leaderboard, leaderboard
from tests.stats.boards import add, answers, store_of

#: What spreadsheets take for a formula.
FORMULAS = (
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "  -2+3", "＝1", "＋1",
    "=HYPERLINK(\"http://x\",\"y\")", "=cmd|' /C calc'!A0",
)  # fmt: skip
TABLE = pa.table(
    {
        "name": ["a", None, 'say "x", y\nz', "=1+1"],
        "value": pa.array([1.5, float("nan"), None, -2.0]),
        "n": [1, None, -3, 4],
        "at": pa.array([datetime(2026, 1, 2, tzinfo=UTC)] * 4, pa.timestamp("us", tz="UTC")),
    }
)


def text_of(form: str, *tables: pa.Table) -> str:
    file = io.BytesIO()
    write(tables or (TABLE,), form, file)
    return file.getvalue().decode()


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    store = store_of(tmp_path_factory.mktemp("board"))
    for name, mine in zip(("one", "two"), answers(1, 1.0, 0.0), strict=True):
        add(store, name, mine)
    return leaderboard(store, replicates=50)


def test_csv_keeps_numbers_and_text(board: Leaderboard) -> None:
    found = list(csv.DictReader(io.StringIO(text_of("csv"))))
    assert [row["name"] for row in found] == ["a", "", 'say "x", y\nz', "'=1+1"]
    assert [row["value"] for row in found] == ["1.5", "", "", "-2"]
    assert [row["n"] for row in found] == ["1", "", "-3", "4"]
    file = io.BytesIO()
    write(board, "csv", file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue().decode())))
    assert [(row["model"], row["ability"]) for row in rows][:2] == [
        ("one", "counting"),
        ("one", "ocr"),
    ]
    assert float(rows[2]["corrected"]) == board.standings[0].scores["overall"].corrected
    assert rows[0]["usd_per_1000"] == ""


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    (row,) = csv.DictReader(io.StringIO(text_of("csv", pa.table({"x": [text]})), newline=""))
    assert row["x"] == f"'{text}"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_is_plain_in_csv_and_in_its_cell_in_markdown(text: str) -> None:
    table = pa.table({"x": [text], "y": [1]})
    (row,) = csv.DictReader(io.StringIO(text_of("csv", table), newline=""))
    assert row["x"] in (text, f"'{text}")
    assert not row["x"].lstrip().startswith(("=", "+", "-", "@"))
    lines = text_of("markdown", table).split("\n")
    assert len(lines) == 4
    assert lines[2].replace("\\\\", "").replace("\\|", "").count("|") == 3


def test_markdown_is_escaped() -> None:
    hostile = "[x](javascript:1) ![i](http://t) <b> `c` *e* a|b \x1b[2J"
    line = text_of("markdown", pa.table({"x": [hostile]})).splitlines()[2]
    assert re.findall(r"(?<!\\)[\[\]!`*<>]|\x1b", line) == []
    assert re.findall(r"(?<!\\)\|", line) == ["|", "|"]
    assert text_of("markdown").splitlines()[2] == "| a | 1.5 | 1 | 2026-01-02T00:00:00+00:00 |"


def test_json_is_one_list_without_nan() -> None:
    text = text_of("json", TABLE, TABLE)
    found = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert len(found) == 8
    assert found[1] == {"name": None, "value": None, "n": None, "at": "2026-01-02T00:00:00+00:00"}
    assert found[2]["name"] == 'say "x", y\nz'
    assert json.loads(text_of("json", TABLE.slice(0, 0))) == []


def test_parquet_is_the_table(tmp_path: Path, board: Leaderboard) -> None:
    path = export([TABLE, TABLE], "parquet", tmp_path / "x.parquet")
    assert pq.read_table(path).num_rows == 8
    assert pq.read_table(path).schema.equals(TABLE.schema)
    read = pq.read_table(export(board, "parquet", tmp_path / "board.parquet"))
    assert read.num_rows == 6
    assert read.schema.field("usd_per_1000").type == pa.float64()
    assert read["rank"].to_pylist() == [row["rank"] for row in board.rows()]


def test_the_leaderboard_in_markdown_is_what_people_read(board: Leaderboard) -> None:
    file = io.BytesIO()
    write(board, "markdown", file)
    lines = file.getvalue().decode().splitlines()
    head = next(line for line in lines if line.startswith("| model"))
    assert head.startswith("| model | rank | best | counting | ocr | overall |")
    row = next(line for line in lines if line.startswith("| one"))
    assert row.count("|") == head.count("|")
    assert any(line.startswith("- cost, every model") for line in lines)


@pytest.mark.parametrize("form", FORMATS)
def test_a_failed_export_leaves_the_old_file(tmp_path: Path, form: str) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def broken() -> object:
        yield TABLE
        raise RuntimeError("the store went away")

    with pytest.raises(RuntimeError, match="went away"):
        export(broken(), form, path)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_wrong_formats_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="use one of csv, markdown, json, parquet"):
        export([TABLE], "xlsx", tmp_path / "x")
    with pytest.raises(UserError, match="is a folder"):
        export([TABLE], "csv", tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        export([TABLE], "csv", tmp_path / "nowhere" / "x.csv")
