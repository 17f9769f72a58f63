"""Bodies as OpenAI's SDK describes them, and its client over a transport in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2

from lens_ray.models.api.adapter import EncodedImage, Question
from lens_ray.models.api.keys import Key
from lens_ray.models.api.openai import OpenAIAdapter
from lens_ray.models.api.options import OpenAIOptions
from lens_ray.models.protocol import Generation

SECRET = "sk-proj-canary-0123456789"

Handler = Callable[[Any], Any]


def adapter(handler: Handler, model: str = "gpt-4o-2024-11-20", **options: Any) -> OpenAIAdapter:
    return OpenAIAdapter(
        model,
        OpenAIOptions(**options),
        Key(SECRET, "OPENAI_API_KEY"),
        transport=httpx2.MockTransport(handler),
    )


def question(text: str = "Which?", *images: EncodedImage, **generation: Any) -> Question:
    return Question("q1", text, images, Generation(**generation))


def response(**changed: Any) -> dict[str, Any]:
    """A ``response`` object as the SDK's own types describe it."""
    from openai.types.responses import Response

    body: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-4o-2024-11-20",
        "output": [
            {"id": "rs_1", "type": "reasoning", "summary": []},
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "B", "annotations": []}],
            },
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 30,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 12,
            "output_tokens_details": {"reasoning_tokens": 10},
            "total_tokens": 42,
        },
    } | changed
    Response.model_validate(body)
    return body


def completion(message: dict[str, Any] | None = None, **choice: Any) -> dict[str, Any]:
    """A ``chat.completion`` object as the SDK's own types describe it."""
    from openai.types.chat import ChatCompletion

    body: dict[str, Any] = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-2024-11-20",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "B"} | (message or {}),
            }
            | choice
        ],
        "usage": {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32},
    }
    ChatCompletion.model_validate(body)
    return body


class Recorder:
    """Keeps what was sent and answers the same every time."""

    def __init__(
        self, body: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        self.sent: list[dict[str, Any]] = []
        self.requests: list[Any] = []
        self._made = (status, body, headers or {})

    def __call__(self, request: Any) -> Any:
        self.requests.append(request)
        self.sent.append(json.loads(request.content))
        status, body, headers = self._made
        if isinstance(body, str):
            return httpx2.Response(status, text=body, headers=headers)
        return httpx2.Response(status, json=body, headers=headers)
