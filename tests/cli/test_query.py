"""``lens-ray query``: what models wrote is shown, never obeyed."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Cli
from tests.cli.stores import HOSTILE


def test_json_is_one_object_a_row(cli: Cli, filled: Path) -> None:
    sql = "SELECT model, count(*) AS n, max(score) AS best FROM rows GROUP BY ALL ORDER BY model"
    assert cli("query", sql, "--store", filled, "--json").json == [
        {"model": "good", "n": 8, "best": 1.0},
        {"model": "hostile", "n": 8, "best": 1.0},
    ]


def test_json_gives_the_text_back(cli: Cli, filled: Path) -> None:
    sql = "SELECT text, created_at FROM rows WHERE model = 'hostile' ORDER BY sample_id"
    done = cli("query", sql, "--store", filled, "--json")
    assert done.out.isascii()
    texts = [row["text"] for row in done.json]
    assert texts == [text.replace("\ud800", "\\ud800") for text in HOSTILE]
    assert all(row["created_at"].endswith("+00:00") for row in done.json)


def test_the_table_cannot_move_the_cursor(cli: Cli, filled: Path) -> None:
    done = cli("query", "SELECT * FROM rows ORDER BY model, sample_id", "--store", filled)
    assert done.code == 0
    assert done.out.replace("\n", "").isprintable()
    assert "\\x1b[31m\\x1b[2J3" in done.out
    assert "<script>alert(1)</script>3" in done.out
    assert len(done.out.splitlines()) == 17


def test_columns_of_one_name(cli: Cli, filled: Path) -> None:
    done = cli("query", "SELECT 1 AS a, 2 AS a", "--store", filled)
    assert done.out == "a  a\n1  2\n"


def test_every_table_is_there(cli: Cli, filled: Path) -> None:
    for table, count in (("runs", 2), ("suites", 1), ("scores", 6), ("rows", 16)):
        sql = f"SELECT count(*) AS n FROM {table}"
        assert cli("query", sql, "--store", filled, "--json").json == [{"n": count}]
