"""``lens-ray advise``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lens_ray.store import Store
from lens_ray.suites import Suite
from tests.cli.conftest import Cli
from tests.cli.stores import commit, header, row


def needs(folder: Path, text: str) -> Path:
    path = folder / "needs.yaml"
    path.write_text(text)
    return path


def test_words(cli: Cli, filled: Path) -> None:
    done = cli("advise", "--store", filled)
    assert (done.code, done.err) == (0, "")
    assert "Advice on 2 models, suite tiny. What counts: counting 50%, ocr 50%." in done.out
    assert "Take good: its score is 1.000" in done.out
    assert "independent images only" in done.out
    assert "NaN" not in done.out
    assert "nan" not in done.out


def test_json(cli: Cli, filled: Path, tmp_path: Path) -> None:
    path = needs(tmp_path, "weights: {counting: 2, others: 1}\nmin_score: {ocr: -1}\n")
    done = cli("advise", "--store", filled, "--need", path, "--json")
    assert done.code == 0
    found = done.json
    assert found["recommended"] == "good"
    assert found["weights"] == {"counting": pytest.approx(2 / 3), "ocr": pytest.approx(1 / 3)}
    assert found["needs"]["min_score"] == {"ocr": -1}
    assert [each["model"] for each in found["options"]] == ["good", "hostile"]
    assert {each["kind"] for each in found["combinations"]} == {"routing", "cascade"}
    assert "NaN" not in json.dumps(found)


def test_no_model_meets_the_needs(cli: Cli, filled: Path, tmp_path: Path) -> None:
    path = needs(tmp_path, "max_usd_per_1000: 0\nmax_latency_s: 0.001\n")
    done = cli("advise", "--store", filled, "--need", path, "--json")
    assert done.code == 4
    assert done.json["recommended"] is None
    assert done.json["reason"]
    assert done.err.count("\n") == 1
    assert done.err.startswith("lens-ray: no model ")
    words = cli("advise", "--store", filled, "--need", path)
    assert (words.code, words.err) == (4, done.err)
    assert "No model is recommended" in words.out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("weights: {contuing: 1}", "needs: weights.contuing: the suite asked nothing of this abil"),
        ("wieghts: {ocr: 1}", ":1:1: wieghts: unknown key; did you mean 'weights'?"),
    ],
)
def test_wrong_needs(cli: Cli, filled: Path, tmp_path: Path, text: str, says: str) -> None:
    done = cli("advise", "--store", filled, "--need", needs(tmp_path, text), "--json")
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert done.err.count("\n") == 1


def test_wrong_names(cli: Cli, filled: Path, tmp_path: Path) -> None:
    for arguments, says in (
        (["--model", "godo"], "did you mean 'good'?"),
        (["--on", "some"], "use all or common"),
        (["--need", str(tmp_path / "none.yaml")], "cannot be read"),
        (["--prices", str(tmp_path / "none.yaml")], "cannot be read"),
        (["--suite", "mini:quick"], "has no run of the suite mini:quick"),
    ):
        done = cli("advise", "--store", filled, *arguments)
        assert (done.code, done.out) == (2, "")
        assert says in done.err


def test_one_model(cli: Cli, filled: Path) -> None:
    done = cli("advise", "--store", filled, "--model", "good")
    assert done.code == 0
    assert "there is one model only" in done.out


def test_an_unfinished_run_is_left_out_or_refused_unless_taken_knowingly(
    cli: Cli, tiny_suite: Suite, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"), create=True)
    store.put_suite(tiny_suite.info)
    whole = store.open_run(header("run0", "whole", tiny_suite))
    whole.append([row(whole, tiny_suite, place, "3") for place in range(8)])
    commit(whole, tiny_suite)
    half = store.open_run(header("run1", "half", tiny_suite))
    half.append([row(half, tiny_suite, place, "4") for place in range(4)])
    left = cli("advise", "--store", tmp_path / "store")
    assert left.code == 0
    assert "- half left out: it is not finished: 4 rows so far" in left.out
    named = ["--model", "whole", "--model", "half"]
    refused = cli("advise", "--store", tmp_path / "store", *named)
    assert refused.code == 2
    assert "half (run1) is not finished" in refused.err
    done = cli("advise", "--store", tmp_path / "store", "--on", "common", *named)
    assert done.code == 0
    assert "on the samples in common, knowingly" in done.out
