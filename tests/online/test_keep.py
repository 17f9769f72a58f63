from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lens_ray.errors import UserError
from lens_ray.online.findings import Findings
from lens_ray.online.keep import Fate, Keep, fates_of, parse_keep, prune
from lens_ray.online.place import open_place
from lens_ray.store.bucket import BucketObjects
from lens_ray.store.watch_log import Pins, Seen, WatchState
from lens_ray.testing.fake_evaluator import write_checkpoint
from lens_ray.testing.fault_proxy import FaultProxy
from tests.online.hand_made import decline, series, watch

#: Six checkpoints; ocr is best at 300 and entity at 100, and nothing is close.
RIGHTS = {"ocr": [100, 150, 300, 200, 220, 210], "entity": [300, 200, 150, 150, 160, 150]}
STEPS = (100, 200, 300, 400, 500, 600)


def run_in(folder: Path, steps: Sequence[int] = STEPS) -> WatchState:
    """A run's folder, all of it asked."""
    for step in steps:
        write_checkpoint(folder / f"step-{step}", seed=step)
    return state_of(str(folder), steps)


def state_of(path: str, steps: Sequence[int] = STEPS) -> WatchState:
    marks = {one.name: one for one in open_place(path).folders()}
    return WatchState(
        tuple(
            Seen(
                step, marks[f"step-{step}"].path, marks[f"step-{step}"].mark, "2026-01-01",
                status="whole", depth="anchor", run_id=f"run{step}",
                asked_mark=marks[f"step-{step}"].mark,
            )
            for step in steps
        )
    )  # fmt: skip


def fates(
    path: object,
    state: WatchState,
    *keep: Keep,
    pins: Pins | None = None,
    findings: Findings | None = None,
    waiting: Sequence[int] = (),
) -> dict[int, Fate]:
    found = fates_of(
        watch(), str(path), state, pins or Pins(), keep, series=series(RIGHTS),
        findings=findings or Findings("r", 600), waiting=waiting,
    )  # fmt: skip
    return {fate.step: fate for fate in found}


def kept(found: dict[int, Fate]) -> set[int]:
    return {step for step, fate in found.items() if fate.kept}


def test_the_best_of_each_ability_and_the_newest_stay(tmp_path: Path) -> None:
    found = fates(tmp_path, run_in(tmp_path), "best_per_ability")
    assert kept(found) == {100, 300, 600}
    assert found[300].why == ("best of ocr", "best of overall")
    assert found[600].why == ("the newest",)
    assert found[200].why == ("nothing speaks for it",)


def test_pins_waiting_questions_and_falls_keep_more(tmp_path: Path) -> None:
    state = run_in(tmp_path)
    fallen = Findings("r", 600, declines=(decline("ocr"),))
    found = fates(
        tmp_path, state, "best_per_ability", "before_falls", pins=Pins({200: "for the paper"}),
        findings=fallen, waiting=[400],
    )  # fmt: skip
    assert kept(found) == {100, 200, 300, 400, 500, 600}
    assert found[200].why == ("pinned: for the paper",)
    assert found[500].why == ("before ocr fell",)
    assert found[400].why == ("something is still to be asked of it",)


def test_what_was_not_asked_or_is_not_whole_or_has_changed_stays(tmp_path: Path) -> None:
    state = run_in(tmp_path)
    seen = {one.step: one for one in state.seen}
    state = state.with_seen(
        replace(seen[100], run_id=None, depth=None),
        replace(seen[200], status="growing"),
        replace(seen[400], asked_mark="other"),
    )
    found = fates(tmp_path, state)
    assert kept(found) == {100, 200, 400, 600}
    assert found[400].why == ("it was written to since it was asked",)


def test_prune_deletes_just_those_and_says_so(tmp_path: Path) -> None:
    state = run_in(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    gone = prune(str(tmp_path), tuple(fates(tmp_path, state, "best_per_ability").values()))
    assert [(each.step, each.deleted, each.reason) for each in gone] == [
        (200, True, None), (400, True, None), (500, True, None),
    ]  # fmt: skip
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "step-100", "step-300", "step-600"]
    again = fates(tmp_path, state, "best_per_ability")
    assert not again[200].there
    assert again[200].why == ("its files are gone",)
    assert prune(str(tmp_path), tuple(again.values())) == ()


def test_the_best_of_those_that_are_left_stays(tmp_path: Path) -> None:
    state = run_in(tmp_path)
    for file in (tmp_path / "step-300").iterdir():
        file.unlink()
    (tmp_path / "step-300").rmdir()
    assert kept(fates(tmp_path, state, "best_per_ability")) == {100, 500, 600}


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    outside = Path(write_checkpoint(tmp_path / "elsewhere" / "precious", seed=1))
    root = tmp_path / "run"
    root.mkdir()
    (root / "step-100").symlink_to(outside)
    run_in(root, STEPS[1:])
    (root / "step-200" / "link").symlink_to(outside)
    state = state_of(str(root))
    gone = prune(str(root), tuple(fates(root, state).values()))
    assert [each.reason for each in gone if not each.deleted] == [
        "it is a link; delete it by hand"
    ]  # fmt: skip
    assert (root / "step-100").is_symlink()
    assert sorted(file.name for file in outside.iterdir()) == sorted(
        file.name for file in (root / "step-600").iterdir()
    )
    assert not (root / "step-200").exists()


