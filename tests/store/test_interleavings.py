"""Drivers that meet in every order, and die at every point: one row a sample.

The drivers are real `RunLog` objects in threads of their own. A thread stops before each
operation on the store until the schedule, drawn by hypothesis, names it; so every run of a
schedule is the same.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lens_ray.store import RunLog
from lens_ray.store.check import problems_of
from lens_ray.store.schema import SUPERSEDABLE
from tests.store.makers import MemoryObjects, header, ids_of, rows, scores, statuses_of

IDS = "abcde"
DRIVERS = 3
#: Longest a thread may take for what needs microseconds.
PATIENCE_S = 30.0
batch = st.lists(
    st.tuples(st.sampled_from(IDS), st.sampled_from(["ok", "refused", "infra_error"])),
    min_size=1,
    max_size=4,
)


@pytest.fixture(autouse=True, scope="module")
def _one_request_at_a_time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lens_ray.store.objects.THREADS", 1)
        yield


class Dead(BaseException):
    """The driver was killed."""


class Driver:
    """A thread that waits before each operation on the store."""

    def __init__(self, objects: MemoryObjects, work: Callable[[RunLog], None]) -> None:
        self.ended = False
        self.error: BaseException | None = None
        self._killed = False
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        view = MemoryObjects()
        view.held, view.before = objects.held, self._pause  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._run, args=(RunLog(view, header()), work))
        self._thread.start()
        assert self._stopped.acquire(timeout=PATIENCE_S)

    def step(self, *, kill: bool = False) -> None:
        """Let it do one operation, or die before it; returns when it waits again or has ended."""
        if not self.ended:
            self._killed = kill
            self._go.release()
            assert self._stopped.acquire(timeout=PATIENCE_S)

    def finish(self) -> None:
        while not self.ended:
            self.step()
        self._thread.join()

    def _pause(self, verb: str, key: str) -> None:
        self._stopped.release()
        assert self._go.acquire(timeout=PATIENCE_S)
        if self._killed:
            raise Dead

    def _run(self, log: RunLog, work: Callable[[RunLog], None]) -> None:
        try:
            work(log)
        except Dead:
            pass
        except BaseException as error:  # the test's own thread raises it again
            self.error = error
        finally:
            self.ended = True
            self._stopped.release()


def appends(batches: Sequence[Sequence[tuple[str, str]]]) -> Callable[[RunLog], None]:
    def work(log: RunLog) -> None:
        log.refresh()
        for entries in batches:
            log.append([row for key, status in entries for row in rows([key], status)])

    return work


def completes(log: RunLog) -> None:
    """What a driver does with a run: the rows that lack, then the commit."""
    state = log.refresh()
    for sample_id in IDS:
        if sample_id not in state.done:
            log.append(rows([sample_id]))
    log.commit(scores(), expected=len(IDS))


def play(drivers: list[Driver], schedule: Sequence[int], kills: dict[int, int]) -> None:
    """Steps in the drawn order; ``kills`` maps a driver to the step at which it dies."""
    taken: Counter[int] = Counter()
    for number in schedule:
        taken[number] += 1
        drivers[number].step(kill=kills.get(number) == taken[number])
    for driver in drivers:
        driver.finish()
        if driver.error is not None:
            raise driver.error


def assert_whole(objects: MemoryObjects, log: RunLog) -> None:
    table = log.rows()
    assert ids_of(table) == sorted(log.state.done | log.state.open.keys())
    assert statuses_of(table) == dict(log.fold.statuses())
    objects.held.update(
        {
            "_store.json": b'{"kind":"lens-ray-store","schema_version":1}',
            "catalog/00000000.json": _entry(),
            f"suites/{header().suite_digest}.json": b'{"digest":"%s"}'
            % header().suite_digest.encode(),
        }
    )
    assert problems_of(objects) == []


def _entry() -> bytes:
    from lens_ray.store.records import dump_record

    return dump_record("run", header())


schedules = st.lists(st.integers(0, DRIVERS - 1), max_size=60)
kills = st.dictionaries(st.integers(0, DRIVERS - 1), st.integers(1, 20), max_size=DRIVERS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(batch, max_size=4), min_size=3, max_size=3), schedules, kills)
def test_appends_in_any_order(
    work: list[list[list[tuple[str, str]]]], schedule: list[int], kills: dict[int, int]
) -> None:
    objects = MemoryObjects()
    play([Driver(objects, appends(batches)) for batches in work], schedule, kills)
    log = RunLog(objects, header())
    log.refresh()
    assert_whole(objects, log)
    for number, batches in enumerate(work):
        if number not in kills:  # what a living driver's append reported as stored is stored
            entries = [entry for batch in batches for entry in batch]
            assert {key for key, _ in entries} <= log.fold.statuses().keys()
            assert {k for k, status in entries if status not in SUPERSEDABLE} <= log.state.done


@settings(max_examples=60, deadline=None)
@given(schedules, kills)
def test_drivers_that_complete_one_run(schedule: list[int], kills: dict[int, int]) -> None:
    objects = MemoryObjects()
    play([Driver(objects, completes) for _ in range(DRIVERS)], schedule, kills)
    log = RunLog(objects, header())
    completes(log)
    assert log.refresh().complete
    assert_whole(objects, log)
    assert ids_of(log.rows()) == list(IDS)
    assert log.state.commit is not None
    # All of them said the same, so there is one commit, but where rows came after an early one.
    assert log.state.commit.counts == {"ok": len(IDS)}


def compacts(log: RunLog) -> None:
    from lens_ray.store.upkeep import compact

    compact([log])


@settings(max_examples=40, deadline=None)
@given(st.lists(batch, max_size=3), schedules, kills)
def test_compaction_beside_a_driver(
    late: list[list[tuple[str, str]]], schedule: list[int], kills: dict[int, int]
) -> None:
    objects = MemoryObjects()
    completes(RunLog(objects, header()))
    drivers = [Driver(objects, compacts), Driver(objects, appends(late)), Driver(objects, compacts)]
    play(drivers, schedule, kills)
    log = RunLog(objects, header())
    assert log.refresh().complete
    assert_whole(objects, log)
    assert ids_of(log.rows()) == list(IDS)
