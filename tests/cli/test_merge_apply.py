"""``lens-ray merge apply`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lens_ray.cli.main import main
from tests.merging.folders import checkpoint, numbers, two

RECIPE = """\
method: linear
parents:
  - {name: a, path: %s, weight: 0.25}
  - {name: b, path: %s, weight: 0.75}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE % tuple(two(tmp_path)))
    return str(path)


def test_a_folder_is_made(recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["merge", "apply", recipe, "--out", out]) == 0
    said = capsys.readouterr()
    assert f"{out}: linear of a, b" in said.out
    assert f"next: lens-ray merge verify {out}" in said.out
    assert main(["merge", "apply", recipe, "--out", out, "--json", "--threads", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["out"] == out
    record = json.loads((tmp_path / "out" / "merge.json").read_bytes())
    assert told["record"] == record
    assert record["weights_digest"] in said.out


def test_mistakes_end_in_one_line(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(tmp_path / "c", {**numbers(3), "extra": numbers(3)["model.scale"]})
    Path(recipe).write_text(RECIPE % (tmp_path / "a", tmp_path / "c"))
    commands = {
        2: ["merge", "apply", recipe, "--out", str(tmp_path / "out")],
        5: ["merge", "apply", recipe, "--out", "/proc/merge"],
    }
    Path(tmp_path, "good.yaml").write_text(RECIPE % (tmp_path / "a", tmp_path / "b"))
    commands[5][2] = str(tmp_path / "good.yaml")
    for code, command in commands.items():
        assert main(command) == code
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("lens-ray: ")
        assert said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_secret_in_the_url_is_refused(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = "s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY@bucket/x"
    assert main(["merge", "apply", recipe, "--out", url]) == 2
    assert "wJalr" not in capsys.readouterr().err
