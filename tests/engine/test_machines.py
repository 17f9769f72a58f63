"""Machines that come, go and are taken away while a job runs, without Ray."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lens_ray.engine.coordinator import Coordinator
from lens_ray.engine.messages import Directive, Hello, Report
from lens_ray.engine.plan import EnginePlan
from lens_ray.engine.planner import Room
from lens_ray.engine.replica import Replica
from lens_ray.errors import EnvironmentFailure
from lens_ray.models.protocol import BackendInfo
from tests.engine.stage import Stage, fake, make_plan, play, rows_of, small_suite

A, B, C = (Room(1.0, node=name) for name in "abc")


def plan_of(folder: Path, *rooms: Room, count: int = 80, **settings: Any) -> EnginePlan:
    """One model that takes a machine for each of its two replicas."""
    spec = fake(replicas=2, batch=1, parallel=2, latency_s=0.02)
    return make_plan(folder, small_suite(folder, count), spec, rooms=rooms, **settings)


def attempts(plan: EnginePlan) -> Counter[int]:
    return Counter(row["attempt"] for row in rows_of(plan).values())


def test_a_machine_that_is_to_be_taken_away_is_left_with_nothing_lost(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, A, B)

    def meddle(stage: Stage) -> None:
        if stage.answered > 10:
            stage.rooms = (replace(A, draining=True), B, C)

    (outcome,), stage = play(plan, meddle)
    assert outcome.status == "complete"
    assert attempts(plan) == {1: 80}
    assert sorted(stage.places.values()) == ["a", "b", "c"]
    left = next(number for number, node in stage.places.items() if node == "a")
    assert stage.ended.get(left, "it ended") == "it ended"
    assert stage.alone == []
    told = [note for note in stage.notes if "about to be taken away" in note]
    assert told == ["machine a is about to be taken away: its replicas leave it"]


def test_what_is_not_begun_there_is_given_to_others(tmp_path: Path) -> None:
    spec = fake(replicas=1)
    plan = make_plan(tmp_path, small_suite(tmp_path, 12), spec, rooms=(A, B))
    info = BackendInfo("fake", "1", batch=4, parallel=1)

    async def run() -> None:
        coordinator = Coordinator(plan)
        (first,) = (await coordinator.poll(())).wanted
        assert first.places == ("a",)
        hello = Hello(0, info, first=True, node="a")
        taken = await coordinator.pull(Report(first.seat, want=8, hello=hello))
        assert len(taken.samples) == 8
        await coordinator.poll((), (replace(A, draining=True), B))
        assert (await coordinator.pull(Report(first.seat, want=8))).leave
        begun = tuple(name for name, _ in taken.samples[:4])
        hello = Hello(0, info, begun, node="a")
        told = await coordinator.pull(Report(first.seat, want=8, hello=hello))
        assert (told.samples, told.stop, told.leave) == ((), False, False)
        (second,) = [one for one in (await coordinator.poll(())).wanted if one.seat != first.seat]
        assert second.places == ("b",)
        report = Report(second.seat, want=12, hello=Hello(0, info, first=True, node="b"))
        given: dict[str, int] = {}
        while len(given) < 8:  # a lease is no more than a part of what is left
            told = await coordinator.pull(report)
            assert told.samples
            given.update(told.samples)
            report = Report(second.seat, want=12)
        assert set(given.values()) == {1}
        assert not given.keys() & set(begun)

    asyncio.run(run())


def test_a_replica_that_is_to_leave_keeps_what_is_begun(tmp_path: Path) -> None:
    suite = small_suite(tmp_path, 8)
    plan = make_plan(tmp_path, suite, fake(batch=2, parallel=1, latency_s=60.0), rooms=(A,))
    samples = tuple((name, 1) for name in suite.by_id)
    script = [Directive(samples=samples), Directive(leave=True), Directive(stop=True)]
    reports: list[Report] = []

    async def pull(report: Report) -> Directive:
        reports.append(report)
        return script.pop(0)

    asyncio.run(asyncio.wait_for(Replica(0, 0, plan, pull, "a").run(), 60))
    said = [report.hello for report in reports]
    assert said[1] is None
    assert said[0] is not None
    assert said[2] is not None
    assert (said[0].first, said[0].node) == (True, "a")
    assert (said[2].first, said[2].held, said[2].node) == (False, tuple(suite.by_id)[:2], "a")


def test_a_machine_that_dies_makes_no_sample_suspect_and_fails_no_model(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, A, B, start_attempts=1, death_cap=1)
    moments = [(10, A, B), (30, B, C)]

    def meddle(stage: Stage) -> None:
        if moments and stage.answered >= moments[0][0]:
            _, dies, stays = moments.pop(0)
            stage.dead.add(dies.node)
            stage.rooms = (stays, C)

    (outcome,), stage = play(plan, meddle)
    assert outcome.status == "complete", outcome
    assert not moments
    assert stage.alone == []
    assert sum(attempts(plan).values()) == 80
    assert {"a", "b", "c"} == set(stage.places.values())


def test_a_machine_that_joins_is_used(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, A)

    def meddle(stage: Stage) -> None:
        if stage.answered > 10:
            stage.rooms = (A, B)

    (outcome,), stage = play(plan, meddle)
    assert outcome.status == "complete"
    assert (sorted(stage.places.values()), stage.most) == (["a", "b"], 2)


def test_without_a_machine_it_is_waited_for_one(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, A)

    def meddle(stage: Stage) -> None:
        if stage.answered > 10 and stage.rooms is None:
            stage.dead.add("a")
            stage.rooms = ()

    async def run() -> Stage:
        stage = Stage(plan, meddle)
        while not any("waits for a machine" in note for note in stage.notes):
            await stage.step()
        stage.rooms = (B,)
        (outcome,) = await asyncio.wait_for(stage.play(), 60)
        assert outcome.status == "complete"
        return stage

    stage = asyncio.run(run())
    assert set(stage.places.values()) == {"a", "b"}
    assert sum(attempts(plan).values()) == 80


def test_it_is_not_waited_for_ever(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, A, start_timeout_s=0.6)

    def meddle(stage: Stage) -> None:
        if stage.answered > 10:
            stage.dead.add("a")
            stage.rooms = ()

    (outcome,), _ = play(plan, meddle)
    assert (outcome.status, outcome.exit_code) == ("failed", EnvironmentFailure.exit_code)
    assert outcome.reason == "no machine of the cluster had room for it for 1 s"
    assert len(rows_of(plan)) == outcome.answered > 10


@pytest.mark.parametrize("gone", [(), (replace(A, draining=True),)])
def test_a_replica_that_is_starting_on_a_machine_that_goes_starts_elsewhere(
    tmp_path: Path, gone: tuple[Room, ...]
) -> None:
    plan = plan_of(tmp_path, A, start_attempts=1)

    async def run() -> None:
        coordinator = Coordinator(plan)
        (first,) = (await coordinator.poll(())).wanted
        assert first.places == ("a",)
        (second,) = (await coordinator.poll((), (*gone, B))).wanted
        assert (second.seat, second.places) == (first.seat + 1, ("b",))

    asyncio.run(run())


def test_a_new_coordinator_says_that_it_knows_the_machines_of_the_plan_only(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, A)

    async def run() -> None:
        coordinator = Coordinator(plan)
        assert not (await coordinator.poll(())).knows_rooms
        assert (await coordinator.poll((), (A, B))).knows_rooms
        orders = await coordinator.poll(())
        assert orders.knows_rooms
        assert {one.places for one in orders.wanted} == {("a",), ("b",)}

    asyncio.run(run())
