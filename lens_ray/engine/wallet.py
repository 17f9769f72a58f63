"""A replica's dollars: `Wallet`; and what makes calls wait for them: `BudgetedPermits`.

A call begins only when the worst that it can cost is reserved from what the coordinator granted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from lens_ray.engine.purse import ALL, EPSILON, Allowance, Money
from lens_ray.errors import BudgetReached
from lens_ray.models.api.ports import Load, Memory, Permit, Permits, Ports, Settled
from lens_ray.models.protocol import Completion, Request

#: Granted at once, in times of what a full window may cost: a store is written to for each grant.
_AHEAD = 2.0
#: Questions of a batch whose money is wanted ahead; its window is all that a provider takes.
_BATCH_AHEAD = 64
#: Room for larger calls than any so far, so that not each of them is written down.
_LARGER = 1.25


class Wallet:
    """What one replica may spend, and has spent. Not for several threads."""

    def __init__(self, news: Callable[[], None], *, batches: bool = False) -> None:
        """Nothing is granted yet.

        Args:
            news: Called where the coordinator is to be asked.
            batches: Whether all that is reserved may be in flight, not only a window of calls.
        """
        self._window = 1
        self._news = news
        self._batches = batches
        self._granted = self._back = self._spent = self._doubt = self._flying = 0.0
        self._largest = 0.0
        self._risk = 0.0
        self._over: str | None = None
        self._scarce = False
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()

    def meet(self, window: int) -> None:
        """Learn how many calls may be in flight at once."""
        self._window = min(_BATCH_AHEAD, window) if self._batches else window

    @property
    def over(self) -> str | None:
        """Why nothing more will come; None where something may."""
        return self._over

    @property
    def free(self) -> float:
        """Granted, and neither spent nor reserved."""
        return self._granted - self._back - self._spent - self._doubt - self._flying

    @property
    def asks(self) -> bool:
        """Whether the coordinator is to be called for it."""
        if self._over is not None:
            return False
        return bool(self._waiting) or (not self._scarce and self._low)

    @property
    def _low(self) -> bool:
        return self.free < self._wanted() / 2

    async def take(self, usd: float) -> None:
        """Reserve what a call may cost, as soon as there is as much.

        Raises:
            BudgetReached: There will not be.
        """
        self._largest = max(self._largest, usd)
        if self._over is None and not self._waiting and self._can(usd):
            self._flying += usd
            if self.asks:
                self._news()
            return
        if self._over is not None:
            raise BudgetReached(self._over)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((usd, future))
        self._news()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.settle(usd, 0.0)
            raise

    def settle(self, reserved: float, spent: float | None) -> None:
        """A call has ended.

        Args:
            reserved: For it.
            spent: What it cost; None where that is not known, and all of it may have been.
        """
        self._flying = max(0.0, self._flying - reserved)
        if spent is None:
            self._doubt += reserved
        else:
            self._spent += spent
        self._serve()

    def money(self) -> Money:
        """What the coordinator is told; what is given back by it is gone at once."""
        self._drop_cancelled()
        waits = self._waiting[0][0] if self._waiting and self._over is None else 0.0
        free = self.free
        if self._scarce or self._over is not None:
            self._back += max(0.0, free)
            free = min(free, 0.0)
        elif free > 2 * _AHEAD * self._target() + EPSILON:
            self._back += free - self._target()
            free = self._target()
        wants = 0.0
        if self._over is None and (waits > 0 or free < self._wanted() / 2):
            wants = max(waits - free, self._wanted() - free)
        return Money(
            granted=self._granted,
            back=self._back,
            spent=self._spent,
            doubt=self._doubt,
            flying=self._flying,
            waits=max(0.0, waits - free) if waits else 0.0,
            wants=wants,
            risk=self._needed_risk(),
        )

    def hear(self, allowance: Allowance) -> None:
        """What the coordinator says."""
        self._granted = max(self._granted, allowance.granted)
        self._risk = max(self._risk, allowance.risk)
        self._scarce = allowance.scarce
        self._over = self._over or allowance.over
        self._serve()
        if self._over is not None:
            while self._waiting:
                _, future = self._waiting.popleft()
                if not future.done():
                    future.set_exception(BudgetReached(self._over))

    def _target(self) -> float:
        return self._window * self._largest

    def _wanted(self) -> float:
        return max(_AHEAD * self._target() - self._flying, self._largest)

    def _needed_risk(self) -> float:
        if self._batches:
            return ALL
        needed = self._window * self._largest
        return self._risk if needed <= self._risk else _LARGER * needed

    def _can(self, usd: float) -> bool:
        if self._window * usd > self._risk + EPSILON and self._risk < ALL:
            return False
        return usd <= self.free + EPSILON

    def _drop_cancelled(self) -> None:
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()

    def _serve(self) -> None:
        while True:
            self._drop_cancelled()
            if not self._waiting or not self._can(self._waiting[0][0]):
                break
            usd, future = self._waiting.popleft()
            self._flying += usd
            future.set_result(None)
        if self._waiting:
            self._news()


def budgeted(ports: Ports, wallet: Wallet) -> Ports:
    """Ports through which nothing is asked that the wallet does not pay."""
    permits = BudgetedPermits(ports.permits, wallet)
    return Ports(permits, BudgetedMemory(ports.memory, wallet), ports.notes)


class BudgetedPermits:
    """Permits that take dollars first."""

    def __init__(self, permits: Permits, wallet: Wallet) -> None:
        """Wrap them.

        Args:
            permits: Of the provider's limits.
            wallet: The replica's.
        """
        self._permits = permits
        self._wallet = wallet

    async def acquire(self, load: Load) -> Permit:
        """See `Permits`.

        Raises:
            BudgetReached: No money is left for it, or nobody knows what it costs.
        """
        if load.usd is None:
            raise BudgetReached(
                "there is a budget and no price is known here; write options: {price: {...}}"
            )
        await self._wallet.take(load.usd)
        try:
            return await self._permits.acquire(load)
        except BaseException:  # cancelled, too: nothing was asked
            self._wallet.settle(load.usd, 0.0)
            raise

    def settle(self, permit: Permit, settled: Settled) -> None:
        """See `Permits`. A call that was turned away cost nothing."""
        self._permits.settle(permit, settled)
        turned_away = settled.how in ("throttled", "dead")
        spent = 0.0 if turned_away and settled.usd is None else settled.usd
        self._wallet.settle(permit.load.usd or 0.0, spent)

    async def close(self) -> None:
        """See `Permits`."""
        await self._permits.close()


class BudgetedMemory:
    """A memory that says at once that a question will not be asked, before its images are made."""

    def __init__(self, memory: Memory, wallet: Wallet) -> None:
        """Wrap it.

        Args:
            memory: Of paid answers.
            wallet: The replica's.
        """
        self._memory = memory
        self._wallet = wallet

    async def recall(self, request: Request, served: str | None) -> Completion | None:
        """See `Memory`.

        Raises:
            BudgetReached: The answer is not known, and no money is left to ask for it.
        """
        known = await self._memory.recall(request, served)
        if known is None and self._wallet.over is not None:
            raise BudgetReached(self._wallet.over)
        return known

    async def served(self) -> str | None:
        """See `Memory`."""
        return await self._memory.served()

    async def keep(self, request: Request, completion: Completion) -> None:
        """See `Memory`."""
        await self._memory.keep(request, completion)
