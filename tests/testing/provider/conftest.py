"""Clients of the official SDKs, without retries of their own, before a scripted server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx2
import pytest
from anthropic import AsyncAnthropic
from google import genai
from google.genai import types
from openai import AsyncOpenAI

from lens_ray.testing.provider import ProviderServer


@dataclass(frozen=True)
class Clients:
    openai: AsyncOpenAI
    anthropic: AsyncAnthropic
    gemini: genai.Client

    async def close(self) -> None:
        await self.openai.close()
        await self.anthropic.close()
        await self.gemini.aio.aclose()

    async def responses(self, text: str) -> str:
        answer = await self.openai.responses.create(model="m", input=text, max_output_tokens=64)
        return answer.output_text

    async def chat(self, text: str) -> str:
        answer = await self.openai.chat.completions.create(
            model="m", messages=[{"role": "user", "content": text}], max_completion_tokens=64
        )
        return answer.choices[0].message.content or ""

    async def messages(self, text: str) -> str:
        answer = await self.anthropic.messages.create(
            model="m", max_tokens=64, messages=[{"role": "user", "content": text}]
        )
        return "".join(block.text for block in answer.content if block.type == "text")

    async def generate(self, text: str) -> str:
        answer = await self.gemini.aio.models.generate_content(model="m", contents=text)
        return answer.text or ""

    def by_name(self, name: str) -> Callable[[str], Awaitable[str]]:
        ask: Callable[[str], Awaitable[str]] = getattr(self, name)
        return ask


def clients(server: ProviderServer, key: str = "a key", timeout_s: float = 5.0) -> Clients:
    def http() -> httpx2.AsyncClient:
        # No certificates: reading them took 70 ms for each client.
        return httpx2.AsyncClient(verify=False, timeout=timeout_s)

    return Clients(
        AsyncOpenAI(base_url=server.openai_url, api_key=key, max_retries=0, http_client=http()),
        AsyncAnthropic(base_url=server.url, api_key=key, max_retries=0, http_client=http()),
        genai.Client(
            api_key=key,
            http_options=types.HttpOptions(
                base_url=server.url,
                timeout=int(timeout_s * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
                # Not aiohttp, over which the SDK tries a second time.
                httpx_async_client=http(),
                httpx_client=httpx2.Client(transport=httpx2.BaseTransport()),
            ),
        ),
    )


@pytest.fixture(params=["responses", "chat", "messages", "generate"])
def way(request: pytest.FixtureRequest) -> str:
    """One of the four ways to ask."""
    return str(request.param)
