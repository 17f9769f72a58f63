"""Budgets against what a server counts: real SDKs, real coordinator and replicas, no Ray."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lens_ray.engine.coordinator import Coordinator
from lens_ray.engine.plan import Budgets, EnginePlan
from lens_ray.engine.planner import Need
from lens_ray.engine.till import account_of, paid_for, spent_on
from lens_ray.models.api.options import Price
from lens_ray.models.spec import ModelSpec
from lens_ray.store import Store
from lens_ray.testing.provider import Fault, Latency, ProviderServer, Script
from tests.engine.stage import Stage, make_plan, play, rows_of, small_suite

#: Dear enough that a cent is a few calls.
PRICE = Price(input=10.0, output=200.0)


class Chatty:
    """Answers of a random length, the same for the same question."""

    def answer(self, asked: Any) -> str:
        draw = random.Random(asked.text + str(len(asked.images)))
        return " ".join(["three"] * draw.randint(1, 12))


def server_of(**given: Any) -> ProviderServer:
    given = {"truth": Chatty(), "latency": Latency(median_s=0.02), **given}
    return ProviderServer(Script(prices={"*": PRICE}, **given))


def closed(server: ProviderServer, name: str = "m", **options: Any) -> ModelSpec:
    return ModelSpec(
        name=name,
        backend="openai",
        path=f"gpt-4.1-{name}",
        access="closed",
        generation={"max_new_tokens": 12},
        options={
            "base_url": server.openai_url,
            "api": "chat",
            "price": {"input": PRICE.input, "output": PRICE.output},
            "concurrency": 16,
            **options,
        },
    )


def limited(plan: EnginePlan, session: str = "s1", **budgets: Any) -> EnginePlan:
    return replace(plan, budgets=Budgets(session, **budgets))


def test_200_workers_with_random_answers_spend_no_more_than_the_budget(tmp_path: Path) -> None:
    with server_of() as server:
        spec = closed(server, concurrency=200)
        plan = make_plan(tmp_path, small_suite(tmp_path, 400), spec)
        (outcome,), _ = play(limited(plan, models={0: 0.5}))
        counts = server.counts
    rows = rows_of(plan)
    over = [row for row in rows.values() if row["status"] == "over_budget"]
    asked = [row for row in rows.values() if row["status"] != "over_budget"]
    assert len(rows) == 400
    assert len(over) > 50
    # What is left is less than what one call may cost: 12 tokens out and a prompt.
    assert 0.5 - 0.01 < counts.usd <= 0.5
    assert sum(row["cost_usd"] for row in asked) == pytest.approx(counts.usd)
    assert outcome.spent_usd == pytest.approx(counts.usd)
    assert outcome.status == "incomplete"
    assert counts.answers == len(asked)
    assert "raise budget: {usd: ...}" in str(outcome.reason)


def test_a_raised_budget_pays_for_no_answer_twice(tmp_path: Path) -> None:
    with server_of() as server:
        plan = make_plan(tmp_path, small_suite(tmp_path, 120), closed(server))
        play(limited(plan, models={0: 0.1}))
        before = server.counts.usd
        assert 0 < before <= 0.1
        (again,), _ = play(limited(plan, "s2", models={0: 0.1}))
        assert server.counts.usd <= 0.1  # nothing more than what was left
        (outcome,), _ = play(limited(plan, "s3", models={0: 100.0}))
        counts = server.counts
    assert again.status == "incomplete"
    assert outcome.status == "complete"
    assert counts.paid_again == 0
    assert counts.answers == 120
    assert outcome.spent_usd == pytest.approx(counts.usd)
    assert all(row["status"] != "over_budget" for row in rows_of(plan).values())


@pytest.mark.slow
def test_models_of_one_job_share_its_budget(tmp_path: Path) -> None:
    with server_of() as server:
        specs = [closed(server, name) for name in ("a", "b", "c")]
        plan = make_plan(tmp_path, small_suite(tmp_path, 80), *specs, need=Need(0.2))
        outcomes, _ = play(limited(plan, job=0.6, models={1: 0.03}, before=0.1))
        counts = server.counts
    assert 0.5 - 0.02 < counts.usd <= 0.5
    assert sum(one.spent_usd or 0.0 for one in outcomes) == pytest.approx(counts.usd)
    assert outcomes[1].spent_usd is not None
    assert 0.02 < outcomes[1].spent_usd <= 0.03
    assert "the budget of model b is reached" in str(outcomes[1].reason)
    assert "the budget of the job is reached: $0.59" in str(outcomes[2].reason)


@pytest.mark.slow
def test_faults_that_may_have_been_paid_count(tmp_path: Path) -> None:
    """A lost answer is billed, and nobody is told what it cost."""
    faults = (
        Fault(kind="lost_answer", high=0.2, tries=1),
        Fault(kind="rate_limit", until=10, retry_after_s=0.01),
    )
    with server_of(faults=faults) as server:
        plan = make_plan(tmp_path, small_suite(tmp_path, 200), closed(server))
        (outcome,), _ = play(limited(plan, models={0: 0.3}))
        counts = server.counts
    assert counts.spoilt
    assert 0.2 < counts.usd <= 0.3
    assert outcome.spent_usd is not None
    assert counts.usd <= outcome.spent_usd <= 0.3 + 1e-9
    log = Store(plan.store).run(outcome.run_id)
    assert account_of(log.book("x").read()).presumed > 0
    assert paid_for(log) < counts.usd  # the lost ones have no row with a price


def _killed_and_again(plan: EnginePlan, budget: float, answers: int) -> None:
    """A driver with all of its actors that dies after some answers, as by ``kill -9``."""

    async def run() -> None:
        stage = Stage(limited(plan, "dead", models={0: budget}))
        while stage.answered < answers:
            await stage.step()
        assert stage.coordinator is not None
        # Nothing more is written after its replicas are gone.
        for tasks in (stage.replicas.values(), list(stage.coordinator._tasks)):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("answers", [pytest.param(1, marks=pytest.mark.slow), 30])
def test_the_budget_holds_over_a_killed_driver(tmp_path: Path, answers: int) -> None:
    with server_of() as server:
        plan = make_plan(tmp_path, small_suite(tmp_path, 200), closed(server))
        _killed_and_again(plan, 0.4, answers)
        first = server.counts.usd
        assert 0 < first < 0.4
        log = Store(plan.store).run(plan.models[0].run_id)
        # All of it may have been spent, for all that the store knows.
        account = account_of(log.book("x").read())
        assert first <= account.committed + 1e-9
        assert first <= spent_on(log) + 1e-9
        (outcome,), _ = play(limited(plan, "next", models={0: 0.4}))
        counts = server.counts
    assert outcome.status == "incomplete"
    assert 0.2 < counts.usd <= 0.4
    assert counts.usd <= (outcome.spent_usd or 0.0) + 1e-9 <= 0.4 + 2e-9


@pytest.mark.slow
def test_the_budget_holds_over_a_restarted_coordinator(tmp_path: Path) -> None:
    with server_of() as server:
        plan = make_plan(tmp_path, small_suite(tmp_path, 200), closed(server))
        plan = limited(plan, models={0: 0.4})
        restarted: list[int] = []

        def meddle(stage: Stage) -> None:
            if len(restarted) < 3 and stage.answered >= 20 * (1 + len(restarted)):
                restarted.append(stage.answered)
                stage.coordinator = Coordinator(plan)

        (outcome,), _ = play(plan, meddle)
        counts = server.counts
    assert len(restarted) == 3
    assert 0.39 < counts.usd <= 0.4
    assert outcome.spent_usd == pytest.approx(counts.usd)


@pytest.mark.slow
def test_batches_keep_the_budget_at_the_price_of_batches(tmp_path: Path) -> None:
    """Half the price; what there is money for is handed in, and what comes back is spent too."""
    with server_of() as server:
        price = {**PRICE.model_dump(), "batch_input": 5.0, "batch_output": 100.0}
        spec = closed(server, mode="batch", price=price)
        plan = make_plan(tmp_path, small_suite(tmp_path, 120), spec)
        (outcome,), _ = play(limited(plan, models={0: 0.15}))
        counts = server.counts
    rows = rows_of(plan).values()
    over = sum(row["status"] == "over_budget" for row in rows)
    asked = [row["cost_usd"] for row in rows if row["status"] != "over_budget"]
    assert len(rows) == 120
    assert over
    assert counts.batches >= 1
    assert counts.calls == 0
    assert 0.1 < sum(asked) <= 0.15
    assert outcome.spent_usd == pytest.approx(sum(asked))
