"""What a provider's headers say: when to ask again, what is permitted, what time it is there."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

from lens_ray.models.api.ports import Limits

#: No header makes anybody wait longer (seconds).
LONGEST_S = 86_400.0

_UNITS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_PART = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|us|µs|ns|d|h|m|s)")


@dataclass(frozen=True, slots=True)
class Names:
    """How a provider names its headers: ``{}`` stands for what is limited.

    Attributes:
        limit: Permitted.
        left: Of it.
        reset: When it is whole again: a duration, or a time.
        tokens: What tokens are called there; the first one that is present counts.
    """

    limit: str
    left: str
    reset: str
    tokens: tuple[str, ...] = ("tokens",)


#: Source: OpenAI, guide "Rate limits", section "Rate limits in headers".
OPENAI = Names("x-ratelimit-limit-{}", "x-ratelimit-remaining-{}", "x-ratelimit-reset-{}")
#: Source: Anthropic, "Rate limits", section "Response headers".
ANTHROPIC = Names(
    "anthropic-ratelimit-{}-limit",
    "anthropic-ratelimit-{}-remaining",
    "anthropic-ratelimit-{}-reset",
    ("tokens", "input-tokens"),
)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait; None where it does not.

    ``retry-after-ms`` comes before ``Retry-After``, which is a number of seconds or a date (RFC
    9110, 10.2.3). A date is compared with the server's own clock, where it sends that.

    Args:
        headers: Of the response; keys in lower case where they are a plain dict.

    Returns:
        From 0 to `LONGEST_S`.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is None:
        when = _http_date(text)
        seconds = None if when is None else when - _now(headers)
    return None if seconds is None else _bounded(seconds)


def limits(headers: Mapping[str, str], names: Names) -> Limits:
    """The limits that a response tells; what it leaves out, or cannot mean, is None.

    Args:
        headers: As in `retry_after`.
        names: Of the provider's headers.

    Returns:
        `Limits`. Its ``reset_s`` is that of what is used up (the later one), else the later one of
        all. Providers count it until the limit is whole again: some of it is permitted sooner.
    """
    requests, requests_left, requests_reset = _one(headers, names, "requests")
    tokens = tokens_left = None
    tokens_reset = None
    for name in names.tokens:
        tokens, tokens_left, tokens_reset = _one(headers, names, name)
        if tokens is not None or tokens_left is not None:
            break
    resets = ((requests_left, requests_reset), (tokens_left, tokens_reset))
    used_up = [reset for left, reset in resets if left == 0 and reset is not None]
    known = used_up or [reset for _, reset in resets if reset is not None]
    return Limits(requests, requests_left, tokens, tokens_left, max(known, default=None))


def server_clock(headers: Mapping[str, str]) -> float | None:
    """The server's time, in seconds since 1970, by its ``Date`` header."""
    return _http_date(headers.get("date"))


def duration(text: str | None) -> float | None:
    """Seconds of ``6m0s``, ``12ms``, ``1h2m3.5s``, ``0`` or ``7.66``; None for anything else."""
    if text is None:
        return None
    number = _number(text)
    if number is not None:
        return _bounded(number)
    text = text.strip()
    parts = list(_PART.finditer(text))
    if not parts or "".join(part.group() for part in parts) != text:
        return None
    return _bounded(sum(float(p.group(1)) * _UNITS.get(p.group(2), 1e-9) for p in parts))


def _one(
    headers: Mapping[str, str], names: Names, what: str
) -> tuple[int | None, int | None, float | None]:
    """Limit, rest and seconds until it is whole again, of one thing that is limited."""
    limit = _number(headers.get(names.limit.format(what)))
    left = _number(headers.get(names.left.format(what)))
    if limit is not None and limit < 1:  # Azure writes -1 and 0 where it does not count
        return None, None, None
    text = headers.get(names.reset.format(what))
    reset = duration(text)
    if reset is None:
        when = _rfc3339(text)
        reset = None if when is None else _bounded(when - _now(headers))
    return (
        None if limit is None else int(limit),
        None if left is None or left < 0 else int(left),
        reset,
    )


def _now(headers: Mapping[str, str]) -> float:
    """The clock that the server's dates are read by."""
    there = server_clock(headers)
    return time.time() if there is None else there


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_S)


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _http_date(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        when = parsedate_to_datetime(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _rfc3339(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return when.timestamp() if when.tzinfo is not None else None
