"""Bodies of Anthropic's answers, and an adapter that gets them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import httpx2

from lens_ray.models.api.adapter import Answer, EncodedImage, Question
from lens_ray.models.api.anthropic import AnthropicAdapter
from lens_ray.models.api.options import AnthropicOptions
from lens_ray.models.protocol import Generation
from tests.models.api.wire import KEY, Wire

T = TypeVar("T")
NEW = "claude-opus-5-5"
OLD = "claude-haiku-4-5-20251001"
IMAGE = EncodedImage(b"\x89PNG one", "image/png", 100, 50)
QUESTION = Question(
    "q-1", "Which? (A) or (B)", (IMAGE,), Generation(max_new_tokens=5, stop=("\n",))
)
HEADERS = {
    "date": "Fri, 27 Nov 2026 07:00:00 GMT",
    "anthropic-ratelimit-requests-limit": "4000",
    "anthropic-ratelimit-requests-remaining": "3999",
    "anthropic-ratelimit-requests-reset": "2026-11-27T07:00:30Z",
    "anthropic-ratelimit-tokens-limit": "800000",
    "anthropic-ratelimit-tokens-remaining": "799000",
    "anthropic-ratelimit-tokens-reset": "2026-11-27T07:00:12Z",
}


def message(**given: object) -> dict[str, object]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5-20261001",
        "content": [{"type": "text", "text": "B", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 30,
            "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": 1,
            "output_tokens": 4,
        },
        **given,
    }


def said(body: object, status: int = 200, headers: Mapping[str, str] = HEADERS) -> httpx2.Response:
    return httpx2.Response(status, json=body, headers=dict(headers))


def error(status: int, kind: str, text: str, **details: object) -> httpx2.Response:
    body = {"type": kind, "message": text, **({"details": details} if details else {})}
    return said({"type": "error", "error": body, "request_id": "req_1"}, status)


def with_adapter(
    wire: Wire, do: Callable[[AnthropicAdapter], Awaitable[T]], model: str = NEW, **options: object
) -> T:
    async def run() -> T:
        given = AnthropicOptions.model_validate(options)
        adapter = AnthropicAdapter(model, given, KEY, wire.transport)
        try:
            return await do(adapter)
        finally:
            await adapter.close()

    return asyncio.run(run())


def ask(wire: Wire, model: str = NEW, **options: object) -> Answer:
    return with_adapter(wire, lambda adapter: adapter.ask(QUESTION), model, **options)


def batch(number: int, status: str = "in_progress") -> dict[str, object]:
    host = "https://api.anthropic.com/v1/messages/batches"
    over = status == "ended"
    return {
        "id": f"msgbatch_{number}",
        "type": "message_batch",
        "processing_status": status,
        "created_at": "2026-11-27T07:00:00Z",
        "expires_at": "2026-11-28T07:00:00Z",
        "ended_at": "2026-11-27T07:10:00Z" if over else None,
        "request_counts": dict.fromkeys(
            ("processing", "succeeded", "errored", "canceled", "expired"), 0
        ),
        "results_url": f"{host}/msgbatch_{number}/results" if over else None,
    }
