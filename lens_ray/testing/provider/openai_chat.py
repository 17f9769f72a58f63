"""OpenAI's Chat Completions, which compatible servers speak: ``POST /v1/chat/completions``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from lens_ray.testing.provider.openai_errors import openai_failure, openai_headers, openai_tokens
from lens_ray.testing.provider.parameters import CHAT, check_names
from lens_ray.testing.provider.wire import (
    Asked,
    Failure,
    Json,
    Picture,
    Reply,
    Standings,
    Trouble,
    data_url,
    invalid,
    number_of,
    object_of,
    objects_of,
    text_of,
    texts_of,
)

_KNOWN = frozenset({"model", "messages", "max_tokens", "max_completion_tokens", "stop", "logprobs"})
_MAX_TOKENS = 4096
_FINISH = {"length": "length", "content_filter": "content_filter"}


class Chat:
    """The dialect."""

    provider: ClassVar[str] = "openai"
    blocks: ClassVar[bool] = False

    def read(self, body: Json, model: str | None) -> Asked:
        """A body; raises `Trouble`."""
        check_names(body, CHAT)
        system: list[str] = []
        texts: list[str] = []
        images: list[Picture] = []
        for message in objects_of(body.get("messages"), "messages"):
            into = system if message.get("role") in ("system", "developer") else texts
            _read_content(message.get("content"), into, images)
        if body.get("stream"):
            raise invalid("this server does not stream")
        limit = number_of(body, "max_tokens", _MAX_TOKENS)
        return Asked(
            model=text_of(body.get("model", model), "model"),
            text="\n".join(texts),
            system="\n".join(system),
            images=tuple(images),
            max_tokens=number_of(body, "max_completion_tokens", limit),
            stop=texts_of(body.get("stop"), "stop"),
            logprobs=body.get("logprobs") is True,
            parameters=frozenset(body) - _KNOWN,
        )

    def tokens(self, asked: Asked) -> int:
        """Tokens of the prompt."""
        return openai_tokens(asked)

    def failure(self, trouble: Trouble) -> Failure:
        """An error."""
        return openai_failure(trouble)

    def headers(self, standings: Standings, now: float) -> Mapping[str, str]:
        """What is said of limits."""
        return openai_headers(standings)

    def write(self, asked: Asked, reply: Reply) -> Json:
        """The body of an answer."""
        refused = reply.finish == "refusal"
        message: Json = {
            "role": "assistant",
            "content": None if refused else reply.text,
            "refusal": reply.text if refused else None,
            "annotations": [],
        }
        tokens = [
            {"token": word, "bytes": list(word.encode()), "logprob": -0.1, "top_logprobs": []}
            for word in ("" if refused else reply.text).split()
        ]
        return {
            "id": f"chatcmpl-{reply.number:024x}",
            "object": "chat.completion",
            "created": int(reply.created),
            "model": reply.served,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": {"content": tokens, "refusal": None} if asked.logprobs else None,
                    "finish_reason": _FINISH.get(reply.finish, "stop"),
                }
            ],
            "usage": {
                "prompt_tokens": reply.tokens_in,
                "completion_tokens": reply.tokens_out,
                "total_tokens": reply.tokens_in + reply.tokens_out,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": reply.thinking,
                    "audio_tokens": 0,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            },
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
        }


def _read_content(content: object, texts: list[str], images: list[Picture]) -> None:
    if isinstance(content, str):
        texts.append(content)
        return
    for part in objects_of(content, "messages.content"):
        if part.get("type") == "text":
            texts.append(text_of(part.get("text"), "messages.content.text"))
        elif part.get("type") == "image_url":
            image = object_of(part.get("image_url"), "messages.content.image_url")
            url = text_of(image.get("url"), "messages.content.image_url.url")
            images.append(data_url(url, str(image.get("detail", "auto"))))
        else:
            raise invalid(f"Invalid value: {part.get('type')!r} in 'messages.content.type'")
