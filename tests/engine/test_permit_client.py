"""Permits in one process, in real time: who waits, who gives up, and what ends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine

import pytest

from lens_ray.engine.lease import Ask, Lease
from lens_ray.engine.permit_client import (
    LeasedPermits,
    LimiterAway,
    LocalPermits,
    limiter_name,
)
from lens_ray.engine.permits import Limiter
from lens_ray.errors import ProviderUnavailable
from lens_ray.models.api.ports import Ceilings, Load, Permit, Permits, Scope, Settled

SCOPE = Scope("openai", "api.example.com", "0123456789ab", "model-1")
ONE = Load(10, 1)
ANSWERED = Settled("answered", tokens=10)


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))


def test_it_is_what_backends_want() -> None:
    permits: Permits = LocalPermits(SCOPE, Ceilings(1))
    assert permits is not None


def test_no_more_calls_at_once_than_are_permitted_and_first_come_is_first_served() -> None:
    async def work() -> None:
        permits = LocalPermits(SCOPE, Ceilings(3))
        running, most, order = 0, 0, []

        async def call(number: int) -> None:
            nonlocal running, most
            permit = await permits.acquire(ONE)
            order.append(number)
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.005)
            running -= 1
            permits.settle(permit, ANSWERED)

        await asyncio.gather(*(call(number) for number in range(30)))
        assert most == 3
        assert order == list(range(30))
        await permits.close()

    run(work)


def test_who_gives_up_takes_no_permit_along() -> None:
    async def work() -> None:
        permits = LocalPermits(SCOPE, Ceilings(1))
        first = await permits.acquire(ONE)
        waiting = [asyncio.create_task(permits.acquire(ONE)) for _ in range(4)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        await asyncio.sleep(0)
        # Granted and given up in the same turn of the loop.
        permits.settle(first, ANSWERED)
        waiting[1].cancel()
        permit = await waiting[2]
        with pytest.raises(asyncio.CancelledError):
            await waiting[1]
        permits.settle(permit, ANSWERED)
        permits.settle(await waiting[3], ANSWERED)
        await permits.close()

    run(work)


def test_a_permit_is_settled_once() -> None:
    async def work() -> None:
        permits = LocalPermits(SCOPE, Ceilings(2))
        permit = await permits.acquire(ONE)
        permits.settle(permit, ANSWERED)
        with pytest.raises(KeyError):
            permits.settle(permit, ANSWERED)
        await permits.close()

    run(work)


def test_the_end_of_a_key_ends_all_who_wait_and_all_who_come() -> None:
    async def work() -> None:
        limiter = Limiter()
        permits = LocalPermits(SCOPE, Ceilings(1), limiter)
        line = "openai model-1: credit_exhausted: no credit"
        permit = await permits.acquire(ONE)
        waiting = asyncio.create_task(permits.acquire(ONE))
        await asyncio.sleep(0)
        permits.settle(permit, Settled("dead", line=line))
        with pytest.raises(ProviderUnavailable, match="credit_exhausted"):
            await waiting
        with pytest.raises(ProviderUnavailable, match="credit_exhausted"):
            await permits.acquire(ONE)
        await permits.close()
        # A later job may try, and finds it mended.
        later = LocalPermits(SCOPE, Ceilings(1), limiter)
        later.settle(await later.acquire(ONE), ANSWERED)
        later.settle(await later.acquire(ONE), ANSWERED)
        await later.close()

    run(work)


def test_a_limit_is_kept_in_real_time() -> None:
    async def work() -> None:
        permits = LocalPermits(SCOPE, Ceilings(8, requests=3000))
        began = time.monotonic()
        for _ in range(20):
            permits.settle(await permits.acquire(ONE), ANSWERED)
        assert time.monotonic() - began >= 20 / 50 * 0.8
        await permits.close()

    run(work)


def test_close_says_goodbye_and_cancels_who_waits() -> None:
    async def work() -> None:
        said: list[Ask] = []
        limiter = Limiter()

        async def exchange(ask: Ask) -> Lease:
            said.append(ask)
            return limiter.tell(ask, time.monotonic())

        permits = LeasedPermits(SCOPE, Ceilings(1), exchange)
        await permits.close()
        assert not said  # nobody knows of it
        permits = LeasedPermits(SCOPE, Ceilings(1), exchange)
        permit = await permits.acquire(ONE)
        waiting = asyncio.create_task(permits.acquire(ONE))
        await asyncio.sleep(0)
        await permits.close()
        assert said[-1].leaving
        with pytest.raises(asyncio.CancelledError):
            await waiting
        permits.settle(permit, ANSWERED)  # its call ends afterwards

    run(work)


def test_while_the_limiter_is_away_calls_go_on_and_news_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lens_ray.engine.holder._ALONE_S", 0.1)
    monkeypatch.setattr("lens_ray.engine.holder._ALONE_WAIT_S", 0.1)

    async def work() -> None:
        limiter = Limiter()
        away, tried = False, asyncio.Event()
        heard: list[Ask] = []

        async def exchange(ask: Ask) -> Lease:
            if away:
                if ask.throttles:
                    tried.set()
                raise LimiterAway
            heard.append(ask)
            return limiter.tell(ask, time.monotonic())

        permits = LeasedPermits(SCOPE, Ceilings(4), exchange)
        permits.settle(await permits.acquire(ONE), ANSWERED)
        away = True
        held: list[Permit] = [await permits.acquire(ONE) for _ in range(3)]
        for permit in held:
            permits.settle(permit, Settled("throttled", retry_after_s=0.0))
        await tried.wait()
        assert not any(ask.throttles for ask in heard)
        away = False
        again = await permits.acquire(ONE)
        while sum(len(ask.throttles) for ask in heard) < 3:
            await asyncio.sleep(0.05)
        permits.settle(again, ANSWERED)
        await permits.close()

    run(work)


def test_the_name_of_a_limiter_tells_no_key_and_is_the_same_for_all_models() -> None:
    name = limiter_name(SCOPE)
    assert SCOPE.key not in name
    assert name == limiter_name(Scope("openai", SCOPE.host, SCOPE.key, "model-2"))
    assert name != limiter_name(Scope("openai", SCOPE.host, "ba9876543210", "model-1"))


def test_a_bug_of_the_limiter_is_heard_by_who_waits() -> None:
    async def broken(ask: Ask) -> Lease:
        raise RuntimeError("a bug")

    async def work() -> None:
        permits = LeasedPermits(SCOPE, Ceilings(1), broken)
        with pytest.raises(RuntimeError, match="a bug"):
            await permits.acquire(ONE)

    run(work)
