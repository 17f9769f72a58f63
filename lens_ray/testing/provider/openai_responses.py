"""OpenAI's Responses: ``POST /v1/responses``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from lens_ray.testing.provider.openai_errors import openai_failure, openai_headers, openai_tokens
from lens_ray.testing.provider.parameters import RESPONSES, check_names
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
    objects_of,
    text_of,
)

_KNOWN = frozenset({"model", "input", "instructions", "max_output_tokens", "include"})
_LOGPROBS = "message.output_text.logprobs"
#: Where a body gives no limit.
_MAX_TOKENS = 4096


class Responses:
    """The dialect."""

    provider: ClassVar[str] = "openai"
    blocks: ClassVar[bool] = False

    def read(self, body: Json, model: str | None) -> Asked:
        """A body; raises `Trouble`."""
        check_names(body, RESPONSES)
        system = [text_of(body["instructions"], "instructions")] if body.get("instructions") else []
        texts: list[str] = []
        images: list[Picture] = []
        given = body.get("input")
        for item in [] if isinstance(given, str) else objects_of(given, "input"):
            into = system if item.get("role") in ("system", "developer") else texts
            _read_content(item.get("content"), into, images)
        if isinstance(given, str):
            texts.append(given)
        if body.get("stream"):
            raise invalid("this server does not stream")
        include = body.get("include")
        return Asked(
            model=text_of(body.get("model", model), "model"),
            text="\n".join(texts),
            system="\n".join(system),
            images=tuple(images),
            max_tokens=number_of(body, "max_output_tokens", _MAX_TOKENS),
            stop=(),
            logprobs=isinstance(include, list) and _LOGPROBS in include,
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
        reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(
            reply.finish
        )
        status = "incomplete" if reason else "completed"
        output: list[Json] = []
        if reply.thinking:
            output.append({"id": f"rs_{reply.number:024x}", "type": "reasoning", "summary": []})
        if reply.text or not reason:
            output.append(
                {
                    "id": f"msg_{reply.number:024x}",
                    "type": "message",
                    "role": "assistant",
                    "status": status,
                    "content": [_content(asked, reply)],
                }
            )
        return {
            "id": f"resp_{reply.number:032x}",
            "object": "response",
            "created_at": int(reply.created),
            "completed_at": int(reply.created) if not reason else None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": asked.system or None,
            "max_output_tokens": asked.max_tokens,
            "model": reply.served,
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": _usage(reply),
            "user": None,
            "metadata": {},
        }


def _read_content(content: object, texts: list[str], images: list[Picture]) -> None:
    if isinstance(content, str):
        texts.append(content)
        return
    for part in objects_of(content, "input.content"):
        if part.get("type") == "input_text":
            texts.append(text_of(part.get("text"), "input.content.text"))
        elif part.get("type") == "input_image":
            url = text_of(part.get("image_url"), "input.content.image_url")
            images.append(data_url(url, str(part.get("detail", "auto"))))
        else:
            raise invalid(f"Invalid value: {part.get('type')!r} in 'input.content.type'")


def _usage(reply: Reply) -> Json:
    return {
        "input_tokens": reply.tokens_in,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": reply.tokens_out,
        "output_tokens_details": {"reasoning_tokens": reply.thinking},
        "total_tokens": reply.tokens_in + reply.tokens_out,
    }


def _content(asked: Asked, reply: Reply) -> Json:
    if reply.finish == "refusal":
        return {"type": "refusal", "refusal": reply.text}
    logprobs = [
        {"token": word, "bytes": list(word.encode()), "logprob": -0.1, "top_logprobs": []}
        for word in (reply.text.split() if asked.logprobs else ())
    ]
    return {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": logprobs}
