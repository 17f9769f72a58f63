"""`lens_ray.watch`, whole, with pretended answers; and what the report then shows of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from lens_ray import watching
from lens_ray.errors import StoreUnavailable, UserError
from lens_ray.online.findings import Findings
from lens_ray.online.marker import MARKER, Marker
from lens_ray.online.spec import RunSpec, WatchSpec
from lens_ray.report import write_report
from lens_ray.store import Store
from lens_ray.suites.suite import Suite, load_suite
from lens_ray.testing.fake_evaluator import FakeEvaluator, write_checkpoint
from lens_ray.watching import watch

STEPS = (100, 200, 300, 400)


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("mini:quick")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), create=True)


def train(folder: Path, *steps: int) -> None:
    for step in steps:
        made = Path(write_checkpoint(folder / f"step-{step}", step))
        (made / MARKER).write_bytes(Marker(step=step, announced_at="t").to_bytes())


def accuracy(ability: str, step: int) -> float:
    """Ocr rises when entity falls, after step 200."""
    if ability == "ocr":
        return 0.5 if step <= 200 else 0.95
    if ability == "entity":
        return 0.9 if step <= 200 else 0.3
    return 0.7


def job(root: Path, store: Store, **keys: Any) -> WatchSpec:
    keys = {"policy": "all", "ask": "full", "poll_s": 0.01, "settle_s": 0.0} | keys
    run = RunSpec(name="a", path=str(root / "a"), planned_steps=keys.pop("planned_steps", None))
    rules = {
        "windows": [{"early": [100, 200], "late": [300, 400]}], "planned_checkpoints": 4,
    }  # fmt: skip
    return WatchSpec(
        name="w", suite="mini:quick", store=store.url, runs=(run,),
        **({"rules": rules} | keys),
    )  # fmt: skip


def test_a_run_is_followed_to_its_end(tmp_path: Path, store: Store, suite: Suite) -> None:
    train(tmp_path / "a", *STEPS[:2])
    evaluator = FakeEvaluator(store, suite, accuracy)
    seen: list[Findings] = []
    spec = job(tmp_path, store, planned_steps=400)

    def told(findings: Findings) -> None:
        seen.append(findings)
        if findings.step == 200:  # the trainer goes on meanwhile
            train(tmp_path / "a", *STEPS[2:])

    (found,) = watch(spec, evaluator=evaluator, on_findings=told)
    assert found == seen[-1]
    assert found.step == 400
    overall = next(curve for curve in found.curves if curve.ability == "overall")
    assert [point.step for point in overall.points] == list(STEPS)
    assert [(one.rises, one.falls) for one in found.conflicts] == [("ocr", "entity")]
    assert len(evaluator.asked) == 4
    (again,) = watch(spec, evaluator=evaluator)
    assert again == found
    assert len(evaluator.asked) == 4


def test_it_ends_at_what_is_feared(tmp_path: Path, store: Store, suite: Suite) -> None:
    train(tmp_path / "a", *STEPS)
    evaluator = FakeEvaluator(store, suite, accuracy)
    # No planned steps: nothing else would end it.
    (found,) = watch(job(tmp_path, store), evaluator=evaluator, fail_on=["conflict"])
    assert found.conflicts


def test_the_report_shows_the_run(tmp_path: Path, store: Store, suite: Suite) -> None:
    train(tmp_path / "a", *STEPS)
    watch(job(tmp_path, store), evaluator=FakeEvaluator(store, suite, accuracy), once=True)
    text = write_report(store, tmp_path / "r.html", samples=0).read_text(encoding="utf-8")
    assert "Training run a" in text
    assert "ocr rises +" in text
    # A watch whose file cannot be read any more does not hide the rest.
    store.register_watch("broken", ["b"], {"name": "broken"})
    text = write_report(store, tmp_path / "r.html", samples=0).read_text(encoding="utf-8")
    assert "Training run a" in text
    assert "Training run b" in text
    assert "the curves cannot be shown" in text


def test_a_folder_without_a_checkpoint_is_said_to_be_one(
    tmp_path: Path, store: Store, suite: Suite
) -> None:
    evaluator = FakeEvaluator(store, suite, accuracy)
    lines: list[str] = []
    (found,) = watch(job(tmp_path, store), evaluator=evaluator, once=True, on_line=lines.append)
    assert found.step is None
    assert found.notes == (f"no checkpoint was found in {tmp_path / 'a'} so far",)
    assert lines == [
        f"a: looking at {tmp_path / 'a'} every 0.01 s", "a: no checkpoint is there so far",
    ]  # fmt: skip


def test_once_ends_where_rows_are_damaged(
    tmp_path: Path, store: Store, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "ONCE_PATIENCE_S", 0.05)
    train(tmp_path / "a", *STEPS)
    evaluator = FakeEvaluator(store, suite, accuracy)
    watch(job(tmp_path, store), evaluator=evaluator, once=True)
    for marks in (tmp_path / "store" / "watch").rglob("marks*"):  # they would do for the rows
        shutil.rmtree(marks) if marks.is_dir() else marks.unlink()
    for file in (tmp_path / "store" / "runs").rglob("rows/*.parquet"):
        file.write_bytes(b"no Parquet")
    with pytest.raises(StoreUnavailable, match="damaged"):
        watch(job(tmp_path, store), evaluator=evaluator, once=True)


def test_a_replay_asks_nothing(tmp_path: Path, store: Store) -> None:
    with pytest.raises(UserError, match="--replay asks nothing"):
        watch(job(tmp_path, store), replay=True, once=True)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"suite": "mini:quik"}, "mini:quik"),
        ({"abilities": ["orc"]}, "the nearest is 'ocr'"),
        ({"pool": "no-such-pool"}, "no-such-pool"),
        ({"runs": [{"name": "a", "path": "/a", "accelerator": "H1000"}]}, "H1000"),
        ({"needs": {"min_score": {"orc": 0.5}}}, "did you mean 'ocr'"),
        ({"abilities": ["ocr"], "needs": {"min_score": {"entity": 0.5}}}, "asked nothing of"),
    ],
)
def test_what_cannot_be_asked_is_said_before_the_first_checkpoint(
    tmp_path: Path, keys: dict[str, Any], says: str
) -> None:
    spec = WatchSpec(
        **{
            "name": "w", "suite": "mini:quick", "store": str(tmp_path / "new"),
            "runs": [{"name": "a", "path": str(tmp_path / "a")}],
        } | keys
    )  # fmt: skip
    with pytest.raises(UserError, match=says):
        watch(spec)
    assert not (tmp_path / "new").exists()


def test_a_page_that_cannot_be_written_ends_no_watch(
    tmp_path: Path, store: Store, suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    from lens_ray.cli.watch import _Show

    train(tmp_path / "a", *STEPS)
    (folder := tmp_path / "pages").mkdir()
    spec = job(tmp_path, store)
    show = _Show(spec, folder / "curves.html")
    folder.rmdir()
    evaluator = FakeEvaluator(store, suite, accuracy)
    (found,) = watch(spec, evaluator=evaluator, once=True, on_findings=show)
    assert found.step == 400
    assert capsys.readouterr().err.count("is not a folder") == 1
    assert isinstance(show.failure, UserError)
    folder.mkdir()
    show(found)
    assert show.failure is None
    assert (folder / "curves.html").exists()
