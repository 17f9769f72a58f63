"""``lens-ray power``, ``estimate`` and ``sequential``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lens_ray.store import Store
from lens_ray.suites import write_suite
from tests.cli.conftest import Cli
from tests.cli.stores import commit, header, row
from tests.suites.makers import sample

COUNT = 160


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models on one suite: ``good`` all of it, ``poor`` too, ``part`` and ``bit`` some anchors."""
    folder = tmp_path_factory.mktemp("less")
    samples, images = [], {}
    for number in range(COUNT):
        ability = ("counting", "ocr")[number % 2]
        split = "anchor" if number % 5 < 2 else "sealed"
        made, image = sample(number, ability=ability, subtask=f"{ability}_a", split=split)
        samples.append(made)
        images.update(image)
    suite = write_suite("less", samples, images, folder / "suite", licence="x", revision="1")
    opened = Store(str(folder / "store"), create=True)
    opened.put_suite(suite.info)
    anchors = [place for place, one in enumerate(suite.samples) if one.split == "anchor"]
    everything = range(COUNT)
    for number, (model, places, wrong) in enumerate([
        ("good", everything, 9), ("poor", everything, 2), ("part", anchors, 7),
        ("bit", anchors[:30], 7), ("sealed", sorted(set(everything) - set(anchors)), 7),
    ]):  # fmt: skip
        log = opened.open_run(header(f"run{number}" + 3 * f"{number}", model, suite))
        log.append([row(log, suite, p, "4" if p % wrong == 0 else "3") for p in places])
        if len(places) == COUNT:
            commit(log, suite)
    other = dataclasses.replace(header("other000", "other", suite), template="bare")
    log = opened.open_run(other)
    log.append([row(log, suite, place, "3") for place in anchors])
    return folder / "store"


def test_power_of_two_models(cli: Cli, store: Path) -> None:
    done = cli("power", "good", "poor", "--store", store, "--difference", "0.05", "--json")
    assert (done.code, done.err) == (0, "")
    report = done.json
    assert (report["level"], report["power"], report["difference"]) == (0.05, 0.8, 0.05)
    assert [line["figure"] for line in report["lines"]] == ["counting", "ocr", "overall"]
    for line in report["lines"]:
        if line["needed"] is None:
            assert line["reason"]
            continue
        assert 0 < line["power"] < 0.8
        assert line["needed"] > line["n"]
        assert line["usd"] is None
        assert line["usd_reason"]
    text = cli("power", "good", "poor", "--store", store, "--difference", "0.05").out
    for word in ("samples needed", "as good and poor differ on less", "- dollars: "):
        assert word in text
    assert "samples needed" not in cli("power", "good", "poor", "--store", store).out


def test_power_of_a_suite(cli: Cli) -> None:
    assumed = ("--accuracy", "0.7", "--correlation", "0.8")
    done = cli("power", "--suite", "mini:quick", *assumed, "--difference", "0.03", "--json")
    assert done.code == 0
    lines = {line["figure"]: line for line in done.json["lines"]}
    assert len(lines) == 7
    assert lines["ocr"]["needed"] > lines["ocr"]["n"] == 102
    assert lines["overall"]["sees"] < lines["ocr"]["sees"]
    text = cli("power", "--suite", "mini:quick", *assumed).out
    assert "assumed: accuracy 0.7 of both, correlation 0.8 (discordance 0.084)" in text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "power of what? type two models and --store URL, or --suite NAME"),
        (["good"], "power of two models: type lens-ray power A B --store URL"),
        (["good", "goo", "--store", "STORE"], "the store has no model 'goo'; did you mean 'good'?"),
        (["good", "poor", "--store", "STORE", "--difference", "2"], "difference 2: give a number"),
        (["good", "poor", "--store", "STORE", "--difference", "nan"], "difference nan: give a num"),
        (["good", "part", "--store", "STORE"], "part (run2222) is not finished"),
        (["--suite", "mini:quick"], "say what is assumed: --discordance 0.1, or both of"),
        (["--suite", "mini:quick", "--discordance", "0"], "discordance 0: give a number above 0"),
    ],
)
def test_power_refuses(cli: Cli, store: Path, given: list[str], says: str) -> None:
    done = cli("power", *[str(store) if word == "STORE" else word for word in given])
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_an_estimate_from_anchors(cli: Cli, store: Path) -> None:
    done = cli("estimate", "part", "--from", "good", "--store", store, "--json")
    assert (done.code, done.err) == (0, "")
    found = {one["figure"]: one for one in done.json["figures"]}
    assert list(found) == ["counting", "ocr", "overall"]
    ocr = found["ocr"]
    assert (ocr["anchors"], ocr["whole"], ocr["reference"]) == (32, 80, "good")
    assert ocr["ci_low"] < ocr["estimate"] < ocr["ci_high"]
    assert ocr["suite_high"] - ocr["suite_low"] < ocr["ci_high"] - ocr["ci_low"]
    text = cli("estimate", "part", "--from", "good", "--store", store).out
    assert "corrected scores of part, from its anchors and good as reference" in text
    # Of a model that answered everything only the anchors are looked at.
    whole = cli("estimate", "poor", "--from", "good", "--store", store, "--json").json
    assert whole["figures"][0]["anchors"] == 32


@pytest.mark.parametrize(
    ("model", "reference", "says"),
    [
        ("part", "prat", "the store has no model 'prat'; did you mean 'part'?"),
        ("part", "part", "the model 'part' is named twice"),
        ("sealed", "good", "sealed has no answer of the split anchor; run it with splits: [ancho"),
        ("other", "good", "other and good were asked by templates bare and default"),
    ],
)
def test_an_estimate_that_cannot_be(
    cli: Cli, store: Path, model: str, reference: str, says: str
) -> None:
    done = cli("estimate", model, "--from", reference, "--store", store)
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_estimates_that_lack_something_are_null_with_a_reason(cli: Cli, store: Path) -> None:
    for model, reference, why in (
        ("bit", "good", "bit answered 15 of 32 anchors"),
        ("good", "part", "part answered 32 of the suite's 80 samples"),
    ):
        found = cli("estimate", model, "--from", reference, "--store", store, "--json").json[
            "figures"
        ]
        assert [one["estimate"] for one in found] == [None] * 3
        assert found[0]["reason"] == why
        assert why in cli("estimate", model, "--from", reference, "--store", store).out


def test_a_look_at_two_models_in_between(cli: Cli, store: Path) -> None:
    done = cli("sequential", "good", "poor", "--store", store, "--json")
    assert (done.code, done.err) == (0, "")
    found = {one["figure"]: one for one in done.json["figures"]}
    assert found["overall"]["better"] == "good"
    assert found["overall"]["decided_at"] < COUNT
    assert found["counting"]["p_holm"] >= found["counting"]["p"]
    # A run that is not finished can be looked at, too.
    part = cli("sequential", "part", "poor", "--store", store, "--json").json["figures"]
    assert part[-1]["n"] == 64
    assert "A is part, B is poor" in cli("sequential", "part", "poor", "--store", store).out


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["part", "sealed"], "part and sealed have no answered sample in common"),
        (["part", "poor", "--level", "1"], "level 1: give a number between 0 and 1"),
        (["part", "--level", "0.1"], "Missing argument 'B'"),
    ],
)
def test_a_look_that_cannot_be(cli: Cli, store: Path, given: list[str], says: str) -> None:
    done = cli("sequential", *given, "--store", store)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
