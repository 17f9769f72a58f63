"""``lens-ray scores``."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.store.schema import SCORES
from lens_ray.suites import Suite
from tests.cli.conftest import Cli


def test_json_has_the_fields_of_the_design(cli: Cli, filled: Path) -> None:
    done = cli("scores", "--store", filled, "--json")
    assert (done.code, done.err) == (0, "")
    scores = done.json
    assert {tuple(score) for score in scores} == {tuple(SCORES.names)}
    assert [(score["model"], score["ability"]) for score in scores] == [
        (model, ability)
        for model in ("hostile", "good")
        for ability in ("counting", "ocr", "overall")
    ]
    best = scores[-1]
    assert (best["run_id"], best["suite"], best["n"], best["accuracy"]) == ("run1", "tiny", 8, 1.0)
    assert best["ci_low"] <= best["corrected"] <= best["ci_high"]


def test_the_table_shows_every_model(cli: Cli, filled: Path) -> None:
    done = cli("scores", "--store", filled)
    assert (done.code, done.err) == (0, "")
    assert done.out.index("good") < done.out.index("hostile")
    for word in ("counting", "ocr", "overall", "95 % interval"):
        assert word in done.out


def test_filters(cli: Cli, filled: Path, tiny_suite: Suite) -> None:
    digest = tiny_suite.digest[:12]
    for filters in (
        ["--model", "good"],
        ["--model", "good", "--suite", "tiny"],
        ["--model", "good", "--suite", f"tiny@{digest}"],
    ):
        found = cli("scores", "--store", filled, "--json", *filters).json
        assert {score["model"] for score in found} == {"good"}
        assert len(found) == 3
    found = cli("scores", "--store", filled, "--json", "--ability", "ocr").json
    assert [(score["model"], score["ability"]) for score in found] == [
        ("hostile", "ocr"),
        ("good", "ocr"),
    ]
    assert cli("scores", "--store", filled, "--json", "--suite", "tiny@ffffffff").json == []


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (["--model", "godo"], "--model 'godo': the store has none of this name; did you mean 'g"),
        (["--suite", "mini:quick"], "--suite 'mini:quick': the store has none of this name; ther"),
        (["--ability", "orc"], "--ability 'orc': the store has none of this name; did you mean"),
    ],
)
def test_an_unknown_name_is_an_error(cli: Cli, filled: Path, filters: list[str], says: str) -> None:
    done = cli("scores", "--store", filled, *filters)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"lens-ray: {says}")


def test_a_store_without_runs(cli: Cli, tmp_path: Path, tiny_suite: Suite) -> None:
    from lens_ray.store import Store

    Store(str(tmp_path), create=True).put_suite(tiny_suite.info)
    assert cli("scores", "--store", tmp_path).out == "no scores\n"
    assert cli("scores", "--store", tmp_path, "--json").json == []
