"""The limiter of a key as an actor on a real Ray: shared, killed, replaced, and gone when idle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lens_ray.engine.limiter import NAMESPACE, find_limiter
from lens_ray.engine.permit_client import ClusterPermits, limiter_name
from lens_ray.models.api.ports import Ceilings, Load, Scope, Settled

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]
SCOPE = Scope("openai", "api.example.com", "0123456789ab", "model-1")
ONE = Load(10, 1)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    import ray as module

    module.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 * 2**20
    )
    yield module
    module.shutdown()


async def ask(permits: ClusterPermits, seconds: float, parallel: int = 16) -> int:
    """Calls that were answered, begun within some seconds."""
    end, answered = time.monotonic() + seconds, 0

    async def one() -> None:
        nonlocal answered
        while time.monotonic() < end:
            permit = await permits.acquire(ONE)
            await asyncio.sleep(0.05)
            permits.settle(permit, Settled("answered", tokens=10))
            answered += 1

    await asyncio.gather(*(one() for _ in range(parallel)))
    return answered


def test_two_clients_share_one_limit_over_one_detached_limiter(ray: Any) -> None:
    async def work() -> tuple[list[int], float]:
        both = [ClusterPermits(SCOPE, Ceilings(32, requests=3000)) for _ in range(2)]
        began = time.monotonic()
        counts = await asyncio.gather(*(ask(permits, 2.5) for permits in both))
        seconds = time.monotonic() - began
        for permits in both:
            await permits.close()
        return counts, seconds

    (first, second), seconds = asyncio.run(work())
    assert first + second <= 0.98 * 50 * seconds + 60  # and a second's worth that was saved up
    assert 0.4 < first / second < 2.5
    named = ray.util.list_named_actors(all_namespaces=True)
    assert named == [{"name": limiter_name(SCOPE), "namespace": NAMESPACE}]


@pytest.mark.parametrize("for_good", [False, True], ids=["restarted", "gone"])
def test_calls_go_on_when_the_limiter_dies(ray: Any, for_good: bool) -> None:
    async def work() -> tuple[int, int]:
        permits = ClusterPermits(SCOPE, Ceilings(32))
        before = await ask(permits, 1.0)
        old = await asyncio.to_thread(find_limiter, SCOPE)
        ray.kill(old, no_restart=for_good)
        during = await ask(permits, 4.0)
        await permits.close()
        return before, during

    before, during = asyncio.run(work())
    assert before > 0
    assert during > before  # four times as long, and it never stood still for most of it
    limiter = find_limiter(SCOPE)
    assert ray.get(limiter.idle_s.remote(), timeout=30) < 30


def test_a_limiter_that_nobody_asks_ends(ray: Any) -> None:
    scope = Scope("gemini", "api.example.com", "ba9876543210", "model-1")
    ray.get(find_limiter(scope, idle_s=1.0).idle_s.remote(), timeout=30)
    end = time.monotonic() + 20
    name = {"name": limiter_name(scope), "namespace": NAMESPACE}
    while name in ray.util.list_named_actors(all_namespaces=True):
        assert time.monotonic() < end
        time.sleep(0.2)
