"""Connections in several small pools."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("httpx2")

from lens_ray.models.api.calls import http_client
from lens_ray.models.api.options import ApiOptions
from lens_ray.models.api.pools import Pools, pools

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


def test_few_connections_need_no_pools() -> None:
    assert pools(32) is None
    assert isinstance(pools(33), Pools)


def test_a_proxy_of_the_environment_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert pools(64) is not None
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert pools(64) is None


def test_all_calls_are_answered_and_as_many_at_once_as_may_be() -> None:
    most, now = 0, 0
    gate = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most, now
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            now += 1
            most = max(most, now)
            if most == 80:
                gate.set()
            await asyncio.wait_for(gate.wait(), 10)
            now -= 1
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
        writer.close()

    async def ask(url: str) -> list[str]:
        async with http_client(ApiOptions(concurrency=80, timeout_s=20)) as client:
            calls = [client.get(url) for _ in range(200)]
            limit = asyncio.Semaphore(80)

            async def one(call: Awaitable[Any]) -> str:
                async with limit:
                    text: str = (await call).text
                    return text

            return await asyncio.gather(*map(one, calls))

    assert _served(answer, ask) == ["ok"] * 200
    assert most == 80


def _served(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    ask: Callable[[str], Awaitable[list[str]]],
) -> list[str]:
    async def both() -> list[str]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await ask(f"http://127.0.0.1:{port}/")

    return asyncio.run(both())
