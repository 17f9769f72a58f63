"""Models behind a provider's interface in the engine, without Ray: a stand-in adapter answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

import lens_ray.models.api.backend as backend_module
from lens_ray.engine.plan import EnginePlan
from lens_ray.models.api.adapter import Answer, ApiFailure, Kind, Question
from lens_ray.models.api.outage import Outage
from lens_ray.store import Store
from tests.engine.stage import Stage, make_plan, play, rows_of, small_suite
from tests.models.api.standin import SERVED, THREE, StandIn, paid_model, says


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    adapter = StandIn()
    monkeypatch.setattr(backend_module, "make_adapter", lambda *_: adapter)
    return adapter


def test_a_run_ends_with_one_row_a_sample_each_with_its_price(
    standin: StandIn, tmp_path: Path
) -> None:
    plan = make_plan(tmp_path, small_suite(tmp_path), paid_model())
    (outcome,), _ = play(plan)
    assert (outcome.status, outcome.answered, outcome.flip_n) == ("complete", 40, 0)
    rows = rows_of(plan).values()
    assert {row["weight_version"] for row in rows} == {SERVED}
    assert {row["status"] for row in rows} == {"ok"}
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(40 * 12e-6)
    assert standin.asked.total() == 40


def mixed(question: Question, before: int) -> Answer | ApiFailure:
    """Every third question fails a few times first, in every way that may pass."""
    kinds = (Kind.SERVER, Kind.TIMEOUT, Kind.CONNECTION, Kind.MALFORMED, Kind.RATE_LIMIT)
    number = int(question.custom_id[:8], 16)
    if number % 3 == 0 and before < 1 + number % 5:
        return ApiFailure(kinds[number % 5], "it broke", retry_after_s=0.01)
    return THREE


def test_failures_that_pass_are_tried_again_until_there_is_an_answer(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.say = mixed
    plan = make_plan(tmp_path, small_suite(tmp_path, 60), paid_model())
    (outcome,), stage = play(plan)
    assert outcome.status == "complete"
    assert {row["status"] for row in rows_of(plan).values()} == {"ok"}
    assert set(standin.answered.values()) == {1}
    assert not stage.alone
    assert max(int(str(row["attempt"])) for row in rows_of(plan).values()) > 2


def test_a_failure_that_lasts_ends_at_once_as_one_of_the_infrastructure(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.say = lambda question, _: (
        ApiFailure(Kind.CONTEXT, "too long") if question.custom_id < "4" else THREE
    )
    plan = make_plan(tmp_path, small_suite(tmp_path), paid_model())
    (outcome,), _ = play(plan)
    assert outcome.status == "incomplete"
    assert "context_overflow: too long" in str(outcome.reason)
    failed = [row for row in rows_of(plan).values() if row["status"] == "infra_error"]
    assert failed
    assert {row["score"] for row in failed} == {None}
    assert {row["attempt"] for row in failed} == {1}
    assert set(standin.asked.values()) == {1}


def test_what_the_provider_declines_is_refused_each_by_its_cause(
    standin: StandIn, tmp_path: Path
) -> None:
    def declining(question: Question, before: int) -> Answer | ApiFailure:
        outcomes: list[Answer | ApiFailure] = [
            replace(THREE, finish_reason="refusal", text="the answer is 3, which I do not say"),
            replace(THREE, finish_reason="content_filter", text=""),
            ApiFailure(Kind.MODERATION, "not this"),
            replace(THREE, text=""),
            replace(THREE, text="", finish_reason="length"),
        ]
        return outcomes[int(question.custom_id[:8], 16) % 5]

    standin.say = declining
    plan = make_plan(tmp_path, small_suite(tmp_path), paid_model())
    (outcome,), _ = play(plan)
    assert outcome.status == "complete"
    seen = {(row["status"], row["cause"]) for row in rows_of(plan).values()}
    assert seen == {
        ("refused", "the model declined to answer"),
        ("refused", "the provider's content filter stopped the answer"),
        ("refused", "the provider's moderation refused the question"),
        ("unparsed", "the answer is empty"),
        ("truncated", "the token limit came before a declared answer"),
    }


def test_a_key_that_dies_fails_its_model_alone_and_keeps_what_was_answered(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.latency_s = 0.01
    # By the place of the question: calls overlap, and end in any order.
    standin.say = lambda question, _: (
        THREE if question in standin.questions[:20] else ApiFailure(Kind.CREDIT, "no money")
    )
    plan = make_plan(tmp_path, small_suite(tmp_path), paid_model(concurrency=4))
    (outcome,), stage = play(plan)
    assert (outcome.status, outcome.exit_code) == ("failed", 5)
    assert (
        outcome.reason
        == "openai model: credit_exhausted: no money; next: add credit at the provider"
    )
    rows = rows_of(plan)
    assert len(rows) == standin.answered.total() == 20
    assert standin.asked.total() <= 20 + 4 * len(stage.started)
    standin.say = says()
    (outcome,), _ = play(plan)
    assert outcome.status == "complete"
    assert set(standin.answered.values()) == {1}


def test_no_key_fails_its_model(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    plan = make_plan(tmp_path, small_suite(tmp_path), paid_model(api_key_env="SOME_KEY"))
    (outcome,), stage = play(plan)
    assert (outcome.status, outcome.exit_code) == ("failed", 5)
    assert "set SOME_KEY" in str(outcome.reason)
    assert len(stage.started) == 1


def test_another_model_that_answers_fails_the_run(standin: StandIn, tmp_path: Path) -> None:
    standin.latency_s = 0.01
    standin.say = lambda *_: (
        THREE if standin.asked.total() <= 20 else replace(THREE, served="another")
    )
    plan = make_plan(tmp_path, small_suite(tmp_path), paid_model(concurrency=2))
    (outcome,), _ = play(plan)
    assert (outcome.status, outcome.exit_code) == ("failed", 5)
    assert f"another answers now, and {SERVED} gave" in str(outcome.reason)
    assert {row["weight_version"] for row in rows_of(plan).values()} == {SERVED}
    (outcome,), _ = play(plan)
    assert (outcome.status, outcome.answered) == ("failed", 0)


class Killed(RuntimeError):
    """As if the process had been killed."""


def test_a_replica_that_is_killed_pays_no_kept_answer_twice(
    standin: StandIn, tmp_path: Path
) -> None:
    """Its rows are lost with it; the next one finds the answers in the journal."""
    standin.latency_s = 0.005
    spec = paid_model(concurrency=4)
    plan = make_plan(tmp_path, small_suite(tmp_path, 80), spec, keep_answers_s=0.0)
    killed: list[int] = []

    def kill(stage: Stage) -> None:
        if len(killed) < 2 and standin.answered.total() > 20 * (len(killed) + 1):
            killed.append(standin.answered.total())
            raise Killed

    (outcome,), stage = play(plan, kill)
    assert outcome.status == "complete"
    assert len(killed) == 2
    assert not stage.alone
    rows = rows_of(plan)
    assert len(rows) == 80
    again = standin.answered.total() - 80
    assert 0 <= again <= 2 * 9  # of each kill, no more than was in flight
    paid = sum(float(row["cost_usd"]) for row in rows.values())
    assert paid == pytest.approx(80 * 12e-6)


def test_a_coordinator_that_forgets_rows_costs_no_answer(standin: StandIn, tmp_path: Path) -> None:
    """Rows that were not yet written are made again from the journal."""
    standin.latency_s = 0.01
    spec = paid_model(concurrency=4)
    plan = make_plan(tmp_path, small_suite(tmp_path, 80), spec, flush_s=60.0)

    def hold(stage: Stage) -> None:
        if stage.answered >= 20:  # whatever the machine does meanwhile, some are not answered
            standin.latency_s = 1000.0

    async def first() -> None:
        stage = Stage(plan, hold)
        try:
            while stage.answered < 20:
                await stage.step()
        finally:
            for number in list(stage.replicas):
                await stage.kill(number, forget=True)

    asyncio.run(first())
    assert not rows_of(plan)
    assert standin.answered.total() < 80
    standin.latency_s = 0.01
    (outcome,), _ = play(plan)
    assert outcome.status == "complete"
    assert set(standin.answered.values()) == {1}
    paid = sum(float(row["cost_usd"]) for row in rows_of(plan).values())
    assert paid == pytest.approx(80 * 12e-6)


def other_run(tmp_path: Path, recall: bool) -> EnginePlan:
    """The same questions to the same model in another suite, whose name alone differs."""
    suite = small_suite(tmp_path / "other", 50)
    plan = make_plan(tmp_path, suite, paid_model(path=SERVED))
    return replace(plan, recall=recall)


def test_answers_of_other_runs_of_the_same_model_are_not_paid_again(
    standin: StandIn, tmp_path: Path
) -> None:
    first = make_plan(tmp_path, small_suite(tmp_path, 40), paid_model(path=SERVED))
    play(first)
    assert standin.answered.total() == 40
    second = other_run(tmp_path, recall=True)
    assert second.models[0].run_id != first.models[0].run_id
    (outcome,), _ = play(second)
    assert outcome.status == "complete"
    assert standin.answered.total() == 50
    rows = rows_of(second)
    assert len(rows) == 50
    assert sum(float(row["cost_usd"]) for row in rows.values()) == pytest.approx(10 * 12e-6)


def test_without_the_cache_they_are(standin: StandIn, tmp_path: Path) -> None:
    play(make_plan(tmp_path, small_suite(tmp_path, 40), paid_model(path=SERVED)))
    play(other_run(tmp_path, recall=False))
    assert standin.answered.total() == 90


def test_a_run_that_is_whole_needs_no_journal_any_more(standin: StandIn, tmp_path: Path) -> None:
    plan = make_plan(tmp_path, small_suite(tmp_path), paid_model())
    play(plan)
    store = Store(plan.store)
    assert store.check() == []
    run = f"runs/{plan.models[0].run_id}/paid"
    before = list(Path(plan.store, run).iterdir())
    assert before
    assert not store.gc(3600).keys
    removed = store.gc(-1).keys
    assert {key for key in removed if key.startswith(run)} == {
        f"{run}/{one.name}" for one in before
    }
    assert store.check() == []
    (outcome,), _ = play(plan)
    assert outcome.status == "complete"
    assert standin.answered.total() == 40


def test_an_outage_uses_up_no_attempts(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lens_ray.models.api.backend.Outage", _quick_outage)

    def down(question: Question, before: int) -> Answer | ApiFailure:
        gone = 20 < standin.asked.total() < 44
        return ApiFailure(Kind.CONNECTION, "refused") if gone else THREE

    standin.latency_s, standin.say = 0.002, down
    plan = make_plan(tmp_path, small_suite(tmp_path, 60), paid_model(concurrency=8))
    (outcome,), _ = play(plan)
    assert outcome.status == "complete"
    attempts = [int(str(row["attempt"])) for row in rows_of(plan).values()]
    assert max(attempts) <= 3
    assert sum(attempts) - len(attempts) <= 16 + 8


def test_a_provider_that_stays_away_fails_its_model(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lens_ray.models.api.backend.Outage", _quick_outage)
    standin.say = lambda *_: (
        ApiFailure(Kind.SERVER, "down") if standin.asked.total() > 20 else THREE
    )
    spec = paid_model(concurrency=8, patience_s=0.3)
    plan = make_plan(tmp_path, small_suite(tmp_path, 60), spec)
    (outcome,), _ = play(plan)
    assert (outcome.status, outcome.exit_code) == ("failed", 5)
    assert "calls in a row without an answer" in str(outcome.reason)
    assert len(rows_of(plan)) == standin.answered.total() > 0


def _quick_outage(who: str, patience_s: float) -> Outage:
    return Outage(who, patience_s, first_s=0.01, longest_s=0.04)
