"""``lens-ray export``."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lens_ray.store import Store
from lens_ray.store.schema import ROWS, SCORES
from tests.cli.conftest import Cli


def test_rows_as_parquet_are_those_of_the_store(cli: Cli, filled: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    done = cli("export", "--store", filled, "--what", "rows", "--out", out)
    assert (done.code, done.err) == (0, "")
    assert "rows written" in done.out
    read = pq.read_table(out)
    assert read.schema.names == ROWS.names
    assert read.to_pylist() == Store(str(filled)).rows().to_pylist()


def test_hostile_answers_in_csv(cli: Cli, filled: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    assert cli("export", "--store", filled, "--what", "rows", "--out", out).code == 0
    with out.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert len(found) == 16
    assert {row["model"] for row in found} == {"hostile", "good"}


def test_the_end_of_the_name_or_the_option_is_the_format(
    cli: Cli, filled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.json"
    done = cli("export", "--store", filled, "--what", "scores", "--out", out, "--json")
    assert done.json == {
        "what": "scores", "format": "json", "file": str(out), "bytes": out.stat().st_size,
    }  # fmt: skip
    found = json.loads(out.read_text())
    assert set(found[0]) == set(SCORES.names)
    other = tmp_path / "scores.txt"
    done = cli("export", "--store", filled, "--what", "scores", "--format", "csv", "--out", other)
    assert done.code == 0
    assert len(list(csv.DictReader(io.StringIO(other.read_text())))) == len(found)


def test_to_standard_output(cli: Cli, filled: Path) -> None:
    done = cli("export", "--store", filled, "--format", "markdown")
    assert done.code == 0
    assert "| model | rank |" in done.out
    done = cli("export", "--store", filled, "--what", "scores", "--ability", "ocr", "--json")
    assert {row["ability"] for row in done.json} == {"ocr"}


def test_choices_of_rows(cli: Cli, filled: Path) -> None:
    done = cli(
        "export", "--store", filled, "--what", "rows", "--model", "good", "--ability", "ocr",
        "--format", "json",
    )  # fmt: skip
    assert {(row["model"], row["ability"]) for row in done.json} == {("good", "ocr")}
    assert len(done.json) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--format is missing"),
        (["--format", "xlsx"], "use one of csv, markdown, json, parquet"),
        (["--what", "rows", "--format", "csv", "--model", "nobody"], "--model 'nobody'"),
        (["--what", "everything", "--format", "csv"], "--what"),
        (["--format", "csv", "--json"], "--json: csv is no JSON; add --out FILE"),
        (["--format", "csv", "--out", "/nowhere/x.csv"], "/nowhere is not a folder"),
    ],
)
def test_mistakes_end_in_one_line(cli: Cli, filled: Path, arguments: list[str], words: str) -> None:
    done = cli("export", "--store", filled, *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert done.err.count("\n") == 1
