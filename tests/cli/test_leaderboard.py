"""``lens-ray leaderboard``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.stats.boards import add, answers, store_of


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three models; read it only."""
    folder = tmp_path_factory.mktemp("ranked")
    store = store_of(folder)
    for name, score in zip(("bad", "good", "shut"), answers(1, -1.5, 1.5, 1.0), strict=True):
        add(store, name, score, access="closed" if name == "shut" else "open")
    return folder


def test_the_table(cli: Cli, ranked: Path) -> None:
    done = cli("leaderboard", "--store", ranked)
    assert (done.code, done.err) == (0, "")
    assert done.out.index("good") < done.out.index("bad")
    for word in ("rank", "best", "counting", "overall", "95 % interval", "coverage", "an answer"):
        assert word in done.out


def test_json_has_no_nan_and_names_everything(cli: Cli, ranked: Path) -> None:
    done = cli("leaderboard", "--store", ranked, "--by", "access", "--json")
    assert (done.code, done.err) == (0, "")
    assert "NaN" not in done.out
    found = done.json
    first = found["standings"][0]
    assert first["model"] == "good"
    assert first["ranks"]["overall"]["rank_low"] == 1
    assert first["cost"]["usd_per_1000"] is None
    assert first["cost"]["reason"]
    assert found["groups"] == {"open": ["bad", "good"], "closed": ["shut"]}
    assert {(gap["kind"], gap["figure"]) for gap in found["gaps"]} == {
        (kind, figure) for kind in ("mean", "best") for figure in ("counting", "ocr", "overall")
    }


def test_choices(cli: Cli, ranked: Path) -> None:
    done = cli("leaderboard", "--store", ranked, "--model", "bad", "--ability", "ocr", "--json")
    assert [each["model"] for each in done.json["standings"]] == ["bad"]
    assert done.json["figures"] == ["ocr"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "goood"], "did you mean 'good'"),
        (["--ability", "orc"], "did you mean 'ocr'"),
        (["--by", "size"], "access or backend"),
        (["--on", "some"], "use all or common"),
        (["--suite", "mini"], "no run of the suite mini"),
        (["--pool", "nothing"], "pool 'nothing' is unknown"),
        (["--prices", "/nowhere.yaml"], "price table /nowhere.yaml"),
    ],
)
def test_mistakes_end_in_one_line(cli: Cli, ranked: Path, arguments: list[str], words: str) -> None:
    done = cli("leaderboard", "--store", ranked, *arguments)
    assert done.code == 2
    assert done.out == ""
    assert words in done.err
    assert done.err.count("\n") == 1
