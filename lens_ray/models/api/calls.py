"""What adapters share: `http_client`, and what they say in the same words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING

from lens_ray.models.api.adapter import Answer
from lens_ray.models.api.options import ApiOptions
from lens_ray.models.api.redaction import redacted

if TYPE_CHECKING:
    import httpx2

_LONGEST = 300


def http_client(
    options: ApiOptions, transport: httpx2.AsyncBaseTransport | None = None
) -> httpx2.AsyncClient:
    """Connections for as many calls as may be in flight; all three SDKs take such a client.

    The SDKs' own ones hold 100 connections open, or hide a second try of a call that may already
    have been paid for (google-genai 3.6.1 over aiohttp, where the server hangs up).

    Args:
        options: `ApiOptions.concurrency` and `ApiOptions.timeout_s` count.
        transport: In the place of connections.
    """
    import httpx2

    from lens_ray.models.api.pools import pools

    most = options.concurrency + 8  # beside the calls, those that poll and list
    return httpx2.AsyncClient(
        timeout=options.timeout_s,
        limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
        follow_redirects=False,  # the key would go along, in a header that httpx2 does not know
        transport=transport if transport is not None else pools(most),
    )


def without_version(base_url: str) -> str:
    """A server's URL as these SDKs want it: they put ``/v1`` behind it themselves."""
    return re.sub(r"/v1(beta)?/?$", "", base_url)


def sendable(text: str) -> str:
    """A text as UTF-8 can carry it: a half of a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def count_of(value: object) -> int | None:
    """A number of tokens as a server says it; None where it cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def text_tokens(*texts: str) -> int:
    """A third of the bytes: English has about 4 a token, 3 with Claude's tokenizer since 4.7."""
    return ceil(sum(len(text.encode("utf-8", "replace")) for text in texts) / 3)


def one_line(text: str) -> str:
    """What a provider said, in one line of at most 300 characters, without keys."""
    line = " ".join(sendable(redacted(text)).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def check_facts(answer: Answer, server_time: float | None) -> Mapping[str, str]:
    """What `Adapter.check` tells of the answer to its call.

    Args:
        answer: With limits, where the headers tell them.
        server_time: Seconds since 1970 by the ``Date`` header.

    Returns:
        ``served``, and what is known of ``requests_per_minute``, ``tokens_per_minute``,
        ``server_time``, ``tokens_in`` and ``tokens_out`` of the call itself.
    """
    known = {
        "requests_per_minute": answer.limits.requests,
        "tokens_per_minute": answer.limits.tokens,
        "server_time": server_time,
        "tokens_in": answer.tokens_in,
        "tokens_out": answer.tokens_out,
    }
    said = {name: f"{value:.0f}" for name, value in known.items() if value is not None}
    return {"served": answer.served, **said}
