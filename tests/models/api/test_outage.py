"""A provider that is away is waited for, and nothing is used up meanwhile: `Outage`."""

from __future__ import annotations

import asyncio

import pytest

from lens_ray.errors import ProviderUnavailable
from lens_ray.models.api.adapter import ApiFailure, Kind
from lens_ray.models.api.outage import IN_A_ROW, Outage
from tests.models.api.standin import THREE

BROKEN = ApiFailure(Kind.CONNECTION, "refused")


def away(patience_s: float = 60.0, first_s: float = 0.01) -> Outage:
    outage = Outage("openai model", patience_s, first_s=first_s)
    said = [outage.note(BROKEN) for _ in range(IN_A_ROW)]
    assert said == [False] * (IN_A_ROW - 1) + [True]
    return outage


def test_failures_among_answers_are_no_outage() -> None:
    outage = Outage("m", 60.0)
    for _ in range(10 * IN_A_ROW):
        assert not outage.note(BROKEN)
        assert not outage.note(THREE)
    refused = ApiFailure(Kind.RATE_LIMIT, "slow down")
    assert not any(outage.note(one) for one in [refused] * 50)


def test_one_call_at_a_time_tries_an_absent_provider_and_all_go_once_it_answers() -> None:
    async def play() -> list[int]:
        outage, flying, most = away(), 0, [0]
        tried = 0

        async def call() -> None:
            nonlocal flying, tried
            while True:
                async with outage.turn():
                    flying += 1
                    tried += 1
                    if outage.since is not None:
                        most[0] = max(most[0], flying)
                    await asyncio.sleep(0)
                    flying -= 1
                    if not outage.note(BROKEN if tried < 4 else THREE):
                        return

        await asyncio.gather(*(call() for _ in range(20)))
        return [most[0], tried]

    assert asyncio.run(play()) == [1, 3 + 20]


def test_patience_ends_in_one_line() -> None:
    async def play() -> None:
        outage = away(patience_s=0.05)
        while True:
            async with outage.turn():
                outage.note(BROKEN)

    with pytest.raises(ProviderUnavailable, match=r"openai model: \d+ calls in a row .* refused"):
        asyncio.run(play())


def test_who_is_cancelled_while_trying_leaves_the_try_to_the_next() -> None:
    async def play() -> str:
        outage = away(first_s=0.02)

        async def call() -> str:
            async with outage.turn():
                outage.note(THREE)
            return "went"

        first = asyncio.create_task(call())
        second = asyncio.create_task(call())
        await asyncio.sleep(0)  # the first is trying, and the second waits for it
        first.cancel()
        return await asyncio.wait_for(second, 5)

    assert asyncio.run(play()) == "went"


def test_the_end_says_what_to_type() -> None:
    async def play() -> None:
        outage = away(patience_s=0.0)
        async with outage.turn():
            raise AssertionError

    with pytest.raises(ProviderUnavailable, match=r"; next: base_url: .*, and run the job again$"):
        asyncio.run(play())
