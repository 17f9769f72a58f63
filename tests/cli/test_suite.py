"""``lens-ray suite``."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.suites import Suite, load_suite, write_suite
from tests.cli.conftest import Cli
from tests.suites.makers import suite_of


def test_list_builds_nothing(cli: Cli, lens_home: Path) -> None:
    before = sorted(lens_home.rglob("*"))
    listed = cli("suite", "list", "--json").json
    names = [entry["name"] for entry in listed]
    assert names[:3] == ["mini:quick", "mini:full", "mini:confirm"]
    assert all(len(entry["digest"]) == 64 for entry in listed)
    assert sorted(lens_home.rglob("*")) == before
    assert "built at first use" in cli("suite", "list").out


def test_show(cli: Cli, tiny_suite: Suite) -> None:
    shown = cli("suite", "show", tiny_suite.location, "--json").json
    assert shown["digest"] == tiny_suite.digest
    assert shown["counts"] == {"counting": {"bars": 2, "dots": 2}, "ocr": {"label": 2, "panel": 2}}
    told = cli("suite", "show", tiny_suite.location).out
    assert f"digest    {tiny_suite.digest}" in told
    assert [line.split() for line in told.splitlines()[8:10]] == [
        ["ability", "subtask", "samples", "weight", "format", "domain", "metric"],
        ["counting", "dots", "2", "0.5", "open", "shapes", "exact"],
    ]


def test_build_copies(cli: Cli, tiny_suite: Suite, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    built = cli("suite", "build", tiny_suite.location, "--out", out, "--json").json
    assert (built["location"], built["digest"]) == (str(out), tiny_suite.digest)
    assert load_suite(str(out)).samples == tiny_suite.samples
    again = cli("suite", "build", tiny_suite.location, "--out", out)
    assert again.code == 0
    assert f"tiny@{tiny_suite.digest[:12]}: 8 samples" in again.out


def test_build_leaves_other_files_alone(cli: Cli, tiny_suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    done = cli("suite", "build", tiny_suite.location, "--out", tmp_path)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_check(cli: Cli, tiny_suite: Suite, tmp_path: Path) -> None:
    done = cli("suite", "check", tiny_suite.location)
    assert done.code == 0
    assert done.out.splitlines()[-1] == f"tiny@{tiny_suite.digest[:12]}: 8 samples, it is sound"
    samples, images = suite_of(3, question=" ")
    write_suite("bad", samples, images, tmp_path / "bad", licence="x", revision="1")
    done = cli("suite", "check", tmp_path / "bad")
    assert done.code == 2
    assert "t/0: its question is empty\n" in done.out
    assert "3 samples, 3 problems" in done.out
    found = cli("suite", "check", tmp_path / "bad", "--json")
    assert (found.code, len(found.json["problems"])) == (2, 3)


@pytest.mark.parametrize("verb", ["show", "build", "check"])
def test_an_unknown_suite(cli: Cli, verb: str) -> None:
    done = cli("suite", verb, "mini:quik")
    assert done.code == 2
    assert done.err == (
        "lens-ray: suite 'mini:quik' is not known and no folder; the nearest is 'mini:quick'\n"
    )
