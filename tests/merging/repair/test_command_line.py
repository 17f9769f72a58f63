"""``lens-ray merge sensitivity`` and ``merge repair``, and the driver behind the latter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lens_ray.cli.main import main
from lens_ray.merging.repair import RepairPlan
from lens_ray.repairing import Calibration, repair_merge
from lens_ray.suites.suite import Suite, read_suite
from tests.merging.repair.conftest import made_suite

Make = Callable[..., Path]
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """Questions that the suite does not ask, on other pictures."""
    return made_suite("other", 4, tmp_path_factory.mktemp("other"))


def test_sensitivity_writes_a_table_and_says_what_comes_first(
    tiny: Make, suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.json"
    line = ["merge", "sensitivity", str(tiny()), "--suite", suite.location, "--out", str(table)]
    assert main([*line, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["table"]["scores"] == json.loads(table.read_text())
    assert said["table"]["examples"] == sum(one.split != "sealed" for one in suite.samples)
    assert main(line) == 0
    assert f"{len(said['table']['scores'])} tensors in {table}" in capsys.readouterr().out


def test_what_is_judged_on_is_not_trained_on(
    tiny: Make, suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["merge", "repair", str(tiny()), "--calibration", suite.location]
    line += ["--out", str(tmp_path / "out"), "--suite", suite.location]
    assert main(line) == 2
    assert "add --store URL" in capsys.readouterr().err
    assert main([*line, "--store", str(tmp_path / "store")]) == 2
    said = capsys.readouterr().err
    assert "has the same content as" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_both_are_trained_at_equal_cost(
    tiny: Make, other: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["merge", "repair", str(tiny()), "--calibration", other.location, "--steps", "1"]
    line += ["--batch", "2", "--out", str(tmp_path / "out"), "--against", str(tiny(seed=1))]
    assert main([*line, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["repaired"]["tokens"] == said["continued"]["tokens"] > 0
    assert said["continued"]["started_from"] == str(tiny(seed=1))
    assert {path.name for path in tmp_path.iterdir()} == {"out", "out-continued"}
    assert main(line) == 0  # nothing is trained again
    out = capsys.readouterr().out
    assert f"repaired on {other.location}" in out
    assert "; continued: " in out


def test_a_rate_that_is_none(tiny: Make, suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["merge", "repair", str(tiny()), "--calibration", suite.location, "--out", "no"]
    assert main([*line, "--lr", "0"]) == 2
    assert "--lr 0: a rate is above 0" in capsys.readouterr().err


@pytest.mark.slow
def test_all_four_are_asked_and_judged(
    tiny: Make, suite: Suite, other: Suite, tmp_path: Path
) -> None:
    report = repair_merge(
        str(tiny()), Calibration(other.location), tmp_path / "out",
        RepairPlan(steps=2, batch=2, lr=1e-3),
        against=str(tiny(seed=1)), suite=suite.location, store=str(tmp_path / "store"),
    )  # fmt: skip
    assert report.verdict is not None
    assert [one.other.split("-")[0] for one in report.verdict.against] == [
        "merge", "continued", "final",
    ]  # fmt: skip
    assert all(one.overall.n == len(suite.samples) for one in report.verdict.against)
    assert len(report.verdict.says) == 3
    assert read_suite(suite.location).digest == suite.digest
