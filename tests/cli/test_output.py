"""Printing: nothing that a model wrote can move a cursor or break JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.cli.output import CELL, one_line, print_json, print_table
from lens_ray.errors import JobError
from tests.suites.makers import OPEN


@given(st.text(alphabet=st.characters(), max_size=80))
def test_one_line_is_one_printable_line(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    line.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n  b\tc\r\n", "a b c"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\0b", "a\\x00b"),
        ("\ud800", "\\ud800"),
        ("abc\u202edef", "abc\\u202edef"),
        ("größe ✓", "größe ✓"),
    ],
)
def test_what_a_line_shows(text: str, line: str) -> None:
    assert one_line(text) == line


def test_json_is_strict_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    value = {
        "nan": float("nan"),
        "inf": [float("inf")],
        "when": datetime(2026, 11, 26, tzinfo=UTC),
        "text": "\x1b[2J\ud800é",
        "bytes": b"\x00\xff",
        "sum": Decimal("1.5"),
        "set": frozenset({"b", "a"}),
        "sample": OPEN,
        "error": JobError("x"),
        "none": None,
    }
    print_json(value)
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    back = json.loads(out)
    assert back["sample"]["sample_id"] == OPEN.sample_id
    del back["sample"]
    assert back == {
        "nan": None,
        "inf": [None],
        "when": "2026-11-26T00:00:00+00:00",
        "text": "\x1b[2J\ud800é",
        "bytes": "00ff",
        "sum": 1.5,
        "set": ["a", "b"],
        "error": "x",
        "none": None,
    }


def test_a_table_is_aligned_and_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(
        ("name", "n", "share"),
        [("a\x1b[2J", 5, 0.5), ("y" * 1_000_000, 12345, None), (None, None, 0.123456)],
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "name".ljust(CELL) + "      n   share"
    assert lines[1] == "a\\x1b[2J".ljust(CELL) + "      5     0.5"
    assert lines[2] == "y" * (CELL - 3) + "..." + "  12345       -"
    assert lines[3] == "-".ljust(CELL) + "      -  0.1235"


def test_an_empty_table_has_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [])
    assert capsys.readouterr().out == "a  b\n"
