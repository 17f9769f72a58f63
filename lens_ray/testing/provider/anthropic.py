"""Anthropic's Messages: ``POST /v1/messages``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

from lens_ray.testing.provider.parameters import MESSAGES, SAMPLING, check_names
from lens_ray.testing.provider.wire import (
    Asked,
    Failure,
    Json,
    Picture,
    Reply,
    Standings,
    Trouble,
    TroubleKind,
    invalid,
    number_of,
    object_of,
    objects_of,
    picture,
    text_of,
    text_tokens,
    texts_of,
)

_KNOWN = frozenset({"model", "messages", "system", "max_tokens", "stop_sequences"})
#: Kind to HTTP status and ``error.type``.
_ERRORS: Mapping[TroubleKind, tuple[int, str]] = {
    "rate_limit": (429, "rate_limit_error"),
    "overloaded": (529, "overloaded_error"),
    "server_error": (500, "api_error"),
    "bad_key": (401, "authentication_error"),
    "no_credit": (402, "billing_error"),
    "unknown_model": (404, "not_found_error"),
    "context": (400, "invalid_request_error"),
    "image": (400, "invalid_request_error"),
    "too_large": (413, "request_too_large"),
    "invalid": (400, "invalid_request_error"),
    "moderation": (400, "invalid_request_error"),
}
#: Of the interface; the newest takes no sampling parameters.
_NEWEST = "2026-10-21"
_VERSIONS = ("2023-01-01", "2023-06-01", _NEWEST)
_MODEL = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_STOP = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "refusal": "refusal",
    "content_filter": "refusal",
}


class Messages:
    """The dialect."""

    provider: ClassVar[str] = "anthropic"
    blocks: ClassVar[bool] = False

    def __init__(self, version: str) -> None:
        """Take a version of the interface, as in the header ``anthropic-version``."""
        self._version = version

    def read(self, body: Json, model: str | None) -> Asked:
        """A body; raises `Trouble`."""
        if self._version not in _VERSIONS:
            raise invalid("anthropic-version: a known version is required")
        check_names(body, MESSAGES if self._version == _NEWEST else MESSAGES | SAMPLING)
        texts: list[str] = []
        images: list[Picture] = []
        for message in objects_of(body.get("messages"), "messages"):
            if message.get("role") not in ("user", "assistant"):
                raise invalid("messages: Unexpected role; use the top-level `system` parameter")
            _read_content(message.get("content"), texts, images)
        if "max_tokens" not in body:
            raise invalid("max_tokens: Field required")
        if body.get("stream"):
            raise invalid("this server does not stream")
        system: list[str] = []
        if body.get("system"):
            _read_content(body["system"], system, [])
        return Asked(
            model=text_of(body.get("model", model), "model"),
            text="\n".join(texts),
            system="\n".join(system),
            images=tuple(images),
            max_tokens=number_of(body, "max_tokens", 1),
            stop=texts_of(body.get("stop_sequences"), "stop_sequences"),
            logprobs=False,
            parameters=frozenset(body) - _KNOWN,
        )

    def tokens(self, asked: Asked) -> int:
        """Tokens of the prompt: an image has one for each 28 x 28 pixels."""
        images = sum(_image_tokens(image, asked.model) for image in asked.images)
        return 8 + text_tokens(asked.system) + text_tokens(asked.text) + images

    def failure(self, trouble: Trouble) -> Failure:
        """An error."""
        status, type_ = _ERRORS[trouble.kind]
        headers: dict[str, str] = {}
        if trouble.retry_after_s is not None:
            headers["retry-after"] = str(math.ceil(trouble.retry_after_s))
        line = f"{trouble.param}: Extra inputs are not permitted" if trouble.param else trouble.line
        body: Json = {"type": "error", "error": {"type": type_, "message": line}}
        return Failure(trouble.status or status, body, headers)

    def headers(self, standings: Standings, now: float) -> Mapping[str, str]:
        """``anthropic-ratelimit-*``, times as in RFC 3339."""
        said: dict[str, str] = {}
        for name in ("requests", "tokens"):
            if (standing := standings.get(name)) is not None:
                reset = datetime.fromtimestamp(math.ceil(now + standing.reset_s), UTC)
                said[f"anthropic-ratelimit-{name}-limit"] = str(standing.limit)
                said[f"anthropic-ratelimit-{name}-remaining"] = str(standing.left)
                said[f"anthropic-ratelimit-{name}-reset"] = reset.strftime("%Y-%m-%dT%H:%M:%SZ")
        return said

    def write(self, asked: Asked, reply: Reply) -> Json:
        """The body of an answer."""
        refused = reply.finish in ("refusal", "content_filter")
        content: list[Json] = []
        if reply.thinking:
            content.append({"type": "thinking", "thinking": "", "signature": "c2NyaXB0ZWQ="})
        if reply.text and not refused:
            content.append({"type": "text", "text": reply.text, "citations": None})
        return {
            "id": f"msg_{reply.number:024x}",
            "type": "message",
            "role": "assistant",
            "model": reply.served,
            "content": content,
            "stop_reason": _STOP[reply.finish],
            "stop_sequence": asked.stop[0] if reply.finish == "stop_sequence" else None,
            "stop_details": (
                {"type": "refusal", "category": "bio", "explanation": None} if refused else None
            ),
            "usage": {
                "input_tokens": reply.tokens_in,
                "output_tokens": reply.tokens_out,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens_details": {"thinking_tokens": reply.thinking},
                "service_tier": "batch" if reply.batch else "standard",
            },
        }


def _read_content(content: object, texts: list[str], images: list[Picture]) -> None:
    if isinstance(content, str):
        texts.append(content)
        return
    for part in objects_of(content, "messages.content"):
        if part.get("type") == "text":
            texts.append(text_of(part.get("text"), "messages.content.text"))
        elif part.get("type") == "image":
            source = object_of(part.get("source"), "messages.content.source")
            if source.get("type") != "base64" or "media_type" not in source:
                raise invalid("messages.content.source: only base64 with media_type is known here")
            images.append(picture(text_of(source.get("data"), "messages.content.source.data")))
        else:
            raise invalid(f"messages.content: Input tag {part.get('type')!r} found")


def _image_tokens(image: Picture, model: str) -> int:
    """Patches of 28 pixels, once it fits into 1568 pixels and tokens.

    Models after 4.6 take 2576 pixels and 4784 tokens. Source: platform.claude.com, "Images and
    vision", read on 2026-11-27.
    """
    found = _MODEL.match(model)
    newer = found is None or (int(found[1]), int(found[2] or 0)) > (4, 6)
    side, most = (2576, 4784) if newer else (1568, 1568)
    shrink = min(1.0, side / max(image.width, image.height))
    across, down = (math.ceil(length * shrink / 28) for length in (image.width, image.height))
    return min(most, across * down)
