from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lens_ray.cli.main import main
from lens_ray.online.candidates import load_candidates
from lens_ray.online.checkpoint import Checkpoint
from lens_ray.online.evaluator import Question
from lens_ray.online.place import open_place
from lens_ray.online.queue import recorded
from lens_ray.online.spec import WatchSpec, load_watch
from lens_ray.store import Store
from lens_ray.store.watch_log import Seen, WatchState
from lens_ray.suites.suite import load_suite
from lens_ray.testing.fake_evaluator import FakeEvaluator, write_checkpoint

STEPS = (100, 200, 300, 400)
#: Right answers: ocr is best at 200, everything else at 300.
OCR, OTHERS = (0.3, 0.95, 0.5, 0.5), (0.2, 0.4, 0.95, 0.5)

WATCH = """\
name: w
suite: mini:quick
store: {store}
policy: all
ask: full
model: {{backend: fake}}
runs:
  - {{name: r, path: {path}}}
"""
Verb = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, all of it asked but the last checkpoint, and the store."""
    root = tmp_path_factory.mktemp("asked")
    for step in (*STEPS, 500):
        write_checkpoint(root / "run" / f"step-{step}", seed=step)
    spec, store = _spec(root), Store(root / "store", create=True)

    def accuracy(ability: str, step: int) -> float:
        return (OCR if ability == "ocr" else OTHERS)[STEPS.index(step)]

    fake = FakeEvaluator(store, load_suite("mini:quick"), accuracy, batch=1000)
    state = WatchState()
    for found in open_place(str(root / "run")).folders():
        step = int(found.name.partition("-")[2])
        seen = Seen(step, found.path, found.mark, "t", status="whole", size=found.size)
        state = state.with_seen(seen)
        if step in STEPS:
            host = spec.model.model_spec(f"r@{step}", found.path, step)
            checkpoint = Checkpoint("r", step, found.path, found.mark, "t")
            (answer,) = fake.evaluate([Question(checkpoint, host, "full")])
            state = recorded(state, answer, 3, "t")
    store.watch("w").state("r").update(lambda _: state)
    return root


def _spec(root: Path) -> WatchSpec:
    file = root / "watch.yaml"
    file.write_text(WATCH.format(store=root / "store", path=root / "run"))
    return load_watch(file)


@pytest.fixture
def run(tmp_path: Path, asked: Path) -> Path:
    """The same run at a place of its own."""
    root = tmp_path / "mine"
    shutil.copytree(asked, root)  # with the files' times, which are part of their marks
    _spec(root)

    def moved(state: WatchState) -> WatchState:
        return state.with_seen(
            *(replace(one, path=f"{root}/run/step-{one.step}") for one in state.seen)
        )

    Store(root / "store").watch("w").state("r").update(moved)
    return root / "run"


@pytest.fixture
def verb(run: Path, capsys: pytest.CaptureFixture[str]) -> Verb:
    def call(name: str, *arguments: object) -> tuple[int, str, str]:
        code = main(["checkpoints", name, str(run.parent / "watch.yaml"), *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def of(out: str) -> dict[int, dict[str, Any]]:
    (found,) = json.loads(out)["runs"]
    return {each["step"]: each for each in found["fates"]}


def test_list_shows_each_with_its_reasons(verb: Verb) -> None:
    code, out, _ = verb("list", "--json")
    assert code == 0
    assert all(each["kept"] for each in of(out).values())
    assert of(out)[100]["why"] == ["everything is kept"]
    code, out, _ = verb("list")
    assert out.splitlines()[0] == "run r, kept: everything"
    assert len(out.splitlines()) == 8


def test_keep_shows_what_may_go_and_deletes_nothing_by_itself(verb: Verb, run: Path) -> None:
    code, out, _ = verb("keep", "best_per_ability")
    assert code == 0
    assert "nothing was deleted; to delete them: lens-ray checkpoints keep" in out
    assert len(os.listdir(run)) == 5
    fates = of(verb("list", "--json")[1])  # the rule was written down
    assert {step for step, each in fates.items() if each["kept"]} == {200, 300, 500}
    assert "best of ocr" in fates[200]["why"]
    assert fates[500]["why"] == ["something is still to be asked of it", "the newest",
                                 "it was not asked so far"]  # fmt: skip


def test_delete_spares_the_pinned(verb: Verb, run: Path) -> None:
    code, out, _ = verb("pin", 100, "--why", "for the paper")
    assert (code, out.splitlines()[0]) == (0, "step 100 is pinned: for the paper")
    code, out, _ = verb("keep", "best_per_ability", "--delete", "--json")
    assert code == 0
    assert [each["step"] for each in json.loads(out)["deleted"]] == [400]
    assert sorted(os.listdir(run)) == ["step-100", "step-200", "step-300", "step-500"]
    assert of(out)[400]["why"] == ["its files are gone"]
    assert verb("unpin", 100)[0] == 0
    code, out, _ = verb("keep", "--delete")
    assert "step 100: deleted" in out
    assert not (run / "step-100").exists()


def test_what_cannot_be_deleted_is_said_and_is_no_success(
    verb: Verb, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(*names: str, **at: int) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", rename)
    code, out, _ = verb("keep", "best_per_ability", "--delete")
    assert code == 6
    assert "step 400: not deleted: [Errno 13] Permission denied" in out
    assert len(os.listdir(run)) == 5


def test_candidates_are_written(verb: Verb, tmp_path: Path) -> None:
    code, out, _ = verb("candidates", "--out", tmp_path / "c.yaml")
    assert code == 0
    found = load_candidates(tmp_path / "c.yaml")
    assert {each.step: "best of ocr" in each.why for each in found.checkpoints}[200]
    assert found.base == "r@400"
    assert all(each.digest for each in found.checkpoints)
    assert f"written to {tmp_path / 'c.yaml'}; base: r@400" in out


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("pin", ["150"], "run r: there is no checkpoint at step 150; nearest: 100, 200, 300"),
        ("unpin", ["100"], "run r: step 100 is not pinned; pinned: none"),
        ("keep", ["best_per_abilty"], "did you mean 'best_per_ability'"),
        ("list", ["--run", "q"], "watch w has no run 'q'"),
    ],
)
def test_a_mistake_is_one_line(verb: Verb, name: str, arguments: list[str], said: str) -> None:
    code, out, err = verb(name, *arguments)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1
    assert out == ""


def test_a_run_that_nobody_looked_at_lists_nothing(verb: Verb, run: Path) -> None:
    Store(run.parent / "store").watch("w").state("r").update(lambda _: WatchState())
    assert of(verb("list", "--json")[1]) == {}
    assert verb("list")[1] == "run r: no checkpoint was seen so far; type lens-ray watch\n"
    code, _, err = verb("candidates")
    assert code == 2
    assert "no checkpoint was asked so far; run lens-ray watch first" in err


def test_several_runs_must_be_named(verb: Verb, run: Path) -> None:
    file = run.parent / "watch.yaml"
    file.write_text(file.read_text() + f"  - {{name: q, path: {run.parent}/q}}\n")
    code, _, err = verb("keep")
    assert (code, "add --run r" in err) == (2, True)
    assert len(json.loads(verb("list", "--json")[1])["runs"]) == 2


def test_one_that_was_written_again_stays(verb: Verb, run: Path) -> None:
    cell = Store(run.parent / "store").watch("w").state("r")
    cell.update(lambda state: state.with_seen(*(replace(one, mark="new") for one in state.seen)))
    fates = of(verb("keep", "best_per_ability", "--json")[1])
    assert all(each["kept"] for each in fates.values())


def test_answers_that_cannot_be_compared_keep_everything(
    verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lens_ray.online import load
    from lens_ray.stats.marks import NotComparable

    def none(*args: object, **keys: object) -> None:
        raise NotComparable("run r: no checkpoint has an answer")

    monkeypatch.setattr(load, "load_series", none)
    code, out, _ = verb("keep", "best_per_ability", "--json")
    assert code == 0
    assert all(each["kept"] for each in of(out).values())
