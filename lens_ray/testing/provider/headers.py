"""Headers that come with every request and go with every answer."""

from __future__ import annotations

import time
from email.utils import formatdate

from aiohttp import web

from lens_ray.testing.provider.anthropic import Messages
from lens_ray.testing.provider.service import Service


def key_of(request: web.Request) -> str:
    """The key that a request carries, in whichever header of the four providers."""
    headers = request.headers
    bearer = headers.get("Authorization", "")
    if bearer.startswith("Bearer "):
        return bearer[len("Bearer ") :].strip()
    for name in ("x-api-key", "x-goog-api-key", "api-key"):
        if name in headers:
            return headers[name].strip()
    return request.query.get("key", "")


def messages_of(request: web.Request) -> Messages:
    """Anthropic's dialect in the version that a request names."""
    return Messages(request.headers.get("anthropic-version", ""))


def standard_headers(service: Service, provider: str) -> dict[str, str]:
    """Headers that every answer has: the time, and the request's id under the provider's name."""
    skew = service.script.clock_skew_s
    name = "request-id" if provider == "anthropic" else "x-request-id"
    return {
        "Date": formatdate(time.time() + skew, usegmt=True),
        name: f"req_{service.counts.calls:024x}",
    }
