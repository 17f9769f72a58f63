"""What headers say of waiting and limits, checked against their documented forms."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.models.api.headers import (
    ANTHROPIC,
    LONGEST_S,
    OPENAI,
    duration,
    limits,
    retry_after,
    server_clock,
)
from lens_ray.models.api.ports import Limits

NEW_YEAR = 1_767_225_600  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("1h2m3.5s", 3723.5),
        ("7.66s", 7.66),
        ("1d", 86_400.0),
        ("3d", LONGEST_S),
        ("0", 0.0),
        ("59", 59.0),
        ("-5", 0.0),
        ("250µs", 0.00025),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [None, "", "soon", "1s later", "6m 0s", "inf", "nan", "s"])
def test_what_is_no_duration_is_not_said(text: str | None) -> None:
    assert duration(text) is None


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations_as_go_prints_them(hours: int, minutes: int, seconds: int, ms: int) -> None:
    text = f"{hours}h{minutes}m{seconds}.{ms:03d}s"
    assert duration(text) == pytest.approx(hours * 3600 + minutes * 60 + seconds + ms / 1000)


def test_milliseconds_come_before_seconds() -> None:
    assert retry_after({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert retry_after({"retry-after-ms": "soon", "retry-after": "9"}) == 9.0
    assert retry_after({"retry-after": "0.25"}) == 0.25
    assert retry_after({"retry-after": "-3"}) == 0.0
    assert retry_after({"retry-after": "1e12"}) == LONGEST_S


def test_a_date_is_read_by_the_servers_clock() -> None:
    headers = {"retry-after": formatdate(NEW_YEAR + 30, usegmt=True)}
    assert retry_after(headers | {"date": formatdate(NEW_YEAR, usegmt=True)}) == 30.0
    assert retry_after(headers) == 0.0  # by this machine's clock it has passed
    soon = {"retry-after": formatdate(time.time() + 100, usegmt=True)}
    assert retry_after(soon) == pytest.approx(99.5, abs=2)


@pytest.mark.parametrize("text", ["", "soon", "inf", "nan", "Thu, 99 Xxx 2026 00:00:00 GMT"])
def test_a_broken_retry_after_is_not_said(text: str) -> None:
    assert retry_after({"retry-after": text}) is None
    assert retry_after({}) is None


def test_openai_names() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert limits(headers, OPENAI) == Limits(60, 59, 150_000, 149_984, 360.0)
    used_up = headers | {"x-ratelimit-remaining-requests": "0"}
    assert limits(used_up, OPENAI) == Limits(60, 0, 150_000, 149_984, 1.0)
    assert limits({}, OPENAI) == Limits()


def test_what_azure_does_not_count_is_not_said() -> None:
    headers = {
        "x-ratelimit-limit-tokens": "-1",
        "x-ratelimit-remaining-tokens": "-1",
        "x-ratelimit-reset-tokens": "0",
        "x-ratelimit-remaining-requests": "7",
    }
    assert limits(headers, OPENAI) == Limits(requests_left=7)


def test_anthropic_names_with_times() -> None:
    headers = {
        "date": formatdate(NEW_YEAR, usegmt=True),
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:34Z",
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-input-tokens-remaining": "18000",
        "anthropic-ratelimit-input-tokens-reset": "2026-01-01T00:01:00+00:00",
    }
    assert limits(headers, ANTHROPIC) == Limits(50, 0, 40_000, 18_000, 34.0)
    both = headers | {
        "anthropic-ratelimit-tokens-limit": "30000",
        "anthropic-ratelimit-tokens-remaining": "0",
        "anthropic-ratelimit-tokens-reset": "2026-01-01T00:00:50Z",
    }
    assert limits(both, ANTHROPIC) == Limits(50, 0, 30_000, 0, 50.0)


def test_server_clock() -> None:
    assert server_clock({"date": "Thu, 01 Jan 2026 00:00:00 GMT"}) == NEW_YEAR
    assert server_clock({"date": "today"}) is None
    assert server_clock({}) is None


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text()))
def test_no_header_breaks_anything(headers: dict[str, str]) -> None:
    seconds = retry_after(headers)
    assert seconds is None or 0 <= seconds <= LONGEST_S


@given(st.text(), st.text(), st.text())
def test_no_limit_header_breaks_anything(limit: str, left: str, reset: str) -> None:
    for names in (OPENAI, ANTHROPIC):
        told = limits(
            {
                names.limit.format("requests"): limit,
                names.left.format("requests"): left,
                names.reset.format("requests"): reset,
            },
            names,
        )
        assert told.requests is None or told.requests >= 1
        assert told.reset_s is None or 0 <= told.reset_s <= LONGEST_S
