"""Gemini's ``POST /v1beta/models/MODEL:generateContent``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import ClassVar

from lens_ray.testing.provider.parameters import GENERATE_CONTENT, GENERATION_CONFIG, check_names
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

_KNOWN = frozenset({"contents", "systemInstruction", "generationConfig"})
_MAX_TOKENS = 8192
#: Kind to HTTP status and ``error.status``.
_ERRORS: Mapping[TroubleKind, tuple[int, str]] = {
    "rate_limit": (429, "RESOURCE_EXHAUSTED"),
    "overloaded": (503, "UNAVAILABLE"),
    "server_error": (500, "INTERNAL"),
    "bad_key": (400, "INVALID_ARGUMENT"),
    "no_credit": (403, "PERMISSION_DENIED"),
    "unknown_model": (404, "NOT_FOUND"),
    "context": (400, "INVALID_ARGUMENT"),
    "image": (400, "INVALID_ARGUMENT"),
    "too_large": (413, "INVALID_ARGUMENT"),
    "invalid": (400, "INVALID_ARGUMENT"),
    "moderation": (400, "INVALID_ARGUMENT"),
}
_REASONS: Mapping[TroubleKind, str] = {
    "bad_key": "API_KEY_INVALID",
    "no_credit": "BILLING_DISABLED",
}
#: What its own servers say, where nothing but the message tells.
_SAYS: Mapping[TroubleKind, str] = {
    "context": "The input token count exceeds the maximum number of tokens allowed (scripted).",
}
_FINISH = {"length": "MAX_TOKENS", "content_filter": "SAFETY", "refusal": "PROHIBITED_CONTENT"}
_MODEL = re.compile(r"gemini-(\d+)")
_BY_RESOLUTION = {"MEDIA_RESOLUTION_LOW": 280, "MEDIA_RESOLUTION_MEDIUM": 560}
_TYPE = "type.googleapis.com/google.rpc."


class GenerateContent:
    """The dialect."""

    provider: ClassVar[str] = "gemini"
    blocks: ClassVar[bool] = True

    def read(self, body: Json, model: str | None) -> Asked:
        """A body; raises `Trouble`."""
        check_names(body, GENERATE_CONTENT)
        config = object_of(body.get("generationConfig") or {}, "generationConfig")
        check_names(config, GENERATION_CONFIG)
        detail = str(config.get("mediaResolution", ""))
        texts: list[str] = []
        images: list[Picture] = []
        for content in objects_of(body.get("contents"), "contents"):
            _read_parts(content.get("parts"), texts, images, detail)
        system: list[str] = []
        if body.get("systemInstruction"):
            given = object_of(body["systemInstruction"], "systemInstruction")
            _read_parts(given.get("parts"), system, [], detail)
        named = frozenset(config) - {"maxOutputTokens", "stopSequences"}
        return Asked(
            model=text_of(model, "model"),
            text="\n".join(texts),
            system="\n".join(system),
            images=tuple(images),
            max_tokens=number_of(config, "maxOutputTokens", _MAX_TOKENS),
            stop=texts_of(config.get("stopSequences"), "stopSequences"),
            logprobs=config.get("responseLogprobs") is True,
            parameters=(frozenset(body) - _KNOWN) | named,
        )

    def tokens(self, asked: Asked) -> int:
        """Tokens of the prompt."""
        images = sum(_image_tokens(image, asked.model) for image in asked.images)
        return 1 + text_tokens(asked.system) + text_tokens(asked.text) + images

    def failure(self, trouble: Trouble) -> Failure:
        """An error; when to come back stands in its details, as ``google.rpc.RetryInfo``."""
        status, name = _ERRORS[trouble.kind]
        details: list[Json] = []
        if trouble.kind in _REASONS:
            reason = _REASONS[trouble.kind]
            details.append(
                {
                    "@type": _TYPE + "ErrorInfo",
                    "reason": reason,
                    "domain": "googleapis.com",
                    "metadata": {"service": "generativelanguage.googleapis.com"},
                }
            )
        if trouble.kind == "rate_limit":
            details.append({"@type": _TYPE + "QuotaFailure", "violations": [_VIOLATION]})
        if trouble.retry_after_s is not None:
            details.append(
                {"@type": _TYPE + "RetryInfo", "retryDelay": f"{trouble.retry_after_s:.3f}s"}
            )
        code = trouble.status or status
        line = _SAYS.get(trouble.kind, trouble.line)
        if trouble.param:
            line = f"Unknown name \"{trouble.param}\" at 'generation_config': Cannot find field."
        error: dict[str, object] = {"code": code, "message": line, "status": name}
        if details:
            error["details"] = details
        return Failure(code, {"error": error}, {})

    def headers(self, standings: Standings, now: float) -> Mapping[str, str]:
        """Gemini says nothing of limits in headers."""
        return {}

    def write(self, asked: Asked, reply: Reply) -> Json:
        """The body of an answer; where the prompt is blocked there are no candidates."""
        usage: dict[str, object] = {
            "promptTokenCount": reply.tokens_in,
            "totalTokenCount": reply.tokens_in + reply.tokens_out,
            "promptTokensDetails": _details(asked, reply),
        }
        written: dict[str, object] = {
            "usageMetadata": usage,
            "modelVersion": reply.served,
            "responseId": f"{reply.number:022x}",
        }
        if reply.finish == "blocked":
            usage["totalTokenCount"] = reply.tokens_in
            return {**written, "promptFeedback": {"blockReason": "SAFETY"}}
        usage["candidatesTokenCount"] = reply.tokens_out - reply.thinking
        if reply.thinking:
            usage["thoughtsTokenCount"] = reply.thinking
        content: dict[str, object] = {"role": "model"}
        if reply.text and reply.finish in ("stop", "stop_sequence", "length"):
            content["parts"] = [{"text": reply.text}]
        candidate: dict[str, object] = {
            "content": content,
            "finishReason": _FINISH.get(reply.finish, "STOP"),
            "index": 0,
        }
        if asked.logprobs:
            candidate["avgLogprobs"] = -0.1
        return {"candidates": [candidate], **written}


_VIOLATION: Json = {
    "quotaMetric": "generativelanguage.googleapis.com/generate_content_paid_tier_requests",
    "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
}


def _read_parts(parts: object, texts: list[str], images: list[Picture], detail: str) -> None:
    for part in objects_of(parts, "contents.parts"):
        inline = part.get("inlineData")
        if inline is not None:
            given = object_of(inline, "contents.parts.inlineData")
            encoded = text_of(given.get("data"), "contents.parts.inlineData.data")
            # The SDK writes bytes in the URL-safe alphabet.
            images.append(picture(encoded.replace("-", "+").replace("_", "/"), detail))
        elif "text" in part:
            texts.append(text_of(part["text"], "contents.parts.text"))
        else:
            raise invalid("contents.parts: only text and inlineData are known here")


def _image_tokens(image: Picture, model: str) -> int:
    """From Gemini 3 on a number by media resolution; before, 258 for each tile.

    Source: ai.google.dev, "Media resolution" and "Image understanding", read on 2026-11-27.
    """
    found = _MODEL.search(model)
    if found is not None and int(found[1]) >= 3:
        return _BY_RESOLUTION.get(image.detail, 1120)
    if image.detail == "MEDIA_RESOLUTION_LOW":
        return 64
    if image.detail == "MEDIA_RESOLUTION_MEDIUM" or max(image.width, image.height) <= 384:
        return 258
    shrink = min(1.0, 3072 / max(image.width, image.height))
    width, height = image.width * shrink, image.height * shrink
    unit = max(256, min(768, int(min(width, height) / 1.5)))
    return 258 * math.ceil(width / unit) * math.ceil(height / unit)


def _details(asked: Asked, reply: Reply) -> list[Json]:
    images = sum(_image_tokens(image, asked.model) for image in asked.images)
    details: list[Json] = [{"modality": "TEXT", "tokenCount": reply.tokens_in - images}]
    if images:
        details.append({"modality": "IMAGE", "tokenCount": images})
    return details
