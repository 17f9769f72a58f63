"""The next checkpoint comes to the node while the present one is asked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from lens_ray import node_cache
from lens_ray.engine.messages import Directive, Report
from lens_ray.engine.plan import EnginePlan
from lens_ray.engine.planner import Costs, Need, Room, Seat, Work, likely_next
from lens_ray.engine.prefetch import Prefetch
from lens_ray.fetching import Remote, fetch
from lens_ray.models import remote
from tests.engine.stage import Stage, rows_of
from tests.engine.test_opening import checkpoint_plan

ONE = Need(1.0)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = tmp_path / "node"
    monkeypatch.setenv("LENS_RAY_HOME", str(top))
    monkeypatch.delenv("LENS_RAY_CACHE_GB", raising=False)
    return top


@pytest.fixture
def own_copies(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What this process, and no child of it, has copied."""
    copied: list[Path] = []

    def note(files: object, wanted: Sequence[Remote], folder: Path) -> None:
        copied.append(folder)
        fetch(files, wanted, folder)

    monkeypatch.setattr("lens_ray.models.remote.fetch", note)
    return copied


class Watched(Stage):
    """Waits, at the call after the one that asked for it, until a checkpoint is there."""

    def __init__(self, plan: EnginePlan, *, wait: bool = True) -> None:
        super().__init__(plan)
        self.ahead: list[tuple[int, int]] = []
        self.loaded: list[int] = []
        self._awaited: Path | None = None
        self._wait = wait

    async def pull(self, report: Report) -> Directive:
        while self._awaited is not None and self._wait and not self._awaited.is_dir():
            os.sched_yield()
        directive = await super().pull(report)
        if directive.prefetch is not None:
            self.ahead.append((report.seat, directive.prefetch))
            weights = self.plan.models[directive.prefetch].identity.weights
            self._awaited = remote.place_of(Path(weights).name)
        if directive.load is not None:
            self.loaded.append(directive.load)
        return directive


def watch(plan: EnginePlan, *, wait: bool = True) -> Watched:
    async def run() -> Watched:
        stage = Watched(plan, wait=wait)
        outcomes = await asyncio.wait_for(stage.play(), 120)
        assert {outcome.status for outcome in outcomes} == {"complete"}
        return stage

    return asyncio.run(run())


def small(plan: EnginePlan) -> EnginePlan:
    from dataclasses import replace

    return replace(plan, rooms=(Room(1.0),))


def test_a_swap_finds_the_checkpoint_on_the_node(
    tmp_path: Path, home: Path, own_copies: list[Path]
) -> None:
    plan = checkpoint_plan(tmp_path, "one", "two")
    own_copies.clear()
    stage = watch(small(plan))
    assert len(stage.started) == 1
    ((_, brought),) = stage.ahead
    assert stage.loaded == [brought]
    assert len(own_copies) == 1  # the first model's; the second came from the child
    assert len(list((home / "checkpoints").iterdir())) == 2
    for number in range(2):
        weights = plan.models[number].identity.weights_digest
        assert {row["weight_version"] for row in rows_of(plan, number).values()} == {weights}


def test_what_cannot_be_brought_ahead_is_a_note_and_the_load_does_it(
    tmp_path: Path, home: Path, own_copies: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = checkpoint_plan(tmp_path, "one", "two")
    own_copies.clear()
    monkeypatch.setenv("LENS_RAY_CACHE_GB", "1e-6")
    stage = watch(small(plan), wait=False)
    assert len(stage.ahead) == 1
    assert len(own_copies) == 2
    assert len(list((home / "checkpoints").iterdir())) == 2  # the first was still in use


def test_one_replica_of_a_node_brings_it(tmp_path: Path, home: Path) -> None:
    plan = checkpoint_plan(tmp_path, "one")
    place = remote.place_of(Path(plan.models[0].identity.weights).name)
    with node_cache.alone(place, "ahead") as first:
        assert first
        other = Prefetch()
        other.begin(plan.models[0])
        other.close()
    assert not place.exists()
    mine = Prefetch()
    mine.begin(plan.models[0])
    with node_cache.alone(place, "ahead") as second:
        assert not second
    while not place.is_dir():
        os.sched_yield()
    mine.close()
    with node_cache.alone(place, "ahead") as third:
        assert third


def test_one_comes_after_the_other(tmp_path: Path, home: Path) -> None:
    one, two = checkpoint_plan(tmp_path, "one", "two").models
    prefetch = Prefetch()
    prefetch.begin(one)
    prefetch.begin(two)
    while len(list((home / "checkpoints").glob("[!.]*"))) < 2:
        assert prefetch.note() is None
        os.sched_yield()
    prefetch.close()


def test_a_failure_is_said_once(tmp_path: Path, home: Path) -> None:
    plan = checkpoint_plan(tmp_path, "one")
    (tmp_path / "one").rename(tmp_path / "elsewhere")
    prefetch = Prefetch()
    assert prefetch.note() is None
    prefetch.begin(plan.models[0])
    while (note := prefetch.note()) is None:
        os.sched_yield()
    assert note.startswith("one: its checkpoint was not brought ahead: no checkpoint at local://")
    assert prefetch.note() is None
    prefetch.close()


#: Machines with room for more than is asked.
ROOMS = (Room(8.0),)


def work(model: int, family: str, waiting_s: float, need: Need = ONE, **more: object) -> Work:
    facts = {"replicas": None, "unfinished": waiting_s > 0, **more}
    return Work(model, family, need, waiting_s=waiting_s, **facts)  # type: ignore[arg-type]


def test_the_likely_next_model() -> None:
    me = Seat(0, "a", 0, ONE)
    costs = Costs(start_s=10.0, swap_s=1.0)
    busy = [work(0, "a", 100.0), work(1, "a", 20.0), work(2, "a", 30.0), work(3, "b", 90.0)]
    # Of its own family the longest; another family is no reason while there is one.
    assert likely_next(me, [me], busy, ROOMS, costs) == 2
    # One that another replica hosts already, and that is nearly done, is none.
    other = Seat(1, "a", 2, ONE)
    assert likely_next(me, [me, other], [busy[0], work(2, "a", 1.0)], ROOMS, costs) is None
    # The family is done: the start that pays, if it takes no more room than this replica.
    assert likely_next(me, [me], [busy[0], busy[3]], ROOMS, costs) == 3
    wide = work(4, "c", 500.0, Need(4.0))
    assert likely_next(me, [me], [busy[0], wide, busy[3]], ROOMS, costs) == 3
    assert likely_next(me, [me], [busy[0], wide], ROOMS, costs) is None
    assert likely_next(me, [me], [busy[0]], ROOMS, costs) is None
