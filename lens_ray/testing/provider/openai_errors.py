"""What OpenAI's two dialects share: errors, headers of limits, tokens of images."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lens_ray.testing.provider.openai_images import image_tokens
from lens_ray.testing.provider.wire import (
    Asked,
    Failure,
    Standings,
    Trouble,
    TroubleKind,
    text_tokens,
)

#: Kind to HTTP status, ``error.type`` and ``error.code``.
_ERRORS: Mapping[TroubleKind, tuple[int, str, str | None]] = {
    "rate_limit": (429, "requests", "rate_limit_exceeded"),
    "overloaded": (503, "server_error", "overloaded"),
    "server_error": (500, "server_error", None),
    "bad_key": (401, "invalid_request_error", "invalid_api_key"),
    "no_credit": (429, "insufficient_quota", "insufficient_quota"),
    "unknown_model": (404, "invalid_request_error", "model_not_found"),
    "context": (400, "invalid_request_error", "context_length_exceeded"),
    "image": (400, "invalid_request_error", "image_too_large"),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "invalid": (400, "invalid_request_error", "invalid_value"),
    "moderation": (400, "invalid_request_error", "content_policy_violation"),
}


def openai_failure(trouble: Trouble) -> Failure:
    """An error as OpenAI writes it."""
    status, type_, code = _ERRORS[trouble.kind]
    headers: dict[str, str] = {}
    if trouble.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(trouble.retry_after_s))
        headers["retry-after-ms"] = str(math.ceil(trouble.retry_after_s * 1000))
    error = {
        "message": trouble.line,
        "type": type_,
        "param": trouble.param or None,
        "code": "unsupported_parameter" if trouble.param else code,
    }
    return Failure(trouble.status or status, {"error": error}, headers)


def openai_headers(standings: Standings) -> Mapping[str, str]:
    """``x-ratelimit-*``, durations as in ``6m0s``."""
    said: dict[str, str] = {}
    for name in ("requests", "tokens"):
        if (standing := standings.get(name)) is not None:
            said[f"x-ratelimit-limit-{name}"] = str(standing.limit)
            said[f"x-ratelimit-remaining-{name}"] = str(standing.left)
            said[f"x-ratelimit-reset-{name}"] = duration(standing.reset_s)
    return said


def duration(seconds: float) -> str:
    """As in ``350ms``, ``12s`` and ``6m0s``."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def openai_tokens(asked: Asked) -> int:
    """Text, a few tokens of framing, and the images."""
    framing = 7 + (4 if asked.system else 0)
    images = sum(image_tokens(asked.model, image) for image in asked.images)
    return framing + text_tokens(asked.system) + text_tokens(asked.text) + images
