"""``lens-ray compare``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lens_ray.suites import Suite
from lens_ray.suites.load import folder_name, suites_home
from tests.cli.conftest import Cli


def test_the_table_and_the_flipped_samples(cli: Cli, filled: Path) -> None:
    done = cli("compare", "good", "hostile", "--store", filled)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("A = good\nB = hostile\non tiny, paired by sample")
    for word in ("counting", "ocr", "overall", "only A", "p: Holm over 2 tests", "A is better"):
        assert word in done.out
    assert 'A: "3" (1)' in done.out
    assert 'B: "4" (0)' in done.out
    assert "\x1b" not in done.out
    assert "--flips" not in done.out
    assert (
        "marked differently"
        not in cli("compare", "good", "hostile", "--store", filled, "--flips", "0").out
    )


def test_json_has_no_nan_and_the_whole_text(cli: Cli, filled: Path) -> None:
    found = cli("compare", "good", "hostile", "--store", filled, "--json", "--by", "subtask",
                "--flips", "99").json  # fmt: skip
    assert (found["a"], found["b"], found["by"]) == ("good", "hostile", "subtask")
    assert [each["figure"] for each in found["figures"]] == [
        "bars", "dots", "label", "panel", "overall",
    ]  # fmt: skip
    assert found["families"] == {"subtasks": ["bars", "dots", "label", "panel"]}
    texts = {flip["text_b"] for flip in found["flips"]}
    assert "x" * 9_000 in texts
    assert all(flip["better"] == "a" for flip in found["flips"])


def test_the_question_is_shown_where_the_suite_is_at_hand(
    cli: Cli, filled: Path, tiny_suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "how many dots?" not in cli("compare", "good", "hostile", "--store", filled).out
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path))
    home = suites_home() / folder_name(tiny_suite.name, tiny_suite.digest)
    shutil.copytree(tiny_suite.location, home)
    assert "how many dots? -> 3" in cli("compare", "good", "hostile", "--store", filled).out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["good", "hostel"], "the store has no model 'hostel'; did you mean 'hostile'?"),
        (["good", "good"], "the model 'good' is named twice; name each once"),
        (["good", "hostile", "--by", "colour"], "by 'colour': use one of ability, source"),
        (["good", "hostile", "--on", "some"], "on 'some': use all or common"),
        (["good", "hostile", "--suite", "big"], "has no run of the suite big; it has: tiny"),
        (["good", "hostile", "--ability", "orc"], "no row of the ability 'orc'"),
    ],
)
def test_a_mistake_is_one_line(cli: Cli, filled: Path, arguments: list[str], says: str) -> None:
    done = cli("compare", *arguments, "--store", filled)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert done.err.count("\n") == 1