@pytest.mark.parametrize("path", ["{out}/step-100", "{run}/../out/step-100", "{run}/.", "{run}"])
def test_nothing_outside_of_the_runs_folder_is_deleted(tmp_path: Path, path: str) -> None:
    outside = write_checkpoint(tmp_path / "out" / "step-100")
    run = tmp_path / "run"
    run_in(run)
    place = path.format(out=tmp_path / "out", run=run)
    fate = Fate(100, place, False, ("nothing",), 1, "mark")
    newer = Fate(600, str(run / "step-600"), True, ("newest",), 1, "mark")
    (gone,) = prune(str(run), (fate, newer))
    assert gone.reason == f"it does not lie directly in {run}"
    assert Path(outside).exists()
    assert len(list(run.iterdir())) == len(STEPS)


def test_the_newest_and_the_changed_are_not_deleted_whatever_is_asked(tmp_path: Path) -> None:
    state = run_in(tmp_path)
    found = fates(tmp_path, state)
    write_checkpoint(tmp_path / "step-200", seed=7, values=range(40))
    forced = tuple(
        Fate(fate.step, fate.path, False, (), fate.size, fate.mark) for fate in found.values()
    )
    reasons = {each.step: each.reason for each in prune(str(tmp_path), forced)}
    assert reasons[600] == "it is the newest"
    assert reasons[200] == "it was written to since it was asked"
    assert sorted(os.listdir(tmp_path)) == ["step-200", "step-600"]


def test_who_was_killed_while_deleting_is_finished_by_the_next(tmp_path: Path) -> None:
    state = run_in(tmp_path)
    half = tmp_path / f".lens-pruned-{'0' * 32}"
    (tmp_path / "step-500").rename(half)
    (tmp_path / ".mine").mkdir()
    assert [one.name for one in open_place(str(tmp_path)).folders() if "500" in one.name] == []
    prune(str(tmp_path), tuple(fates(tmp_path, state, "everything").values()))
    assert not half.exists()
    assert (tmp_path / ".mine").exists()


def test_a_folder_that_cannot_be_deleted_is_a_reason_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = run_in(tmp_path)
    found = tuple(fates(tmp_path, state, "best_per_ability").values())
    real = os.rename

    def rename(source: str, target: str, **at: int) -> None:
        if source == "step-200":
            raise PermissionError(13, "Permission denied")
        real(source, target, **at)

    monkeypatch.setattr(os, "rename", rename)
    gone = {each.step: each for each in prune(str(tmp_path), found)}
    assert "Permission denied" in (gone[200].reason or "")
    assert gone[400].deleted


def test_a_bucket_loses_just_those_objects(proxy: FaultProxy, moto: str) -> None:
    import boto3

    client = boto3.client(
        "s3", endpoint_url=moto, aws_access_key_id="k", aws_secret_access_key="s",
        region_name="us-east-1",
    )  # fmt: skip
    client.create_bucket(Bucket="keep")
    path = "s3://keep/runs/a"
    objects = BucketObjects("s3://keep/runs")
    for step in (10, 100, 600):
        for name in ("config.json", "model.safetensors", "optimizer/state.bin"):
            objects.create(f"a/step-{step}/{name}", f"{step} {name}".encode())
    objects.create("a-b/step-10/config.json", b"another run")
    state = state_of(path, (10, 100, 600))
    run = series({"ocr": [100, 300, 200]})
    found = fates_of(
        watch(), path, state, Pins(), ["best_per_ability"],
        series=replace(run, steps=np.array([10, 100, 600])),
        findings=Findings("r", 600),
    )  # fmt: skip
    assert [fate.kept for fate in found] == [False, True, True]
    (gone,) = prune(path, found)
    assert gone.deleted
    assert sorted(found.key for found in objects.list("")) == sorted(
        [f"a/step-{step}/{name}" for step in (100, 600)
         for name in ("config.json", "model.safetensors", "optimizer/state.bin")]
        + ["a-b/step-10/config.json"]
    )  # fmt: skip
    outside = Fate(10, "s3://keep/runs/a-b/step-10", False, (), 1, "m")
    (refused,) = prune(path, (outside, found[-1]))
    assert refused.reason == "it does not lie directly in s3://keep/runs/a"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("best_per_ability", {"best_per_ability"}),
        ("keep=best_per_ability, milestones", {"best_per_ability", "milestones"}),
    ],
)
def test_rules(text: str, found: set[str]) -> None:
    assert parse_keep(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [("best_per_abilty", "did you mean 'best_per_ability'"), (" ,", "nothing is named")],
)
def test_rules_that_are_none(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_keep(text)
