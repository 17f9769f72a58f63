"""Who drives a run, by a clock that the test turns."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from lens_ray.errors import RunBusy, StoreUnavailable
from lens_ray.store.lease import Lease, acquire
from tests.store.makers import MemoryObjects


class Clock:
    """Time passes only while somebody sleeps; ``meanwhile`` happens then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.meanwhile()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


def take(
    objects: MemoryObjects, clock: Clock, owner: str, *, ttl_s: float = 15, wait_s: float = 30
) -> Lease:
    return acquire(
        objects, "lease.json", "run r1", owner, ttl_s=ttl_s, wait_s=wait_s,
        clock=clock, sleep=clock.sleep,
    )  # fmt: skip


def test_a_free_run_is_taken_at_once(objects: MemoryObjects, clock: Clock) -> None:
    take(objects, clock, "a:1:x").release()
    take(objects, clock, "b:2:y")
    assert clock.now == 1000
    assert json.loads(objects.held["lease.json"])["host"] == "b"


def test_a_silent_driver_is_waited_for_as_long_as_it_promised(
    objects: MemoryObjects, clock: Clock
) -> None:
    dead = take(objects, clock, "a:1:x", ttl_s=10)
    take(objects, clock, "b:2:y", ttl_s=1)
    assert clock.now == pytest.approx(1010)
    with pytest.raises(RunBusy, match=r"b:2:y \(host b, pid 2\) took it over"):
        dead.renew()
    dead.release()
    assert json.loads(objects.held["lease.json"])["owner"] == "b:2:y"


def test_a_living_driver_keeps_it(objects: MemoryObjects, clock: Clock) -> None:
    alive = take(objects, clock, "a:1:x")
    clock.meanwhile = alive.renew
    with pytest.raises(RunBusy, match=r"run r1: a:1:x \(host a, pid 1\) is at work on it"):
        take(objects, clock, "b:2:y")
    assert clock.now <= 1001
    alive.renew()


def test_a_long_promise_is_not_waited_for(objects: MemoryObjects, clock: Clock) -> None:
    take(objects, clock, "a:1:x", ttl_s=3600)
    with pytest.raises(RunBusy, match="silent for 30 s of the 3600 s"):
        take(objects, clock, "b:2:y")
    assert clock.now == pytest.approx(1030)


def test_a_run_given_back_meanwhile_is_taken(objects: MemoryObjects, clock: Clock) -> None:
    holder = take(objects, clock, "a:1:x")
    clock.meanwhile = holder.release
    take(objects, clock, "b:2:y")
    assert clock.now <= 1001


def test_of_two_heirs_one_gets_it(objects: MemoryObjects, clock: Clock) -> None:
    take(objects, clock, "a:1:x", ttl_s=2)
    heirs: list[Lease] = []

    def other_heir() -> None:
        if clock.now >= 1002 and not heirs:
            heirs.append(take(objects, Clock(), "c:3:z"))

    clock.meanwhile = other_heir
    with pytest.raises(RunBusy, match="c:3:z"):
        take(objects, clock, "b:2:y")
    heirs[0].renew()


def test_the_same_owner_takes_it_at_once(objects: MemoryObjects, clock: Clock) -> None:
    first = take(objects, clock, "a:1:x")
    second = take(objects, clock, "a:1:x")
    assert clock.now == 1000
    with pytest.raises(RunBusy, match="took it over"):
        first.renew()
    second.renew()


def test_a_lease_that_was_removed(objects: MemoryObjects, clock: Clock) -> None:
    lease = take(objects, clock, "a:1:x")
    objects.delete("lease.json")
    with pytest.raises(RunBusy, match="somebody who removed its lease"):
        lease.renew()


@pytest.mark.parametrize("data", [b"", b"[]", b'{"kind":"lease","schema_version":1}', b"\xff"])
def test_a_damaged_lease(objects: MemoryObjects, clock: Clock, data: bytes) -> None:
    objects.held["lease.json"] = data
    with pytest.raises(StoreUnavailable, match=r"lease\.json is damaged"):
        take(objects, clock, "a:1:x")
