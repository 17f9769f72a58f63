"""``lens-ray suite build`` of recipes, ``suite import``, and what ``suite check`` counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.suites import Suite, load_suite
from lens_ray.testing.abilitylens_data import generate
from tests.cli.conftest import Cli
from tests.suites.makers import OPEN
from tests.suites.readers.makers import png


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generate(folder)
    return folder


def test_a_recipe_with_every_option(cli: Cli, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = cli(
        "suite", "build", "abilitylens", "--from", data, "--source", "mme,mirb", "--source",
        "chartqa", "--ability", "counting", "--abilities", "structured_data", "--set",
        "mme=each", "--set", "lite=chartqa", "--out", out, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["location"] == str(out)
    made = load_suite(str(out))
    # 2 images of 2 questions each; MIRB's 4 counts; the lite ChartQA has 4 rows.
    assert {name: sum(one.values()) for name, one in done.json["counts"].items()} == {
        "counting": 4 + 4,
        "structured_data": 4 + 4,
    }
    assert made.info.recipe["abilities"] == ["counting", "structured_data"]
    assert "mme: reading MME\n" in done.err
    again = cli("suite", "build", "abilitylens", "--from", data, "--source", "mirb")
    assert (again.code, again.out.splitlines()[0][-9:]) == (0, "4 samples")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["abilitylens", "--from", "nowhere"], "--from nowhere: there is no such folder or file"),
        (["abilitylens", "--source", "mmee"], "source 'mmee' is not known; the nearest is 'mme'"),
        (["abilitylens", "--set", "first_half"], "--set first_half: give OPTION=VALUE"),
        (["abilitylens", "--set", "mme=par"], "option mme: 'par' is not known; give one of pairs"),
        (["abilitylens", "--set", "mme=each", "--set", "mme=pairs"], "--set mme: is given more"),
        (["abilitylens", "--ability", "smell"], "ability 'smell': none of these sources has it"),
        (["abilitylens", "--revision", "mmee=1"], "source 'mmee' is not known"),
        (["abilitylenz"], "suite 'abilitylenz' is not known; the nearest is 'abilitylens'"),
        (["mini:quick", "--from", "hub"], "--from is for recipes (abilitylens, abilitylens-paper"),
        (["mini:quick", "--set", "mme=each"], "--set is for recipes"),
    ],
)
def test_what_cannot_be_built(cli: Cli, arguments: list[str], message: str) -> None:
    done = cli("suite", "build", *arguments)
    assert done.code == 2
    assert message in done.err.splitlines()[-1]


def test_offline_without_a_copy(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    done = cli("suite", "build", "abilitylens", "--source", "mirb")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "hub: offline, and" in done.err
    assert "no copy of revision" in done.err


def test_check_of_a_recipe(cli: Cli, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cli("suite", "build", "abilitylens-lite", "--from", data, "--out", out).code == 0
    found = cli("suite", "check", out, "--json")
    assert (found.code, found.json["problems"]) == (0, [])
    assert found.json["published"] == {"samples": 12_000, "ratio": 2.6}
    assert found.json["sources"]["mirb"] == {"counting": 4}
    abilities = found.json["abilities"]
    assert found.json["ratio"] == max(abilities.values()) / min(abilities.values())
    cells = {(c["ability"], c["domain"], c["format"]): c["samples"] for c in found.json["cells"]}
    assert cells["ocr", "document", "open"] > 0
    assert cells["counting", "document", "open"] == 0
    told = cli("suite", "check", out).out
    assert "published 12,000; largest ability by smallest" in told
    assert "cells of ability x domain x format are empty" in told


def test_check_of_another_suite(cli: Cli, tiny_suite: Suite) -> None:
    found = cli("suite", "check", tiny_suite.location, "--json").json
    assert found["published"] is None
    assert found["sources"] == {OPEN.source: {"counting": 4, "ocr": 4}}


def test_import(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    for number in range(3):
        (tmp_path / "img" / f"{number}.png").write_bytes(png(number))
    table = tmp_path / "line3.csv"
    table.write_text(
        "Frage,answer,image\nWie viele?,3,0.png\nUnd hier?,4,1.png\nKaputt?,yes,2.png\n"
    )
    out = tmp_path / "suite"
    done = cli(
        "suite", "import", table, "--images", tmp_path / "img", "--ability", "counting",
        "--column", "question=Frage", "--licence", "CC0-1.0", "--out", out, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (done.json["name"], done.json["samples"], done.json["licence"]) == (
        "line3", 3, "CC0-1.0",
    )  # fmt: skip
    assert cli("suite", "check", out).code == 0
    kept = cli("suite", "import", table, "--images", tmp_path / "img", "--ability", "counting",
               "--column", "question=Frage", "--name", "mine")  # fmt: skip
    assert kept.code == 0
    assert f"mine@{done.json['digest'][:12]}" not in kept.out  # ids hold the name
    assert load_suite(kept.out.split()[0].rstrip(":")).name == "mine"
    bad = cli("suite", "import", table, "--ability", "counting", "--column", "question")
    assert (bad.code, bad.err) == (2, "lens-ray: --column question: give OURS=THEIRS\n")
    bad = cli("suite", "import", table, "--ability", "counting")
    assert bad.code == 2
    assert "column 'question' is missing" in bad.err
