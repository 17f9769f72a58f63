"""How an answer is sent: whole, or spoilt on its way by a fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress

from aiohttp import web

from lens_ray.testing.provider.service import Sent

_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>scripted</body></html>"
#: Pieces of a slow answer.
_PIECES = 20


async def send(request: web.Request, sent: Sent, headers: Mapping[str, str]) -> web.StreamResponse:
    """Send it, as its fault has it."""
    kind = "" if sent.fault is None else sent.fault.kind
    said = {**headers, **sent.headers}
    if kind == "disconnect":
        return cut(request)
    if kind == "lost_answer":
        return cut(request)
    if kind == "silence":
        assert sent.fault is not None
        await asyncio.sleep(sent.fault.seconds)
        return cut(request)
    if kind == "html":
        page = _HTML + sent.repeated.encode()
        return web.Response(status=sent.status, body=page, headers=said, content_type="text/html")
    body = json.dumps(sent.body, ensure_ascii=False, separators=(",", ":")).encode()
    if kind == "wrong_schema":
        body = json.dumps({"scripted": ["not", "the", "schema", sent.repeated]}).encode()
    elif kind == "broken_json":
        body = body[: len(body) * 2 // 3]
    elif kind == "truncated":
        return await _partly(request, sent, said, body)
    elif kind == "drip":
        return await _slowly(request, sent, said, body)
    return web.Response(
        status=sent.status, body=body, headers=said, content_type="application/json"
    )


def cut(request: web.Request) -> web.StreamResponse:
    """Close the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


async def _partly(
    request: web.Request, sent: Sent, headers: Mapping[str, str], body: bytes
) -> web.StreamResponse:
    """A body that ends before the length that was promised."""
    response = web.StreamResponse(status=sent.status, headers=headers)
    response.content_type = "application/json"
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _slowly(
    request: web.Request, sent: Sent, headers: Mapping[str, str], body: bytes
) -> web.StreamResponse:
    """A body in small pieces."""
    assert sent.fault is not None
    response = web.StreamResponse(status=sent.status, headers=headers)
    response.content_type = "application/json"
    response.content_length = len(body)
    await response.prepare(request)
    size = max(1, len(body) // _PIECES)
    with suppress(ConnectionResetError):  # the caller waits no longer
        for start in range(0, len(body), size):
            await asyncio.sleep(sent.fault.seconds / _PIECES)
            await response.write(body[start : start + size])
        await response.write_eof()
    return response


async def send_lines(
    request: web.Request, data: bytes, headers: Mapping[str, str], kind: str, cuts: bool
) -> web.StreamResponse:
    """Lines of JSON; where it cuts, the connection closes after half of them."""
    response = web.StreamResponse(status=200, headers=headers)
    response.content_type = kind
    response.content_length = len(data)
    await response.prepare(request)
    await response.write(data[: len(data) // 2] if cuts else data)
    if cuts:
        if request.transport is not None:
            request.transport.close()
        return response
    await response.write_eof()
    return response
