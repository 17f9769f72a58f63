"""What a store keeps of a search for a merge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lens_ray.errors import RunBusy, StoreUnavailable
from lens_ray.store import Store
from lens_ray.store.merge_log import MergeLog, MergeState, Tried, index_of
from tests.store.makers import MemoryObjects

TRIED = Tried(
    "half", {"method": "linear", "parents": [{"name": "a", "weight": 0.5}]},
    runs={"ground": "r1"}, begun=("other",), samples=121,
)  # fmt: skip


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture
def log(objects: MemoryObjects) -> MergeLog:
    return MergeLog(objects, "nightly")


def test_what_was_written_is_read_by_another_process(objects: MemoryObjects, log: MergeLog) -> None:
    state = MergeState({"k1": TRIED, "k2": replace(TRIED, single=True)}, 12.5, 0.5)
    log.state.update(lambda _: state)
    log.register({"name": "nightly", "suite": "mini:quick"})
    log.found.update(lambda _: {"verdict": "merge"})
    again = MergeLog(objects, "nightly")
    assert again.state.read() == state
    assert again.spec.read()["suite"] == "mini:quick"
    assert again.found.read() == {"verdict": "merge"}
    assert index_of(objects).read() == {"nightly": True}
    assert (state.candidates, state.samples) == (1, 242)


def test_trials_of_two_writers_are_both_kept(objects: MemoryObjects, log: MergeLog) -> None:
    other = MergeLog(objects, "nightly").state

    def change(state: MergeState) -> MergeState:
        if "theirs" not in state.tried:
            other.update(lambda now: now.with_tried({"theirs": TRIED}))
        return state.with_tried({"mine": TRIED})

    assert set(log.state.update(change).tried) == {"mine", "theirs"}


@pytest.mark.parametrize(
    "damage",
    [
        {"tried": []},
        {"tried": {"k": {"name": "half"}}},
        {"tried": {"k": {"name": "half", "recipe": {}, "samples": -1}}},
        {"tried": {"k": {"name": "half", "recipe": {}, "runs": ["r1"]}}},
        {"tried": {"k": {"name": "half", "recipe": {}, "begun": "other"}}},
        {"seconds": -1},
    ],
)
def test_damage_is_told_by_key(tmp_path: Path, damage: dict[str, object]) -> None:
    from lens_ray.store.records import dump

    store = Store(str(tmp_path / "store"), create=True)
    store.merge("nightly").state.update(lambda _: MergeState({"k": TRIED}))
    file = tmp_path / "store" / "merges" / "nightly" / "state.json"
    file.write_bytes(dump({"kind": "watch", "schema_version": 1, **damage}))
    with pytest.raises(StoreUnavailable, match=r"merges/nightly/state\.json is damaged"):
        store.merge("nightly").state.read()
    assert [line.split(":")[0] for line in store.check()] == ["merges/nightly/state.json"]


def test_one_driver_at_a_time(log: MergeLog) -> None:
    lease = log.acquire("host:1:a", ttl_s=0.3)
    with pytest.raises(RunBusy, match="merge search nightly"):
        log.acquire("host:2:b", wait_s=0.0)
    lease.release()
    log.acquire("host:2:b")


@pytest.mark.parametrize("name", ["../x", "", "index.json", "a/b"])
def test_a_name_is_part_of_a_key(objects: MemoryObjects, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        MergeLog(objects, name)


def test_a_whole_store_with_a_search_has_no_problem(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"), create=True)
    store.merge("nightly").state.update(lambda _: MergeState({"k": TRIED}))
    store.merge("nightly").register({"name": "nightly"})
    assert store.check() == []
