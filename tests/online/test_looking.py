"""What a look at a run finds, by clocks that the test turns."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from lens_ray.online.looking import Look, Looker, taken
from lens_ray.online.marker import MARKER, Marker
from lens_ray.online.place import FolderPlace
from lens_ray.store.watch_log import WatchState
from lens_ray.testing.fake_evaluator import write_checkpoint


class Watching:
    """A run's folder, who looks at it, and the state that results."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.clock = 100.0
        self.wall = 1.0  # no file is old
        self.state = WatchState()
        self.start()

    def start(self) -> None:
        """As a watcher that starts and remembers nothing."""
        self.looker = Looker(
            FolderPlace(str(self.root)), str(self.root), settle_s=10, never_whole_s=60,
            clock=lambda: self.clock, wall=lambda: self.wall,
        )  # fmt: skip

    def look(self, after: float = 0) -> Look:
        self.clock += after
        self.wall += after
        look = self.looker.look(self.state)
        self.state = taken(self.state, look)
        assert taken(self.state, look) == self.state
        return look

    def write(self, step: int, seed: int | None = None, **keys: object) -> Path:
        at = self.root / f"step-{step}"
        return Path(write_checkpoint(at, step if seed is None else seed, **keys))  # type: ignore[arg-type]

    def announce(self, step: int, **metrics: float) -> None:
        marker = Marker(step=step, announced_at="t", metrics=metrics)
        (self.root / f"step-{step}" / MARKER).write_bytes(marker.to_bytes())

    def statuses(self) -> dict[int, str]:
        return {one.step: one.status for one in self.state.seen}

    def kinds(self) -> list[tuple[str, int | None]]:
        return [(one.kind, one.step) for one in self.state.incidents]

    def settle(self) -> None:
        self.look()
        self.look(10)


@pytest.fixture
def run(tmp_path: Path) -> Watching:
    return Watching(tmp_path / "run")


def test_files_at_rest_make_a_checkpoint_whole(run: Watching) -> None:
    at = run.write(100)
    assert run.look().unsettled == 1
    assert run.statuses() == {100: "growing"}
    run.look(9)
    assert run.statuses() == {100: "growing"}
    (at / "generation_config.json").write_text("{}")  # something is still written
    run.look(5)
    run.look(9)
    assert run.statuses() == {100: "growing"}
    assert run.look(1).unsettled == 0
    assert run.statuses() == {100: "whole"}
    assert run.look(100) == Look()


def test_what_is_announced_is_whole_at_once_with_its_metrics(run: Watching) -> None:
    run.write(100)
    run.announce(100, loss=0.5)
    run.look()
    [seen] = run.state.seen
    assert (seen.status, seen.metrics) == ("whole", {"loss": 0.5})


def test_old_files_need_no_second_look(run: Watching) -> None:
    run.write(100)
    run.wall = 1e11
    run.look()
    assert run.statuses() == {100: "whole"}


def test_a_half_written_one_waits_and_is_reported_once(run: Watching) -> None:
    at = run.write(100)
    whole = (at / "model.safetensors").read_bytes()
    (at / "model.safetensors").write_bytes(whole[:-8])
    run.settle()
    assert run.statuses() == {100: "growing"}
    assert run.look(10).unsettled == 0  # nobody need wait for it
    run.look(40)
    run.look(40)
    assert run.kinds() == [("never_whole", 100)]
    assert "step 100 is not whole after 60 s" in run.state.incidents[0].line
    assert "truncated" in run.state.incidents[0].line
    run.start()  # it is told once, also by another watcher
    run.look(100)
    assert len(run.state.incidents) == 1
    (at / "model.safetensors").write_bytes(whole)
    run.settle()
    assert run.statuses() == {100: "whole"}


def test_what_was_deleted_before_it_was_asked_is_said(run: Watching) -> None:
    run.write(100), run.write(200)
    run.settle()
    shutil.rmtree(run.root / "step-100")
    run.look(1)
    assert run.statuses() == {100: "gone", 200: "whole"}
    assert run.kinds() == [("gone", 100)]
    run.write(100)  # it comes back
    run.settle()
    assert run.statuses() == {100: "whole", 200: "whole"}


def test_a_growing_one_that_goes_away_is_no_loss(run: Watching) -> None:
    run.write(100), run.write(200)
    run.look()
    shutil.rmtree(run.root / "step-100")
    run.look(10)
    assert run.statuses() == {100: "gone", 200: "whole"}
    assert run.kinds() == []


def test_a_rewritten_one_is_whole_again_under_another_mark(run: Watching) -> None:
    run.write(100)
    run.settle()
    first = run.state.seen[0].mark
    run.write(100, values=[1.0, 2.0])
    run.look(1)
    assert run.state.seen[0].mark == first  # until it is at rest
    run.look(10)
    assert run.state.seen[0].mark != first


def test_a_step_that_goes_back_is_said(run: Watching) -> None:
    run.write(100), run.write(300)
    run.settle()
    run.write(200)
    run.look(1)
    run.settle()
    assert run.statuses() == {100: "whole", 200: "whole", 300: "whole"}
    assert run.kinds() == [("step_went_back", 200)]


def test_out_of_order_is_not_back(run: Watching) -> None:
    late = run.write(200)
    (late / "config.json").rename(run.root / "kept")
    run.write(300)
    run.settle()
    (run.root / "kept").rename(late / "config.json")
    run.settle()
    assert run.statuses() == {200: "whole", 300: "whole"}
    assert run.kinds() == []


