"""The purse: what is granted and may be spent never exceeds a budget, whatever happens."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lens_ray.engine.purse import Account, Allowance, Holding, Money, Purse, reconciled
from lens_ray.engine.till import account_of, record_of


def ask(purse: Purse, run: str, holder: str, **money: float) -> Allowance:
    purse.hear(run, holder, Money(**money))  # type: ignore[arg-type]
    purse.grant(run, holder)
    return purse.allowance(run, holder, "over")


def test_a_grant_is_a_part_of_what_is_left_and_enough_for_one_call() -> None:
    purse = Purse(None, {"a": 1.0}, {})
    # One holder: half of the dollar at most, though it wants more.
    assert ask(purse, "a", "x", waits=0.1, wants=5.0, risk=0.4).granted == 0.5
    # 0.5 left: half of it is less than the call needs.
    told = ask(purse, "a", "x", granted=0.5, spent=0.5, waits=0.4, wants=5.0, risk=0.4)
    assert told.granted == pytest.approx(0.9)
    assert told.over is None
    # 0.1 left and nothing in flight: a call of 0.2 cannot be paid any more.
    told = ask(purse, "a", "x", granted=0.9, spent=0.9, waits=0.2, wants=0.2, risk=0.4)
    assert (told.granted, told.over) == (0.9, "over")
    assert purse.over["a"].whose == "model"
    assert purse.over["a"].spent == pytest.approx(0.9)


def test_a_budget_is_not_reached_while_calls_in_flight_may_give_back() -> None:
    purse = Purse(None, {"a": 1.0}, {})
    ask(purse, "a", "x", waits=1.0, wants=1.0, risk=1.0)
    told = ask(purse, "a", "x", granted=1.0, flying=1.0, waits=0.2, wants=0.2, risk=1.0)
    assert told.over is None
    assert told.scarce
    # The call took 0.3 of the 1.0; the rest came back.
    told = ask(purse, "a", "x", granted=1.0, spent=0.3, back=0.7, waits=0.2, wants=0.2, risk=1.0)
    assert told.granted == pytest.approx(1.2)
    assert told.over is None


def test_a_batch_does_not_wait_for_itself() -> None:
    purse = Purse(None, {"a": 1.0}, {})
    ask(purse, "a", "x", waits=1.0, wants=1.0, risk=1.0)
    purse.hear("a", "x", Money(granted=1.0, flying=1.0, waits=0.2, wants=0.2, patient=False))
    assert not purse.grant("a", "x")
    assert purse.over["a"].needed == 0.2


def test_models_of_a_job_share_its_budget() -> None:
    purse = Purse(1.0, {"a": None, "b": 0.2}, {}, before=0.4)
    assert purse.pool("a") == pytest.approx(0.6)
    assert purse.pool("b") == pytest.approx(0.2)
    ask(purse, "a", "x", waits=0.5, wants=0.5, risk=0.5)
    told = ask(purse, "b", "y", waits=0.2, wants=0.2, risk=0.2)
    assert (told.granted, told.scarce, told.over) == (0.0, True, None)
    # What the other has free comes back, and is enough for both then.
    ask(purse, "a", "x", granted=0.5, spent=0.3, back=0.2)
    assert ask(purse, "b", "y", waits=0.2, wants=0.2, risk=0.2).granted == pytest.approx(0.2)
    ask(purse, "b", "y", granted=0.2, spent=0.2)
    told = ask(purse, "a", "x", granted=0.5, spent=0.3, back=0.2, waits=0.2, wants=0.2)
    assert told.over == "over"
    assert purse.over["a"].whose == "job"
    assert purse.spent == pytest.approx(0.9)


def test_gpu_hours_count_in_the_same_budget() -> None:
    purse = Purse(1.0, {"open": None, "closed": None}, {})
    assert purse.charge("open", "hosts", 0.0, 0.3)  # is to be written
    assert purse.pool("closed") == pytest.approx(0.7)
    assert not purse.charge("open", "hosts", 0.1, 0.3)
    assert purse.charge("open", "hosts", 0.2, 0.3)
    ask(purse, "closed", "x", waits=0.5, wants=0.5, risk=0.5)
    ask(purse, "closed", "x", granted=0.5, spent=0.5)
    while not purse.over and purse.spent < 2:
        purse.charge("open", "hosts", purse.accounts["open"].spent + 0.01, 0.3)
    assert purse.over["open"].whose == "job"
    assert 0.98 < purse.spent < 1.02


def test_what_a_dead_holder_had_is_spent_until_the_store_is_looked_at() -> None:
    purse = Purse(None, {"a": 1.0}, {})
    ask(purse, "a", "x", waits=0.6, wants=0.6, risk=0.2)
    ask(purse, "a", "x", granted=0.6, spent=0.1, flying=0.2, risk=0.2)
    purse.lose("a", "x")
    assert purse.pool("a") == pytest.approx(0.4)
    told = ask(purse, "a", "y", waits=0.5, wants=0.5, risk=0.5)
    assert told.over is None
    assert purse.unsettled
    # Durable answers cost 0.15, and calls of 0.2 may have been in flight.
    purse.settle("a", 0.15)
    assert purse.accounts["a"].seen == pytest.approx(0.15)
    assert purse.accounts["a"].presumed == pytest.approx(0.2)
    assert ask(purse, "a", "y", waits=0.5, wants=0.5, risk=0.5).granted == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("evidence", "seen", "presumed"),
    [
        (0.0, 0.3, 0.05 + 0.2),  # it said 0.3; in doubt 0.05; in flight 0.2 at most
        (0.45, 0.45, 0.05 + 0.2),  # the store knows more than it had said
        (0.9, 0.9, 0.1),  # no more than the 1.0 that it had
    ],
)
def test_reconciled(evidence: float, seen: float, presumed: float) -> None:
    account = Account(0.0, 0.0, {"s/0": Holding(1.0, 0.0, 0.3, 0.05, 0.2)})
    found = reconciled(account, evidence, {"s/0"})
    assert found.seen == pytest.approx(seen)
    assert found.presumed == pytest.approx(presumed)
    assert not found.holdings
    assert reconciled(found, evidence) == found


def test_answers_that_were_paid_without_a_budget_count() -> None:
    assert reconciled(Account(), 0.7).spent == 0.7


def test_an_account_survives_the_store() -> None:
    account = Account(0.1, 0.2, {"s/0": Holding(1.0, 0.1, 0.3, 0.05, 0.2, lost=True)})
    assert account_of(record_of(account)) == account
    wrongs: list[dict[str, object]] = [
        {}, {"seen": -1.0, "presumed": 0.0, "holdings": {}}, {"holdings": []}
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"object|US dollars belong"):
            account_of(wrong)


class _Holder:
    """A replica as the purse sees it, with its calls at a pretended provider."""

    def __init__(self, run: str, name: str, worst: float) -> None:
        self.run, self.name, self.worst = run, name, worst
        self.money = Money()
        self.calls: list[float] = []
        self.over = False

    @property
    def free(self) -> float:
        money = self.money
        return money.granted - money.back - money.spent - money.doubt - sum(self.calls)

    def begin(self, most: int) -> None:
        while len(self.calls) < most and self.free + 1e-9 >= self.worst and not self.over:
            self.calls.append(self.worst)

    def report(self, scarce: bool) -> None:
        money = self.money
        if scarce or self.over:
            money = replace(money, back=money.back + max(0.0, self.free))
        self.money = replace(
            money, flying=sum(self.calls), waits=0.0 if self.over else self.worst,
            wants=0.0 if self.over else 4 * self.worst, risk=5 * self.worst,
        )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.05, 3.0), st.booleans())
def test_no_order_of_things_spends_more_than_a_budget(seed: int, job: float, deaths: bool) -> None:
    """Provider's count against the budgets, with random answers, deaths and restarts."""
    draw = random.Random(seed)
    limits: dict[str, float | None] = {"a": draw.choice([None, job / 2]), "b": None, "c": 10.0}
    purse = Purse(job, limits, {})
    holders = [_Holder(run, f"{run}{n}", draw.uniform(0.01, 0.2)) for run in limits for n in (0, 1)]
    paid = dict.fromkeys(limits, 0.0)  # by the provider
    durable = dict.fromkeys(limits, 0.0)  # of it, what a restart finds
    told: dict[str, Allowance] = {}
    for step in range(30_000):
        deaths = deaths and step < 400
        if step > 400 and all(one.over for one in holders):
            break
        one = draw.choice(holders)
        for _ in range(draw.randrange(4)):
            if one.calls:
                cost = draw.uniform(0, one.calls.pop())
                paid[one.run] += cost
                durable[one.run] += cost
                one.money = replace(one.money, spent=one.money.spent + cost)
        one.begin(5)
        if deaths and draw.random() < 0.01:  # its calls were paid, and nobody knows
            paid[one.run] += sum(one.calls)
            if one.name in purse.accounts[one.run].holdings:
                purse.lose(one.run, one.name)
            holders.remove(one)
            holders.append(_Holder(one.run, f"{one.name}'", one.worst))
            continue
        if deaths and draw.random() < 0.01:  # the coordinator starts again from the store
            accounts = {run: account_of(record_of(purse.accounts[run])) for run in limits}
            purse = Purse(job, limits, accounts)
        one.report(told[one.name].scarce if one.name in told else False)
        purse.hear(one.run, one.name, one.money)
        purse.grant(one.run, one.name)
        if purse.unsettled:
            for run in purse.lost():
                purse.settle(run, durable[run])
            purse.grant(one.run, one.name)
        told[one.name] = purse.allowance(one.run, one.name, "over")
        one.money = replace(one.money, granted=told[one.name].granted)
        one.over = one.over or told[one.name].over is not None
        assert sum(paid.values()) + sum(sum(h.calls) for h in holders) <= job + 1e-6
        if limits["a"] is not None:
            assert paid["a"] <= limits["a"] + 1e-6
    # It ends, and what is left is less than the next call may cost.
    assert all(one.over for one in holders)
    assert all(over.needed > over.usd - over.spent - 1e-6 for over in purse.over.values())
