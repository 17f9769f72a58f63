"""``lens-ray merge search``: its words, its JSON and its exit codes, with pretended answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray import searching
from lens_ray.store import Store
from lens_ray.suites.suite import load_suite
from tests.cli.conftest import Cli
from tests.merging.stage import Weighed, checkpoint


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two ends between which both abilities are nearly kept, and nobody who needs a Ray."""
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    store = Store(str(tmp_path / "store"), create=True)
    evaluator = Weighed(store, load_suite("mini:quick"))

    class Pretended:
        """In the place of the engine's."""

        replicas = 1

        def __init__(self, *given: object, **named: object) -> None:
            pass

        evaluate = staticmethod(evaluator.evaluate)
        close = staticmethod(evaluator.close)

    monkeypatch.setattr(searching, "WarmEvaluator", Pretended)
    for name, place in (("a", 0.0), ("b", 1.0)):
        checkpoint(tmp_path / name, place)
    file = tmp_path / "merge.yaml"
    file.write_text(
        f"name: m\nsuite: mini:quick\nstore: {store.url}\n"
        f"parents:\n  - {{name: a, path: {tmp_path}/a, step: 1}}\n"
        f"  - {{name: b, path: {tmp_path}/b, step: 2}}\n"
        "search: {margin: 0.2, confidence: 0.6}\ntraining: {seconds: 1000}\n"
    )
    return file


def test_a_merge_is_found_shown_and_written(cli: Cli, job: Path, tmp_path: Path) -> None:
    done = cli("merge", "search", job, "--out", tmp_path / "out", "--report", tmp_path / "r.html")
    assert done.code == 0, done.err
    assert "merge: " in done.out
    assert "what must hold of a merge" in done.out
    assert "% of the training's 1,000 device-seconds" in done.out
    assert "7B        " in done.out
    assert f"lens-ray merge verify {tmp_path / 'out'} --store" in done.out
    assert "<svg" in (tmp_path / "r.html").read_text()
    again = cli("merge", "search", job, "--json")
    found = again.json
    assert again.code == 0
    assert found["verdict"] == "merge"
    assert found["cost"]["training_s"] == 1000
    assert found["spent"]["candidates"] >= 1


def test_a_budget_that_is_spent_is_exit_code_6(cli: Cli, job: Path) -> None:
    job.write_text(job.read_text() + "budget: {candidates: 1}\n")
    done = cli("merge", "search", job)
    assert done.code == 6
    assert "budget.candidates 1 are spent" in done.err


@pytest.mark.parametrize("need", ["ocr", "ocr=", "=1", "ocr=-1", "ocr=inf", "ocr=1,,"])
def test_a_need_is_an_ability_and_a_number(cli: Cli, job: Path, need: str) -> None:
    done = cli("merge", "search", job, "--need", need)
    assert done.code == 2
    assert "write ability=weight" in done.err


def test_a_need_of_an_ability_that_nobody_asks(cli: Cli, job: Path) -> None:
    done = cli("merge", "search", job, "--need", "smell=1")
    assert done.code == 2
    assert "smell" in done.err
