"""The loop of a watch, on a real store with pretended answers; no findings are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from lens_ray.errors import ClusterError, JobError, StoreUnavailable
from lens_ray.online import watcher
from lens_ray.online.assess import alarm_of
from lens_ray.online.evaluator import Answered, Question
from lens_ray.online.findings import Convergence, Findings
from lens_ray.online.looking import stamp
from lens_ray.online.marker import MARKER, Marker
from lens_ray.online.spec import RunSpec, WatchSpec
from lens_ray.online.watcher import Standing, WatchSettings, caught_up, watch
from lens_ray.store import Store
from lens_ray.store.folder import FolderObjects
from lens_ray.store.watch_log import WatchState
from lens_ray.suites import Suite
from lens_ray.testing.fake_evaluator import FakeEvaluator, write_checkpoint
from tests.cli.stores import make_suite
from tests.disks import TinyDisk
from tests.online.test_whole import upload

FAST = WatchSettings(ttl_s=1.0, pause_s=0.02)


def found(
    spec: WatchSpec, store: Store, run: RunSpec, *, state: WatchState, shelf: object
) -> Findings:
    alarms = tuple(alarm_of(one) for one in state.incidents)
    return Findings(run.name, state.asked[-1].step if state.asked else None, alarms=alarms)


class Ground:
    """Runs, a store and what a watcher says."""

    def __init__(self, root: Path, suite: Suite) -> None:
        self.root = root
        self.suite = suite
        self.store = Store(str(root / "store"), create=True)
        self.evaluator = FakeEvaluator(self.store, suite, lambda ability, step: 0.5)
        self.lines: list[str] = []
        self.findings: list[Findings] = []

    def write(self, step: int, run: str = "a", **keys: Any) -> Path:
        at = Path(
            write_checkpoint(
                self.root / run / f"step-{step}", crc32(f"{run}{step}".encode()), **keys
            )
        )
        (at / MARKER).write_bytes(Marker(step=step, announced_at="t").to_bytes())
        return at

    def spec(self, *runs: str, **keys: Any) -> WatchSpec:
        named = [RunSpec(name=run, path=str(self.root / run)) for run in runs or ("a",)]
        keys = {"policy": "all", "ask": "full", "poll_s": 0.01, "settle_s": 0.05} | keys
        return WatchSpec(name="w", suite="tiny", store=self.store.url, runs=tuple(named), **keys)

    def watch(self, spec: WatchSpec | None = None, **keys: Any) -> tuple[Findings, ...]:
        given: dict[str, Any] = {
            "until": caught_up,
            "settings": FAST,
            "evaluator": self.evaluator,
        } | keys
        return watch(
            spec or self.spec(), self.store, on_line=self.lines.append,
            on_findings=self.findings.append, **given,
        )  # fmt: skip

    def state(self, run: str = "a") -> WatchState:
        return self.store.watch("w").state(run).read()

    def said(self, text: str) -> int:
        return sum(text in line for line in self.lines)

    def alarmed(self, text: str) -> bool:
        """Whether the last findings have an alarm, which nobody says beside them."""
        assert not self.said(text)
        return any(text in alarm.line for alarm in self.findings[-1].alarms)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture
def ground(tmp_path: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Ground:
    monkeypatch.setattr(watcher, "assess", found)
    return Ground(tmp_path, suite)


def test_every_checkpoint_is_asked_once_and_told(ground: Ground) -> None:
    for step in (100, 200, 300):
        ground.write(step)
    [last] = ground.watch()
    assert last.step == 300
    assert [name for name, _ in ground.evaluator.asked] == ["a@100", "a@200", "a@300"]
    assert [one.step for one in ground.findings] == [100, 200, 300]
    rows = ground.store.rows(columns=["run_id", "sample_id"])
    assert rows.num_rows == 3 * len(ground.suite.samples)
    assert len({one.run_id for one in ground.state().asked}) == 3
    assert ground.store.check() == []
    assert ground.store.watches() == {"w": ("a",)}
    [again] = ground.watch()
    assert again == last
    assert len(ground.evaluator.asked) == 3


def test_new_checkpoints_are_taken_while_it_runs(ground: Ground) -> None:
    ground.write(100)

    def until(standings: Sequence[Standing]) -> bool:
        [one] = standings
        if len(one.state.asked) == 1 and not (ground.root / "a/step-200").exists():
            ground.write(200)
        return len(one.state.asked) == 2

    ground.watch(until=until)
    assert [name for name, _ in ground.evaluator.asked] == ["a@100", "a@200"]
    ground.watch(until=lambda _: ground.evaluator.idles > 2)


def test_many_runs_are_served_in_turn(ground: Ground) -> None:
    names = [f"run{number:02}" for number in range(20)]
    for name in names:
        ground.write(100, name), ground.write(200, name)
    ground.watch(ground.spec(*names), settings=replace(FAST, at_once=5))
    asked = [name for name, _ in ground.evaluator.asked]
    assert len(asked) == len(set(asked)) == 40
    assert {name.partition("@")[0] for name in asked[:20]} == set(names)
    assert {one.run for one in ground.findings} == set(names)


class Faulty(FakeEvaluator):
    """Raises, or fails, what it is told to first."""

    script: list[Exception | str]

    def evaluate(self, questions: Sequence[Question]) -> tuple[Answered, ...]:
        fault = self.script.pop(0) if self.script else None
        if isinstance(fault, Exception):
            raise fault
        if fault is not None:
            return tuple(Answered(one, None, "failed", fault) for one in questions)
        return super().evaluate(questions)


def faulty(ground: Ground, *script: Exception | str) -> Faulty:
    made = Faulty(ground.store, ground.suite, lambda ability, step: 0.5)
    made.script = list(script)
    return made


def test_troubles_pass_with_one_line_each(ground: Ground) -> None:
    ground.write(100)
    trouble = ClusterError("no replica can be started")
    full = StoreUnavailable("store X: No space left on device; free some space")
    evaluator = faulty(ground, trouble, trouble, full, full, full)
    ground.watch(evaluator=evaluator)
    assert ground.said("no replica can be started; it is tried again") == 1
    assert ground.said("No space left on device; free some space; the watch goes on") == 1
    assert [one.step for one in ground.state().asked] == [100]


def test_what_cannot_be_asked_fails_alone(ground: Ground) -> None:
    at = ground.write(100)
    (at / "tokenizer.json").unlink()
    ground.write(200)
    ground.watch()
    [broken, asked] = ground.state().seen
    assert (broken.status, broken.tries, asked.depth) == ("failed", 3, "full")
    assert broken.reason is not None
    assert "no tokenizer" in broken.reason
    [incident] = ground.state().incidents
    assert incident.kind == "failed"
    at.joinpath("tokenizer.json").write_text("{}")  # mended: it is another checkpoint now
    ground.watch()
    assert [one.step for one in ground.state().asked] == [100, 200]


def test_deleted_while_it_is_asked(ground: Ground) -> None:
    import shutil

    class Deletes(FakeEvaluator):
        def evaluate(self, questions: Sequence[Question]) -> tuple[Answered, ...]:
            if questions[0].checkpoint.step == 100:
                shutil.rmtree(questions[0].checkpoint.path)
            return super().evaluate(questions)

    ground.write(100), ground.write(200)
    ground.watch(evaluator=Deletes(ground.store, ground.suite, lambda ability, step: 0.5))
    assert [one.status for one in ground.state().seen] == ["gone", "whole"]
    assert ground.alarmed("step 100 was deleted before it was asked")
    assert [one.step for one in ground.state().asked] == [200]


def test_rewritten_after_it_was_asked(ground: Ground) -> None:
    ground.write(100)
    ground.watch()
    ground.write(100, values=[3.0, 4.0])
    ground.watch()
    assert [one.kind for one in ground.state().incidents] == ["rewritten"]
    [seen] = ground.state().asked
    assert seen.asked_mark == seen.mark
    assert len(ground.store.runs()) == 2


def test_a_full_disk_loses_nothing(ground: Ground, tiny_disk: TinyDisk, tmp_path: Path) -> None:
    disk = tiny_disk(tmp_path / "disk", 1)
    ground.store = Store(str(disk / "store"), create=True)
    ground.evaluator = FakeEvaluator(ground.store, ground.suite, lambda ability, step: 0.5)
    ground.write(100), ground.write(200)
    filler = disk / "filler"

    def until(standings: Sequence[Standing]) -> bool:
        if len(standings[0].state.asked) == 1 and not filler.exists():
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
            threading.Timer(0.5, lambda: filler.write_bytes(b"")).start()
        return caught_up(standings)

    ground.watch(until=until)
    assert ground.said("No space left on device") == 1
    assert [one.step for one in ground.state().asked] == [100, 200]
    assert ground.store.rows().num_rows == 2 * len(ground.suite.samples)
    assert ground.store.check() == []


def test_an_outage_that_lasts_ends_a_watch_that_is_to_end(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.write(100)
    ground.watch()

    def away(*args: object) -> None:
        raise StoreUnavailable("store X: cannot be reached")

    monkeypatch.setattr(FolderObjects, "get_versioned", away)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        ground.watch(settings=replace(FAST, outage_s=0.1))


def test_a_run_without_rights_keeps_no_other_from_being_watched(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lens_ray.online.place import FolderPlace

    ground.write(100, "a"), ground.write(100, "b")
    folders = FolderPlace.folders

    def refused(place: FolderPlace) -> Any:
        if str(place._root).endswith("/a"):
            raise StoreUnavailable(f"{place._root}: Permission denied; check the path")
        return folders(place)

    monkeypatch.setattr(FolderPlace, "folders", refused)
    ground.watch(ground.spec("a", "b"))
    assert [name for name, _ in ground.evaluator.asked] == ["b@100"]
    alarms = {one.run: one.alarms for one in ground.findings}
    assert [one.kind for one in alarms["a"]] == ["unreachable"]
    assert alarms["b"] == ()
    assert [one.kind for one in ground.state("a").incidents] == ["unreachable"]


def test_another_watcher_waits_and_takes_over(ground: Ground) -> None:
    for step in (100, 200, 300):
        ground.write(step)
    owner = ground.store.watch("w").acquire("elsewhere:1:x", ttl_s=0.5)
    ended = threading.Event()

    def wait() -> None:
        ground.watch()
        ended.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    for _ in range(4):
        time.sleep(0.2)
        owner.renew()
    assert not ended.is_set()
    assert ground.evaluator.asked == []
    assert ground.said("watch w: elsewhere:1:x (host elsewhere, pid 1)") == 1
    waiting.join(10)  # it is silent from now on
    assert ended.is_set()
    assert len(ground.evaluator.asked) == 3


def test_who_has_lost_the_lease_stops_working(ground: Ground) -> None:
    """A watcher that was paused for long finds that another one has gone on."""
    ground.write(100)
    taken = False

    def until(standings: Sequence[Standing]) -> bool:
        nonlocal taken
        if not taken:
            key = ground.root / "store/watch/w/lease.json"
            key.unlink()
            ground.store.watch("w").acquire("elsewhere:1:x", ttl_s=0.4)
            taken = True
            ground.write(200)
            time.sleep(0.5)
            return False
        return caught_up(standings)

    ground.watch(until=until)
    assert ground.said("took it over") == 1
    assert [name for name, _ in ground.evaluator.asked] == ["a@100", "a@200"]


def test_the_trainer_is_told_to_stop_once(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def converged(
        spec: WatchSpec, store: Store, run: RunSpec, *, state: WatchState, shelf: object
    ) -> Findings:
        return replace(
            found(spec, store, run, state=state, shelf=shelf),
            convergence=(Convergence("ocr", "converged", 100),),
        )

    monkeypatch.setattr(watcher, "assess", converged)
    ground.write(100), ground.write(200)
    spec = ground.spec(stop={"when": ["all_converged"], "file": "HALT"})
    ground.watch(spec)
    assert "gains no more" in (ground.root / "a/HALT").read_text()
    assert ground.state().stopped_at is not None
    assert ground.said("told to stop") == 1
    (ground.root / "a/HALT").unlink()  # somebody wants to go on
    ground.write(300)
    ground.watch(spec)
    assert not (ground.root / "a/HALT").exists()


def test_never_whole_keeps_nobody_waiting(ground: Ground) -> None:
    ground.write(100)
    (write := ground.root / "a/step-200").mkdir()
    (write / "config.json").write_text("{}")
    ground.watch(ground.spec(never_whole_s=0.01))
    assert [one.status for one in ground.state().seen] == ["whole", "growing"]
    assert stamp(0) < ground.state().seen[1].first_at


def test_with_a_backlog_most_of_the_time_is_for_asking(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*args: Any, state: WatchState, **_: object) -> Findings:
        time.sleep(0.3)
        return Findings("a", state.asked[-1].step)

    monkeypatch.setattr(watcher, "assess", slow)
    for step in range(100, 1300, 100):
        ground.write(step)
    [last] = ground.watch()
    assert last.step == 1200
    assert len(ground.findings) < 8


def test_what_failed_while_it_was_told_is_told_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    outages = [StoreUnavailable("store X: cannot be reached")] * 2

    def away(spec: WatchSpec, store: Store, run: RunSpec, **keys: Any) -> Findings:
        if outages:
            raise outages.pop()
        return found(spec, store, run, **keys)

    monkeypatch.setattr(watcher, "assess", away)
    ground.write(100)
    [last] = ground.watch()
    assert last.step == 100
    assert ground.said("cannot be reached; the watch goes on") == 1


def test_a_run_yaml_that_cannot_be_read_is_one_line(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*args: Any, **keys: Any) -> Findings:
        raise JobError("run.yaml:3: phases is no list")

    monkeypatch.setattr(watcher, "assess", wrong)
    ground.write(100), ground.write(200)
    assert ground.watch() == ()
    assert ground.said("a: run.yaml:3: phases is no list") <= 2
    assert len(ground.state().asked) == 2


def test_a_prefix_of_a_bucket(
    ground: Ground, bucket_url: str, moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Checkpoints, store and state in a bucket; one checkpoint is half there at first."""
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    upload(ground.write(100), f"{bucket_url}/runs/step-100", moto)
    half = ground.write(200)
    weights = (half / "model.safetensors").read_bytes()
    (half / MARKER).unlink()
    (half / "model.safetensors").write_bytes(weights[:-4])
    upload(half, f"{bucket_url}/runs/step-200", moto)
    ground.store = Store(f"{bucket_url}/store", create=True)
    ground.evaluator = FakeEvaluator(ground.store, ground.suite, lambda ability, step: 0.5)
    run = RunSpec(name="a", path=f"{bucket_url}/runs")
    spec = ground.spec().model_copy(update={"runs": (run,), "settle_s": 0.3})
    ground.watch(spec)
    assert [one.step for one in ground.state().asked] == [100]
    (half / "model.safetensors").write_bytes(weights)
    upload(half, f"{bucket_url}/runs/step-200", moto)
    ground.watch(spec)
    assert [one.step for one in ground.state().asked] == [100, 200]
    assert ground.state().incidents == ()
    assert ground.store.check() == []


