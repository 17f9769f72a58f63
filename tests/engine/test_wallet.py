"""A replica's wallet: no call begins whose worst case is not reserved."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from lens_ray.engine.purse import Allowance, Purse
from lens_ray.engine.wallet import Wallet, budgeted
from lens_ray.errors import BudgetReached, ProviderUnavailable
from lens_ray.models.api.ports import Load, Permit, Ports, Settled
from lens_ray.models.protocol import Completion, Generation, Request


class Inner:
    """Permits, memory and notes that say yes, and remember."""

    def __init__(self, *, dead: bool = False, knows: bool = False) -> None:
        self.dead, self.knows = dead, knows
        self.acquired: list[Load] = []
        self.settled: list[Settled] = []

    async def acquire(self, load: Load) -> Permit:
        if self.dead:
            raise ProviderUnavailable("the key is refused")
        self.acquired.append(load)
        return Permit(len(self.acquired), load)

    def settle(self, permit: Permit, settled: Settled) -> None:
        self.settled.append(settled)

    async def close(self) -> None: ...

    async def recall(self, request: Request, served: str | None) -> Completion | None:
        return Completion(request.request_id, "3", "stop") if self.knows else None

    async def served(self) -> str | None:
        return None

    async def keep(self, request: Request, completion: Completion) -> None: ...

    async def read(self) -> Mapping[str, Mapping[str, object]]:
        return {}

    async def write(self, name: str, note: Mapping[str, object]) -> bool:
        return True


def wallet_with(usd: float, **given: Any) -> tuple[Wallet, list[int]]:
    called: list[int] = []
    wallet = Wallet(lambda: called.append(1), **given)
    wallet.meet(4)
    wallet.hear(Allowance(usd, 1e6))
    return wallet, called


def ports_of(inner: Inner, wallet: Wallet) -> Ports:
    return budgeted(Ports(inner, inner, inner), wallet)


def test_the_worst_case_is_reserved_and_the_rest_comes_back() -> None:
    async def run() -> None:
        wallet, _ = wallet_with(1.0)
        ports = ports_of(Inner(), wallet)
        permit = await ports.permits.acquire(Load(100, 1, 0.4))
        assert wallet.free == pytest.approx(0.6)
        ports.permits.settle(permit, Settled("answered", usd=0.1))
        assert wallet.free == pytest.approx(0.9)
        assert wallet.money().spent == pytest.approx(0.1)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("settled", "spent", "doubt"),
    [
        (Settled("throttled"), 0.0, 0.0),
        (Settled("dead", line="no credit"), 0.0, 0.0),
        (Settled("failed", usd=0.0), 0.0, 0.0),
        (Settled("failed"), 0.0, 0.4),  # a timeout may have been paid
        (Settled("answered", usd=0.5), 0.5, 0.0),  # dearer than the worst case
        (Settled("answered"), 0.0, 0.4),
    ],
)
def test_what_a_call_cost(settled: Settled, spent: float, doubt: float) -> None:
    async def run() -> None:
        wallet, _ = wallet_with(1.0)
        ports = ports_of(Inner(), wallet)
        ports.permits.settle(await ports.permits.acquire(Load(1, 0, 0.4)), settled)
        money = wallet.money()
        assert (money.spent, money.doubt, money.flying) == (spent, doubt, 0.0)

    asyncio.run(run())


def test_a_call_waits_until_there_is_enough() -> None:
    async def run() -> None:
        wallet, called = wallet_with(0.3)
        ports = ports_of(Inner(), wallet)
        first = asyncio.create_task(ports.permits.acquire(Load(1, 0, 0.4)))
        second = asyncio.create_task(ports.permits.acquire(Load(1, 0, 0.2)))
        await asyncio.sleep(0)
        assert called
        money = wallet.money()
        assert money.waits == pytest.approx(0.1)  # with what is free
        assert not first.done()
        assert not second.done()  # in the order in which they came
        wallet.hear(Allowance(0.45, 1e6))
        await first
        await asyncio.sleep(0)
        assert not second.done()
        wallet.hear(Allowance(0.6, 1e6))
        await second
        assert wallet.free == pytest.approx(0.0)

    asyncio.run(run())


def test_a_larger_call_than_is_written_down_waits() -> None:
    async def run() -> None:
        wallet, _ = wallet_with(0.0)
        wallet = Wallet(lambda: None)
        wallet.meet(4)
        wallet.hear(Allowance(100.0, 0.4))
        await wallet.take(0.1)
        task = asyncio.create_task(wallet.take(0.2))
        await asyncio.sleep(0)
        assert not task.done()
        assert wallet.money().risk == pytest.approx(1.25 * 4 * 0.2)
        wallet.hear(Allowance(100.0, 1.0))
        await task

    asyncio.run(run())


def test_all_of_a_batch_may_be_in_flight() -> None:
    async def run() -> None:
        wallet = Wallet(lambda: None, batches=True)
        wallet.meet(32_768)
        task = asyncio.create_task(wallet.take(0.01))
        await asyncio.sleep(0)
        money = wallet.money()
        assert money.wants == pytest.approx(2 * 64 * 0.01)
        purse = Purse(None, {"r": 100.0}, {})
        purse.hear("r", "w", money)
        purse.grant("r", "w")
        wallet.hear(purse.allowance("r", "w"))
        await task
        purse.lose("r", "w")
        purse.settle("r", 0.0)
        assert purse.accounts["r"].presumed == pytest.approx(2 * 64 * 0.01)

    asyncio.run(run())


def test_the_end_of_a_budget_ends_what_waits() -> None:
    async def run() -> None:
        wallet, _ = wallet_with(0.1)
        ports = ports_of(Inner(), wallet)
        task = asyncio.create_task(ports.permits.acquire(Load(1, 0, 0.4)))
        await asyncio.sleep(0)
        wallet.hear(Allowance(0.1, 1e6, over="the budget is reached"))
        with pytest.raises(BudgetReached, match="the budget is reached"):
            await task
        with pytest.raises(BudgetReached):
            await ports.permits.acquire(Load(1, 0, 0.01))
        money = wallet.money()
        assert money.back == pytest.approx(0.1)
        assert (money.waits, money.wants) == (0.0, 0.0)

    asyncio.run(run())


def test_what_is_known_is_recalled_when_the_budget_is_reached() -> None:
    async def run() -> None:
        wallet, _ = wallet_with(0.0)
        wallet.hear(Allowance(0.0, 1e6, over="reached"))
        request = Request("a", "how many?", (), Generation())
        assert await ports_of(Inner(knows=True), wallet).memory.recall(request, None) is not None
        with pytest.raises(BudgetReached, match="reached"):
            await ports_of(Inner(), wallet).memory.recall(request, None)

    asyncio.run(run())


def test_scarce_money_goes_back() -> None:
    wallet, _ = wallet_with(1.0)
    wallet.hear(Allowance(1.0, 1e6, scarce=True))
    assert wallet.money().back == pytest.approx(1.0)
    assert wallet.free == pytest.approx(0.0)


def test_a_call_without_a_price_is_not_made() -> None:
    async def run() -> None:
        wallet, _ = wallet_with(1.0)
        with pytest.raises(BudgetReached, match=r"no price is known here; write options"):
            await ports_of(Inner(), wallet).permits.acquire(Load(1, 0, None))

    asyncio.run(run())


def test_a_refused_permit_gives_its_dollars_back() -> None:
    async def run() -> None:
        wallet, _ = wallet_with(1.0)
        with pytest.raises(ProviderUnavailable):
            await ports_of(Inner(dead=True), wallet).permits.acquire(Load(1, 0, 0.4))
        assert wallet.free == pytest.approx(1.0)

    asyncio.run(run())


@pytest.mark.parametrize("granted_first", [False, True])
def test_a_cancelled_call_gives_its_dollars_back(granted_first: bool) -> None:
    async def run() -> None:
        wallet, _ = wallet_with(0.0)
        task = asyncio.create_task(wallet.take(0.4))
        await asyncio.sleep(0)
        if granted_first:
            wallet.hear(Allowance(1.0, 1e6))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        wallet.hear(Allowance(1.0, 1e6))
        assert wallet.free == pytest.approx(1.0)
        assert wallet.money().waits == 0.0

    asyncio.run(run())


def test_many_workers_spend_no_more_than_the_budget_and_nearly_all_of_it() -> None:
    """200 workers, random costs, a wallet of a slow coordinator."""
    import random

    draw = random.Random(7)
    purse = Purse(None, {"r": 2.0}, {})
    paid: list[float] = []

    async def worker(ports: Ports) -> None:
        while True:
            worst = draw.uniform(0.001, 0.01)
            try:
                permit = await ports.permits.acquire(Load(1, 0, worst))
            except BudgetReached:
                return
            await asyncio.sleep(draw.uniform(0, 0.002))
            cost = draw.uniform(0, worst)
            paid.append(cost)
            ports.permits.settle(permit, Settled("answered", usd=cost))

    async def run() -> float:
        wallet = Wallet(lambda: None)
        wallet.meet(200)
        ports = ports_of(Inner(), wallet)
        workers = [asyncio.create_task(worker(ports)) for _ in range(200)]
        most = 0.0
        while not all(task.done() for task in workers):
            purse.hear("r", "w", wallet.money())
            purse.grant("r", "w")
            await asyncio.sleep(0.001)
            wallet.hear(purse.allowance("r", "w", "over"))
            most = max(most, sum(paid))
            await asyncio.sleep(0)
        await asyncio.gather(*workers)
        return most

    asyncio.run(asyncio.wait_for(run(), 30))
    assert sum(paid) <= 2.0 + 1e-9
    assert sum(paid) > 2.0 - 0.011  # less than the dearest call is left