def test_another_model_in_the_middle_is_said_where_it_changes(run: Watching) -> None:
    run.write(100), run.write(200, shell="b"), run.write(300, shell="b")
    run.settle()
    assert run.kinds() == [("shell_changed", 200)]
    assert "step 200 is of another model than step 100: config.json differs" in (
        run.state.incidents[0].line
    )
    run.start()
    run.write(400, shell="c")
    run.settle()
    assert run.kinds()[1:] == [("shell_changed", 400)]


def test_weights_of_nan_are_said_and_not_asked(run: Watching) -> None:
    run.write(100, values=[float("nan")])
    run.settle()
    assert run.statuses() == {100: "failed"}
    assert run.kinds() == [("broken_weights", 100)]
    assert run.state.seen[0].broken == run.state.seen[0].reason


def test_two_runs_in_one_folder(run: Watching) -> None:
    run.write(100)
    run.settle()
    write_checkpoint(run.root / "checkpoint-100")
    run.write(200)
    run.settle()
    assert run.statuses() == {100: "whole", 200: "whole"}
    assert run.kinds() == [("two_runs", None)]
    assert run.state.incidents[0].line == (
        f"{run.root}: two runs in one folder (checkpoint-100 and step-100 have different names); "
        "what was known before is watched: give each run a folder of its own"
    )


def test_a_path_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    run = Watching(tmp_path / "run")
    run.root.rmdir()
    assert run.look() == Look()
    run.write(100)
    run.settle()
    assert run.statuses() == {100: "whole"}


def test_a_mount_that_is_away_loses_nothing(run: Watching) -> None:
    run.write(100)
    run.settle()
    shutil.move(run.root, run.root.parent / "away")
    assert not run.look().reachable
    run.root.mkdir()
    assert not run.look().reachable
    assert run.statuses() == {100: "whole"}
    assert run.kinds() == [("unreachable", None)]
    run.root.rmdir()
    shutil.move(run.root.parent / "away", run.root)
    assert run.look().reachable
    assert run.statuses() == {100: "whole"}


def test_foreign_files_are_passed_over(run: Watching) -> None:
    (run.root / "STOP").write_text("x")
    (run.root / "log.jsonl").write_text("x")
    (run.root / "logs").mkdir()
    (run.root / "step-300").write_text("a file")
    (run.root / "step-400").mkdir()
    (run.root / "step-500").symlink_to(run.root / "nowhere")
    assert run.look() == Look()


def test_a_marker_that_cannot_be_read_is_none(run: Watching) -> None:
    at = run.write(100)
    (at / MARKER).write_text("{")
    run.look()
    assert run.statuses() == {100: "growing"}
    run.look(10)
    assert run.statuses() == {100: "whole"}


def test_what_ray_train_reports_lies_one_level_deeper(run: Watching) -> None:
    at = run.root / "checkpoint_2026-11-27_12-00-00.123456"
    write_checkpoint(at / "checkpoint")
    run.look()
    assert run.statuses() == {}  # its digits are no step: it must be announced
    marker = Marker(step=40, announced_at="t")
    (at / "checkpoint" / MARKER).write_bytes(marker.to_bytes())
    run.look()
    [seen] = run.state.seen
    assert (seen.step, seen.status, seen.path) == (40, "whole", str(at / "checkpoint"))


def test_a_folder_that_nobody_may_read_hides_no_other(
    run: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write(100), run.write(200)
    run.settle()
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if str(path).endswith(("step-100", "lost+found")):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    (run.root / "lost+found").mkdir()
    (run.root / "step-300").symlink_to("step-300")  # a link in a circle
    monkeypatch.setattr("os.scandir", refused)
    run.write(400)
    run.settle()
    assert run.statuses() == {100: "whole", 200: "whole", 400: "whole"}
    assert run.kinds() == [("unreachable", 100)]
    assert run.state.incidents[0].line == f"{run.root}/step-100: Permission denied; check the path"


def test_what_a_checkpoint_says_of_itself_stays_short(run: Watching) -> None:
    at = run.write(100)
    index = {"weight_map": {"a": "x" * 100_000}}
    (at / "model.safetensors").unlink()
    (at / "model.safetensors.index.json").write_text(json.dumps(index))
    metrics = {f"m{number}": 1.0 for number in range(1000)}
    marker = Marker(step=100, announced_at="t", metrics=metrics)
    (at / MARKER).write_bytes(marker.to_bytes())
    run.look()
    [seen] = run.state.seen
    assert len(seen.reason or "") == 500
    assert len(seen.metrics) == 64


def test_files_that_nobody_may_read_keep_nobody_waiting(
    run: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lens_ray.errors import StoreUnavailable
    from lens_ray.online import looking

    def refused(*args: object) -> object:
        raise StoreUnavailable("step-100/config.json: Permission denied; check the path")

    run.write(100)
    run.announce(100)
    with monkeypatch.context() as patch:
        patch.setattr(looking, "examine", refused)
        assert run.look().unsettled == 1  # it may pass
        assert run.look().unsettled == 0
    assert run.kinds() == [("unreachable", 100)]
    assert run.state.incidents[0].line == (
        "step 100 cannot be read: step-100/config.json: Permission denied; check the path; it is "
        "tried again"
    )
    run.look()
    assert run.statuses() == {100: "whole"}