def test_a_full_disk_that_outlasts_the_lease_ends_no_watch(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.write(100), ground.write(200)
    swap = FolderObjects.swap
    until_s = [0.0]

    def full(objects: FolderObjects, key: str, data: bytes, version: str | None) -> str | None:
        if time.monotonic() < until_s[0]:
            raise StoreUnavailable("store X: No space left on device; free some space")
        return swap(objects, key, data, version)

    def until(standings: Sequence[Standing]) -> bool:
        if len(standings[0].state.asked) == 1 and not until_s[0]:
            until_s[0] = time.monotonic() + 3 * FAST.ttl_s
        return caught_up(standings)

    monkeypatch.setattr(FolderObjects, "swap", full)
    ground.watch(until=until)
    assert [one.step for one in ground.state().asked] == [100, 200]
    assert [name for name, _ in ground.evaluator.asked] == ["a@100", "a@200"]
    assert ground.said("No space left on device") == 1


def test_a_trainer_that_cannot_be_told_keeps_nobody_waiting(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*args: object, **keys: object) -> bool:
        raise StoreUnavailable("a/STOP: the run cannot be told to stop: Read-only file system")

    monkeypatch.setattr(watcher, "reason_to_stop", lambda spec, findings: "enough")
    monkeypatch.setattr(watcher, "ask_to_stop", read_only)
    for step in (100, 200):
        ground.write(step), ground.write(step, "b")
    ground.watch(ground.spec("a", "b"))
    assert len(ground.evaluator.asked) == 4
    assert {one.run for one in ground.findings} == {"a", "b"}
    assert ground.said("a: a/STOP: the run cannot be told to stop: Read-only file system") >= 1
    assert ground.state().stopped_at is None


def test_what_cannot_be_told_keeps_nobody_from_being_asked(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(spec: WatchSpec, store: Store, run: RunSpec, **keys: Any) -> Findings:
        if run.name == "a":
            raise StoreUnavailable("store X: rows are damaged")
        return found(spec, store, run, **keys)

    monkeypatch.setattr(watcher, "assess", damaged)
    for step in (100, 200):
        ground.write(step), ground.write(step, "b")
    with pytest.raises(StoreUnavailable, match="damaged"):
        ground.watch(ground.spec("a", "b"), settings=replace(FAST, outage_s=0.5))
    assert len(ground.evaluator.asked) == 4
    assert ground.findings[-1].run == "b"
    assert ground.said("rows are damaged; the watch goes on when it can") >= 1


def test_once_does_not_wait_for_a_folder_that_is_away(ground: Ground) -> None:
    ground.write(100), ground.write(200)
    ground.watch(until=lambda standings: standings[0].waiting == 1)
    (ground.root / "a").rename(ground.root / "away")
    ground.watch()
    assert ground.alarmed("is it mounted?")

    def back(standings: Sequence[Standing]) -> bool:
        if (ground.root / "away").exists():
            (ground.root / "away").rename(ground.root / "a")
            return False
        return caught_up(standings)

    ground.watch(until=back)
    assert ground.said("is there again") == 1
    assert len(ground.state().asked) == 2
