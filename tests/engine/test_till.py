"""Budgets in whole jobs without Ray: rows, exit, accounts, restarts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lens_ray.engine.plan import Budgets, EnginePlan
from lens_ray.engine.till import account_of, paid_for, spent_on
from lens_ray.errors import RunBusy, StoreUnavailable
from lens_ray.store import Store
from tests.engine.stage import fake, make_plan, play, rows_of, small_suite


def limited(plan: EnginePlan, session: str = "s1", **budgets: Any) -> EnginePlan:
    return replace(plan, budgets=Budgets(session, **budgets))


def paid(name: str = "m", **given: Any) -> Any:
    return fake(name, paid=True, price_usd=0.01, latency_s=0.005, parallel=2, **given)


def test_paid_answers_stop_at_the_budget_and_the_rest_is_over_budget(tmp_path: Path) -> None:
    plan = limited(make_plan(tmp_path, small_suite(tmp_path), paid()), models={0: 0.1})
    (outcome,), _ = play(plan)
    rows = list(rows_of(plan).values())
    over = [row for row in rows if row["status"] == "over_budget"]
    asked = [row for row in rows if row["status"] != "over_budget"]
    assert len(rows) == 40
    # This backend asks for no dollars first: what was in flight is paid beyond the budget.
    assert 10 <= len(asked) <= 10 + 2 * 2 + 2
    assert all(row["score"] is None and row["cost_usd"] is None for row in over)
    assert {row["cause"] for row in over} == {outcome.reason.partition(": ")[2]}  # type: ignore[union-attr]
    assert outcome.status == "incomplete"
    assert "the budget of model m is reached" in str(outcome.reason)
    assert "raise budget: {usd: ...}" in str(outcome.reason)
    assert outcome.spent_usd == pytest.approx(0.01 * len(asked))
    log = Store(plan.store).run(outcome.run_id)
    assert spent_on(log) == pytest.approx(paid_for(log)) == pytest.approx(0.01 * len(asked))
    assert log.state.commit is not None
    assert log.state.commit.facts["spent_usd"] == outcome.spent_usd


def test_a_raised_budget_asks_what_is_left_and_nothing_again(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, small_suite(tmp_path), paid())
    play(limited(plan, models={0: 0.1}))
    first = {k for k, row in rows_of(plan).items() if row["status"] != "over_budget"}
    (outcome,), _ = play(limited(plan, "s2", models={0: 1.0}))
    assert outcome.status == "complete"
    assert outcome.resumed == len(first)
    assert outcome.answered == 40 - len(first)
    assert all(row["status"] != "over_budget" for row in rows_of(plan).values())
    assert outcome.spent_usd == pytest.approx(0.4)


def test_the_same_budget_again_asks_nothing(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, small_suite(tmp_path), paid())
    (before,), _ = play(limited(plan, models={0: 0.1}))
    (outcome,), stage = play(limited(plan, "s2", models={0: 0.1}))
    assert outcome.spent_usd == pytest.approx(before.spent_usd)
    assert stage.answered == 0
    assert not stage.started


def test_hours_of_hosts_count_in_the_budget_of_the_job(tmp_path: Path) -> None:
    """36 dollars an hour are a cent a second."""
    plan = make_plan(tmp_path, small_suite(tmp_path), fake(latency_s=0.1))
    (outcome,), _ = play(limited(plan, job=0.02, hourly={0: 36.0}))
    assert outcome.status == "incomplete"
    assert "the budget of the job is reached" in str(outcome.reason)
    answered = [row for row in rows_of(plan).values() if row["status"] != "over_budget"]
    assert 2 <= len(answered) < 40  # a second of two replicas, a tenth of a second each
    assert outcome.spent_usd is not None
    assert 0.02 <= outcome.spent_usd < 0.04


def test_what_others_of_the_job_have_cost_counts(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, small_suite(tmp_path), paid())
    (outcome,), stage = play(limited(plan, job=1.0, before=1.0))
    assert stage.answered == 0
    assert outcome.status == "incomplete"


def test_models_without_a_limit_are_not_counted(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, small_suite(tmp_path), paid("a"), paid("b"))
    outcomes, _ = play(limited(plan, models={0: 0.1}))
    assert [one.status for one in outcomes] == ["incomplete", "complete"]
    assert outcomes[1].spent_usd is None


def test_a_driver_that_lost_the_run_can_grant_nothing(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, small_suite(tmp_path), paid())
    log = Store(plan.store).run(plan.models[0].run_id)
    old, new = log.book("old"), log.book("new")
    assert old.read() is None
    old.write({"seen": 0.5, "presumed": 0.0, "holdings": {}})
    assert account_of(new.read()).seen == 0.5
    new.write({"seen": 0.6, "presumed": 0.0, "holdings": {}})
    with pytest.raises(RunBusy, match="another driver writes its account"):
        old.write({"seen": 0.7, "presumed": 0.0, "holdings": {}})
    again = log.book("new")  # an actor of the same driver that was started again
    again.read()
    new.write({"seen": 0.8, "presumed": 0.0, "holdings": {}})
    again.write({"seen": 0.9, "presumed": 0.0, "holdings": {}})
    assert account_of(log.book("x").read()).seen == 0.9
    assert Store(plan.store).check() == []
    (tmp_path / "store" / "runs" / plan.models[0].run_id / "purse.json").write_text("{}")
    (problem,) = Store(plan.store).check()
    assert "purse.json: kind None where purse belongs" in problem
    with pytest.raises(StoreUnavailable, match=r"purse.json is damaged"):
        log.book("y").read()
