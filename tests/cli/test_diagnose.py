"""``lens-ray diagnose``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.stats.stores import Asked, store_of
from tests.stats.test_diagnose import answers


@pytest.fixture
def weak(tmp_path: Path) -> Path:
    store_of(tmp_path / "store", {
        "weak": Asked(answers(1, 0.3, 0.85)), "one": Asked(answers(2, 0.7, 0.85)),
        "\x1b[31mtwo": Asked(answers(3, 0.7, 0.85)),
    })  # fmt: skip
    return tmp_path / "store"


def test_what_it_is_weak_in_and_against_whom(cli: Cli, weak: Path) -> None:
    done = cli("diagnose", "weak", "--store", weak)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("weak on tiny, against its own mean\nless what is hard for models")
    assert "\x1b" not in done.out
    last = next(line for line in done.out.splitlines() if line.startswith("weaker in: "))
    assert "format open" in last
    assert "their mean" in done.out
    alone = cli("diagnose", "one", "--store", weak, "--other", "\x1b[31mtwo")
    assert "no weakness found; one of 0." in alone.out
    assert "their mean" not in cli("diagnose", "weak", "--store", weak, "--against", "own").out
    assert "format" in cli("diagnose", "one", "--store", weak, "--all").out


def test_json_has_every_look(cli: Cli, weak: Path) -> None:
    found = cli("diagnose", "weak", "--store", weak, "--json").json
    assert (found["model"], found["against"]) == ("weak", "others")
    assert found["tests"] == sum(look["p"] is not None for look in found["looks"])
    assert found["looks"][0]["finding"] == "weaker"
    assert all(look["reason"] for look in found["looks"] if look["p"] is None)


def test_too_few_samples_to_look_at(cli: Cli, filled: Path) -> None:
    done = cli("diagnose", "good", "--store", filled)
    assert (done.code, done.err) == (0, "")
    assert "nothing could be looked at" in done.out
    assert "fewer than 20" in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["goof"], 2, "the store has no model 'goof'; did you mean 'good'?"),
        (["good", "--against", "mean"], 2, "against 'mean': use own or others"),
        (["good", "--other", "goof"], 2, "the store has no model 'goof'"),
        (["good", "--other", "good", "--against", "others"], 4, "good has no other model beside"),
        (["good", "--images", "nowhere"], 2, "suite 'nowhere' is not known"),
    ],
)
def test_a_mistake_is_one_line(
    cli: Cli, filled: Path, arguments: list[str], code: int, says: str
) -> None:
    done = cli("diagnose", *arguments, "--store", filled)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert done.err.count("\n") == 1
