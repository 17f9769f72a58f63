"""What a store keeps of a watch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lens_ray.errors import RunBusy, StoreUnavailable
from lens_ray.store import Store
from lens_ray.store.watch_log import (
    Incident,
    Kept,
    Pins,
    Seen,
    Told,
    WatchLog,
    WatchState,
    index_of,
)
from tests.store.makers import SUITE, MemoryObjects

SEEN = Seen(
    500, "/runs/a/step-500", "m1", "2026-11-27T12:00:00+00:00", "whole",
    depth="anchor", run_id="r1", asked_mark="m1", metrics={"loss": 0.5}, written=1.5, size=10,
)  # fmt: skip


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture
def log(objects: MemoryObjects) -> WatchLog:
    return WatchLog(objects, "nightly")


def test_what_was_written_is_read_by_another_process(objects: MemoryObjects, log: WatchLog) -> None:
    state = WatchState(
        (SEEN, replace(SEEN, step=1000, status="skipped", depth=None, reason="policy")),
        (Incident("rewritten", 500, "step 500 was rewritten", "2026-11-27T12:00:00+00:00"),),
        stopped_at="2026-11-27T12:00:00+00:00",
        pruned=(100,),
    )
    log.state("a").update(lambda _: state)
    log.told("a").update(lambda _: Told({"decline:ocr:500": "2026"}))
    log.pins("a").update(lambda _: Pins({500: "best"}, keep="best_per_ability"))
    again = WatchLog(objects, "nightly")
    assert again.state("a").read() == state
    assert again.told("a").read().keys == {"decline:ocr:500": "2026"}
    assert again.pins("a").read() == Pins({500: "best"}, "best_per_ability")
    assert again.state("b").read() == WatchState()


def test_changes_of_two_writers_are_both_kept(objects: MemoryObjects, log: WatchLog) -> None:
    other = WatchLog(objects, "nightly").state("a")

    def change(state: WatchState) -> WatchState:
        if not state.seen:  # the other one writes between this one's read and write
            other.update(lambda s: s.with_seen(SEEN))
        return state.with_seen(replace(SEEN, step=1000))

    assert [one.step for one in log.state("a").update(change).seen] == [500, 1000]


def test_a_change_of_nothing_writes_nothing(objects: MemoryObjects, log: WatchLog) -> None:
    cell = log.state("a")
    cell.update(lambda s: s.with_seen(SEEN))
    before = dict(objects.held)
    cell.update(lambda s: s.with_seen(SEEN))
    assert objects.held == before


def test_the_first_incident_of_a_kind_and_step_stays() -> None:
    first = Incident("failed", 500, "one", "t1")
    again = Incident("failed", 500, "two", "t2")
    other = Incident("failed", 600, "three", "t3")
    assert WatchState().with_incidents(first, again, other).incidents == (first, other)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "units", ".hidden", "spec.json"])
def test_names_that_would_leave_their_place_are_refused(log: WatchLog, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        log.state(name)


def test_marks_are_written_once_and_read_together(log: WatchLog) -> None:
    log.put_marks("a", "500-anchor-0123456789ab", b"one")
    log.put_marks("a", "500-anchor-0123456789ab", b"other")
    log.put_units("d" * 64, b"units")
    assert log.marks("a", ["500-anchor-0123456789ab", "600-full-0123456789ab"]) == [b"one", None]
    assert log.units("d" * 64) == b"units"
    assert log.units("e" * 64) is None
    with pytest.raises(ValueError, match="key"):
        log.put_marks("a", "../state.json", b"x")


def test_the_index_knows_watches_and_runs(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"), create=True)
    store.register_watch("one", ["a", "b"], {"name": "one"})
    store.register_watch("one", ["b", "c"], {"name": "one", "poll_s": 1.0})
    store.register_watch("two", ["a"], {"name": "two"})
    again = Store(str(tmp_path / "store"))
    assert again.watches() == {"one": ("a", "b", "c"), "two": ("a",)}
    assert again.watch("one").spec() == {"name": "one", "poll_s": 1.0}


def test_one_watcher_at_a_time(objects: MemoryObjects, log: WatchLog) -> None:
    lease = log.acquire("host:1:x", ttl_s=0.2)
    with pytest.raises(RunBusy, match=r"watch nightly: host:1:x .* holds it"):
        WatchLog(objects, "nightly").acquire("host:2:y", wait_s=0.05)
    WatchLog(objects, "nightly").acquire("host:2:y", wait_s=1)  # it was silent for its ttl
    with pytest.raises(RunBusy, match=r"watch nightly: host:2:y .* took it over"):
        lease.renew()


@pytest.mark.parametrize(
    "damage",
    [
        b"{}",
        b"not JSON",
        b'{"kind":"watch","schema_version":1,"seen":[{"step":1}]}',
        b'{"kind":"watch","schema_version":1,"seen":{"step":1}}',
        b'{"kind":"watch","schema_version":1,"seen":[{"step":"1","path":"p","mark":"m",'
        b'"first_at":"t"}]}',
        b'{"kind":"watch","schema_version":1,"seen":[{"step":1,"path":"p","mark":"m",'
        b'"first_at":"t","status":"odd"}]}',
    ],
)
def test_damage_is_named_by_readers_and_by_the_check(tmp_path: Path, damage: bytes) -> None:
    store = Store(str(tmp_path), create=True)
    store.register_watch("one", ["a"], {})
    store.watch("one").state("a").update(lambda s: s.with_seen(SEEN))
    assert store.check() == []
    (tmp_path / "watch/one/a/state.json").write_bytes(damage)
    with pytest.raises(StoreUnavailable, match=r"watch/one/a/state\.json is damaged"):
        store.watch("one").state("a").read()
    [problem] = store.check()
    assert problem.startswith("watch/one/a/state.json: ")


def test_gc_leaves_watches_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path), create=True)
    store.register_watch("one", ["a"], {})
    log = store.watch("one")
    log.state("a").update(lambda s: s.with_seen(SEEN))
    log.put_marks("a", "500-full-0123456789ab", b"x")
    log.put_units("d", b"x")
    assert store.gc(grace_s=-10).keys == ()
    assert log.state("a").read().seen == (SEEN,)


def test_keys_that_a_newer_version_adds_are_passed_over(objects: MemoryObjects) -> None:
    objects.create(
        "watch/index.json", b'{"kind":"watch","schema_version":1,"later":1,"value":{"w":["a"]}}'
    )
    assert index_of(objects).read() == {"w": ("a",)}


def test_where_marks_are_kept_is_checked(tmp_path: Path) -> None:
    store = Store(tmp_path, create=True)
    store.put_suite(SUITE)
    log = store.watch("w")
    log.kept("a").update(lambda kept: Kept({**kept.keys, "100-full": "100-full-abc"}))
    log.put_marks("a", "100-full-abc", b"damaged: made again from the rows")
    assert log.kept("a").read().keys == {"100-full": "100-full-abc"}
    assert store.check() == []
    (tmp_path / "watch" / "w" / "a" / "marks.json").write_bytes(b"{")
    [problem] = store.check()
    assert problem.startswith("watch/w/a/marks.json: ")
    with pytest.raises(StoreUnavailable, match=r"watch/w/a/marks\.json is damaged"):
        log.kept("a").read()
