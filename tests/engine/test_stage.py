"""Coordinator and replicas together, without Ray: every way in which a run can go."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

import lens_ray.engine.replica as replica_module
from lens_ray.engine.coordinator import Coordinator
from lens_ray.engine.planner import Need, Room
from lens_ray.errors import CheckpointError, EnvironmentFailure, StoreUnavailable, SuiteError
from lens_ray.models.protocol import BackendInfo, Completion, Request
from lens_ray.models.spec import ModelSpec
from lens_ray.store import RunLog, Store
from lens_ray.suites.suite import Suite
from lens_ray.testing.fake_backend import FakeBackend
from tests.engine.stage import Stage, fake, make_plan, play, rows_of, small_suite

SMALL = Need(0.2)


class Mended(FakeBackend):
    """A fake whose process is this one: what would end it raises."""

    deaths: ClassVar[Counter[str]] = Counter()
    killers: ClassVar[frozenset[str]] = frozenset()
    batches: ClassVar[list[int]] = []

    async def generate(self, requests: Sequence[Request]) -> AsyncIterator[Completion]:
        ids = [request.request_id for request in requests]
        type(self).batches.append(len(ids))
        for name in self.killers.intersection(ids):
            type(self).deaths[name] += 1
            raise RuntimeError(f"engine died on {name}")
        async for completion in super().generate(requests):
            yield completion


@pytest.fixture
def mended(monkeypatch: pytest.MonkeyPatch) -> type[Mended]:
    """Replicas host this class in the place of the fake."""

    class Own(Mended):
        deaths: ClassVar[Counter[str]] = Counter()
        batches: ClassVar[list[int]] = []

    def create(spec: ModelSpec, weights: str) -> Mended:
        return Own(spec, weights)

    monkeypatch.setattr(replica_module, "create_backend", create)
    return Own


def test_a_run_ends_with_one_row_a_sample_and_a_commit(tmp_path: Path) -> None:
    suite = small_suite(tmp_path)
    plan = make_plan(tmp_path, suite, fake(batch=4, parallel=2))
    (outcome,), _ = play(plan)
    assert (outcome.status, outcome.resumed, outcome.answered) == ("complete", 0, 40)
    assert (outcome.flip_rate, outcome.flip_n) == (0.0, 16)
    rows = rows_of(plan)
    assert rows.keys() == suite.by_id.keys()
    assert {row["attempt"] for row in rows.values()} == {1}
    weights = plan.models[0].identity.weights_digest
    assert {row["weight_version"] for row in rows.values()} == {weights}
    state = Store(plan.store).run(outcome.run_id).refresh()
    assert state.complete
    assert state.commit is not None
    assert state.commit.facts["answered"] == 40


def test_a_commit_says_what_its_replicas_stood_on(tmp_path: Path) -> None:
    plan = make_plan(
        tmp_path, small_suite(tmp_path), fake(), need=Need(1.0, 2.0),
        rooms=(Room(4.0, 2.0, accelerator="H100"),),
    )  # fmt: skip
    ((outcome,), _) = play(plan)
    commit = Store(plan.store).run(outcome.run_id).refresh().commit
    assert commit is not None
    assert (commit.facts["gpus"], commit.facts["accelerator"]) == (2.0, "H100")


def test_several_models_share_warm_replicas(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, small_suite(tmp_path), *(fake(f"m{n}") for n in range(5)))
    outcomes, stage = play(plan)
    assert [outcome.status for outcome in outcomes] == ["complete"] * 5
    assert len(stage.started) <= 2
    texts = [[row["text"] for row in rows_of(plan, n).values()] for n in range(5)]
    assert all(a != b for a, b in itertools.combinations(texts, 2))


def test_a_backend_that_takes_no_other_weights_is_started_for_each_model(tmp_path: Path) -> None:
    specs = [fake(f"m{n}", can_load_weights=False) for n in range(3)]
    outcomes, stage = play(make_plan(tmp_path, small_suite(tmp_path), *specs))
    assert [outcome.status for outcome in outcomes] == ["complete"] * 3
    assert sorted(stage.started.values()) == [0, 1, 2]


def test_a_refused_swap_becomes_a_cold_start_that_the_log_names(tmp_path: Path) -> None:
    specs = [fake(f"m{n}", load_error="config.json differs") for n in range(3)]
    outcomes, stage = play(make_plan(tmp_path, small_suite(tmp_path), *specs))
    assert [outcome.status for outcome in outcomes] == ["complete"] * 3
    assert any("cold start instead of a swap: config.json differs" in n for n in stage.notes)


def test_an_engine_that_its_own_weights_change_is_not_trusted_with_others(tmp_path: Path) -> None:
    specs = [fake(f"m{n}", stale=True) for n in range(3)]
    plan = make_plan(tmp_path, small_suite(tmp_path), *specs, need=Need(2.0))
    outcomes, stage = play(plan)
    assert [outcome.status for outcome in outcomes] == ["complete"] * 3
    assert sorted(stage.started.values()) == [0, 1, 2]
    assert any("its own weights, loaded again, change its answers" in n for n in stage.notes)


def test_a_model_that_cannot_be_loaded_fails_alone(tmp_path: Path) -> None:
    specs = [fake("good"), fake("bad", start_error="no weights in bad"), fake("also")]
    outcomes, stage = play(make_plan(tmp_path, small_suite(tmp_path), *specs))
    assert [outcome.status for outcome in outcomes] == ["complete", "failed", "complete"]
    assert outcomes[1].reason == "no weights in bad"
    assert outcomes[1].exit_code == CheckpointError.exit_code
    assert outcomes[1].answered == 0
    del stage


def test_error_answers_are_tried_three_times_and_keep_their_cause(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, small_suite(tmp_path), fake(fail_ids=["t/3"], oom_ids=["t/5"]))
    (outcome,), _ = play(plan)
    rows = rows_of(plan)
    assert outcome.status == "incomplete"
    assert outcome.reason is not None
    assert outcome.reason.startswith("2 of 40 samples have no answer: ")
    assert (rows["t/3"]["status"], rows["t/3"]["attempt"]) == ("infra_error", 3)
    assert rows["t/3"]["cause"] == "scripted failure"
    assert "OutOfMemoryError" in rows["t/5"]["cause"]
    assert rows["t/3"]["score"] is None
    # The same job again: only those two are asked again, and this time they answer.
    mended = make_plan(tmp_path, small_suite(tmp_path), fake())
    assert mended.models[0].run_id == plan.models[0].run_id
    (again,), _ = play(mended)
    assert (again.status, again.resumed, again.answered) == ("complete", 38, 2)
    assert all(row["status"] != "infra_error" for row in rows_of(plan).values())


def test_a_sample_that_ends_engines_is_found_and_nothing_else_suffers(
    tmp_path: Path, mended: type[Mended]
) -> None:
    mended.killers = frozenset({"t/7"})
    plan = make_plan(tmp_path, small_suite(tmp_path), fake(batch=4, parallel=2))
    (outcome,), _ = play(plan)
    rows = rows_of(plan)
    assert outcome.status == "incomplete"
    assert mended.deaths["t/7"] == 3  # in company, and twice alone
    assert rows["t/7"]["status"] == "infra_error"
    assert rows["t/7"]["attempt"] == 3
    assert "2 engines died while it was alone in them" in rows["t/7"]["cause"]
    assert "engine died on t/7" in rows["t/7"]["cause"]
    others = [row for name, row in rows.items() if name != "t/7"]
    assert len(others) == 39
    assert all(row["status"] != "infra_error" for row in others)
    assert plan.models[0].stored_name in rows["t/7"]["model"]


def test_engines_that_die_of_everything_fail_the_model(
    tmp_path: Path, mended: type[Mended]
) -> None:
    suite = small_suite(tmp_path)
    mended.killers = frozenset(suite.by_id)
    (outcome,), stage = play(make_plan(tmp_path, suite, fake(batch=4)))
    assert outcome.status == "failed"
    assert outcome.exit_code == EnvironmentFailure.exit_code
    assert outcome.reason is not None
    assert "died 8 times in a row without an answer" in outcome.reason
    assert len(stage.started) < 20


def test_answers_of_other_weights_are_refused(
    tmp_path: Path, mended: type[Mended], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def forgetful(self: FakeBackend, path: str, weight_version: str) -> None:
        asked.append(path)  # and keeps what it has

    monkeypatch.setattr(mended, "load_weights", forgetful)
    specs = [fake(f"m{n}", replicas=1) for n in range(2)]
    plan = make_plan(tmp_path, small_suite(tmp_path), *specs, rooms=(Room(1.0),))
    outcomes, stage = play(plan)
    # The canary of the first engine, the swap, and the canary of the one that was started cold.
    assert asked == ["weights-m0", "weights-m1", "weights-m1"]
    assert [outcome.status for outcome in outcomes] == ["complete"] * 2
    assert any("was answered by weights" in note for note in stage.notes)
    for number in range(2):
        weights = plan.models[number].identity.weights_digest
        assert {r["weight_version"] for r in rows_of(plan, number).values()} == {weights}


def test_a_hung_engine_is_killed_and_its_sample_ends_with_the_cause(tmp_path: Path) -> None:
    spec = fake(batch=2, parallel=2, hang_ids=["t/9"])
    plan = make_plan(tmp_path, small_suite(tmp_path), spec, lease_timeout_s=0.4)
    (outcome,), _ = play(plan)
    rows = rows_of(plan)
    assert outcome.status == "incomplete"
    assert rows["t/9"]["status"] == "infra_error"
    assert "hung" in rows["t/9"]["cause"]
    assert sum(row["status"] == "infra_error" for row in rows.values()) == 1


def test_killed_replicas_lose_nothing(tmp_path: Path) -> None:
    plan = make_plan(
        tmp_path, small_suite(tmp_path, 120), fake(batch=2, parallel=2, latency_s=0.01)
    )
    moments = [10, 40, 80]

    def meddle(stage: Stage) -> None:
        if moments and stage.answered >= moments[0]:
            del moments[0]
            raise RuntimeError("killed")

    (outcome,), stage = play(plan, meddle)
    assert not moments
    assert outcome.status == "complete"
    assert len(rows_of(plan)) == 120
    assert sum("is lost: RuntimeError: killed" in note for note in stage.notes) == 3


def test_a_new_coordinator_goes_on_from_the_store(tmp_path: Path) -> None:
    plan = make_plan(
        tmp_path, small_suite(tmp_path, 120), fake(batch=2, parallel=2, latency_s=0.05)
    )
    moments = [10, 50, 90]

    def meddle(stage: Stage) -> None:
        if moments and stage.answered >= moments[0]:
            del moments[0]
            stage.coordinator = Coordinator(plan)

    (outcome,), stage = play(plan, meddle)
    assert not moments
    assert outcome.status == "complete"
    assert len(rows_of(plan)) == 120
    assert any("was started again" in note for note in stage.notes)
    assert len(stage.started) <= 3  # replicas outlive it


def test_replicas_work_on_while_the_coordinator_is_away(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, small_suite(tmp_path), fake(batch=4, parallel=2, latency_s=0.02))

    async def run() -> None:
        stage = Stage(plan)
        while not any(report.rows for report in stage.reports):
            await stage.step()
        stage.coordinator, away = None, asyncio.Event()
        asyncio.get_running_loop().call_later(0.5, away.set)
        await away.wait()
        assert not any(task.done() for task in stage.replicas.values())
        stage.coordinator = Coordinator(plan)
        (outcome,) = await asyncio.wait_for(stage.play(), 30)
        assert outcome.status == "complete"
        assert any(r.hello is not None and not r.hello.first for r in stage.reports)

    asyncio.run(run())


def test_a_store_that_fails_ends_the_job_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RunLog, rows: object) -> int:
        raise StoreUnavailable("no space left")

    plan = make_plan(tmp_path, small_suite(tmp_path), fake(latency_s=0.01))
    monkeypatch.setattr(RunLog, "append", full)
    with pytest.raises(StoreUnavailable, match="no space left"):
        play(plan)


def test_a_slow_store_stops_the_leasing_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    gate = threading.Event()
    write = RunLog.append

    def slow(self: RunLog, rows: Any) -> int:
        gate.wait(30)
        return write(self, rows)

    monkeypatch.setattr(RunLog, "append", slow)
    plan = make_plan(
        tmp_path, small_suite(tmp_path, 200), fake(batch=4, latency_s=0.001),
        buffer_rows=40, flush_rows=8,
    )  # fmt: skip
    standing: list[int] = []

    def meddle(stage: Stage) -> None:
        standing.append(stage.answered)
        if standing[-10:] == [standing[-1]] * 10 and standing[-1]:
            gate.set()

    (outcome,), _ = play(plan, meddle)
    assert outcome.status == "complete"
    stood = standing[next(i for i in range(9, len(standing)) if standing[i - 9] == standing[i])]
    assert 40 <= stood < 200  # what was in flight was taken in, and nothing more handed out
    assert len(rows_of(plan)) == 200


def test_answers_that_cost_money_are_asked_once(tmp_path: Path, mended: type[Mended]) -> None:
    spec = fake(paid=True, price_usd=0.01, batch=1, parallel=3, latency_s=0.01, replicas=2)
    plan = make_plan(tmp_path, small_suite(tmp_path), spec, need=SMALL)
    (outcome,), _ = play(plan)
    assert outcome.status == "complete"
    assert sum(mended.batches) == 40
    assert (outcome.flip_rate, outcome.flip_n) == (None, 0)
    assert {row["cost_usd"] for row in rows_of(plan).values()} == {0.01}


def test_replicas_as_many_as_asked_for(tmp_path: Path) -> None:
    spec = fake(replicas=8, latency_s=0.02)
    (outcome,), stage = play(make_plan(tmp_path, small_suite(tmp_path, 200), spec, need=SMALL))
    assert outcome.status == "complete"
    assert stage.most == 8


def test_a_batch_is_full_until_the_tail(tmp_path: Path, mended: type[Mended]) -> None:
    plan = make_plan(
        tmp_path, small_suite(tmp_path, 200), fake(batch=8, parallel=2, latency_s=0.005)
    )
    play(plan)
    answering = [size for size in mended.batches if size > 1]
    assert sum(size == 8 for size in answering) >= 18


@pytest.mark.parametrize("dies", [0, 1, 5])
def test_a_replica_that_dies_while_it_loads_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: int
) -> None:
    starts = itertools.count()

    class Fragile(FakeBackend):
        async def start(self) -> BackendInfo:
            if next(starts) < dies:
                raise MemoryError("killed")
            return await super().start()

    monkeypatch.setattr(replica_module, "create_backend", Fragile)
    (outcome,), _ = play(make_plan(tmp_path, small_suite(tmp_path, 8), fake(replicas=1)))
    assert outcome.status == ("failed" if dies == 5 else "complete")
    if dies == 5:
        assert outcome.reason is not None
        assert outcome.reason.startswith("its replicas died 3 times while they loaded it: ")


def test_an_image_that_cannot_be_read_costs_only_its_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = small_suite(tmp_path, 12)
    damaged = suite.by_id["t/4"].images[0]
    read = Suite.image_bytes

    def image_bytes(self: Suite, image: str) -> bytes:
        if image == damaged:
            raise SuiteError(f"image {image[:12]} has other pixels than its hash says")
        return read(self, image)

    monkeypatch.setattr(Suite, "image_bytes", image_bytes)
    plan = make_plan(tmp_path, suite, fake(batch=4))
    (outcome,), _ = play(plan)
    rows = rows_of(plan)
    assert outcome.status == "incomplete"
    assert [n for n, row in rows.items() if row["status"] == "infra_error"] == ["t/4"]
    assert rows["t/4"]["cause"] == f"image {damaged[:12]} has other pixels than its hash says"


def test_a_run_that_only_lacks_its_commit_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = small_suite(tmp_path, 20)
    plan = make_plan(tmp_path, suite, fake())
    with monkeypatch.context() as patch:

        def fail(*_: object, **__: object) -> None:
            raise StoreUnavailable("gone")

        patch.setattr(RunLog, "commit", fail)
        with pytest.raises(StoreUnavailable, match="gone"):
            play(plan)
    assert len(rows_of(plan)) == 20
    (outcome,), _ = play(plan)
    assert (outcome.status, outcome.resumed, outcome.answered) == ("complete", 20, 0)
    assert (outcome.flip_rate, outcome.flip_n) == (0.0, 16)
    assert Store(plan.store).run(outcome.run_id).refresh().complete


def test_flips_are_counted(tmp_path: Path, mended: type[Mended]) -> None:
    seen: set[str] = set()

    def unsteady(self: FakeBackend, request: Request) -> str:
        again = request.request_id in seen
        seen.add(request.request_id)
        return f"{request.request_id} again" if again else request.request_id

    mended._text = unsteady  # type: ignore[method-assign]
    plan = make_plan(tmp_path, small_suite(tmp_path), fake(replicas=1))
    (outcome,), _ = play(plan)
    assert (outcome.flip_rate, outcome.flip_n) == (1.0, 16)
    commit = Store(plan.store).run(outcome.run_id).refresh().commit
    assert commit is not None
    assert commit.facts["flip_rate"] == 1.0
