"""Anthropic's Messages, over the SDK and a connection that stands in."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable

import httpx2
import pytest

from lens_ray.errors import UserError
from lens_ray.models.api.adapter import Answer, ApiFailure, EncodedImage, Kind, Question
from lens_ray.models.api.anthropic import SAMPLING_VERSION, AnthropicAdapter
from lens_ray.models.api.anthropic_models import image_tokens, known_absent
from lens_ray.models.api.options import AnthropicOptions
from lens_ray.models.api.ports import Limits
from lens_ray.models.protocol import Generation
from tests.models.api.anthropic_bodies import (
    IMAGE,
    NEW,
    OLD,
    QUESTION,
    ask,
    error,
    message,
    said,
    with_adapter,
)
from tests.models.api.wire import SECRET, Wire, failure_of


def fails(wire: Wire, timeout_s: float = 120.0) -> ApiFailure:
    return failure_of(wire, lambda: ask(wire, timeout_s=timeout_s))


def test_an_answer_with_its_tokens_served_id_and_limits() -> None:
    answer = ask(Wire([said(message())]))
    assert answer == Answer(
        text="B",
        finish_reason="stop",
        served="claude-opus-5-5-20261001",
        tokens_in=33,
        tokens_out=4,
        limits=Limits(4000, 3999, 800_000, 799_000, 30.0),
    )


def test_a_question_as_it_is_sent_to_a_new_model() -> None:
    wire = Wire([said(message())])
    ask(wire, system_prompt="Be brief.")
    (request,) = wire.asked
    assert str(request.url) == "https://api.anthropic.com/v1/messages"
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert wire.bodies == [
        {
            "model": NEW,
            "max_tokens": 5,
            "system": "Be brief.",
            "stop_sequences": ["\n"],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image",
                            "source": {
                                "type": "base64",
                                "media_type": "image/png",
                                "data": base64.b64encode(IMAGE.data).decode(),
                            },
                        },
                        {"type": "text", "text": "Which? (A) or (B)"},
                    ],
                }
            ],
        }
    ]


def test_an_old_model_gets_its_temperature_by_the_old_version_of_the_api() -> None:
    wire = Wire([said(message())])
    ask(wire, OLD)
    assert wire.asked[0].headers["anthropic-version"] == SAMPLING_VERSION
    assert wire.bodies[0]["temperature"] == 0.0
    assert "top_p" not in wire.bodies[0]


def test_absent_is_what_the_user_says_before_what_is_known() -> None:
    wire = Wire([said(message())])
    ask(wire, "my-own-server", absent=["seed"], base_url="http://127.0.0.1:1/x")
    assert wire.bodies[0]["temperature"] == 0.0
    assert str(wire.asked[0].url) == "http://127.0.0.1:1/x/v1/messages"
    wire = Wire([said(message())])
    ask(wire, OLD, absent=["temperature", "top_p", "seed", "stop"])
    assert not {"temperature", "stop_sequences"} & set(wire.bodies[0])
    assert wire.asked[0].headers["anthropic-version"] == "2026-10-21"


@pytest.mark.parametrize(
    ("model", "absent"),
    [
        ("claude-3-7-sonnet-20250219", {"seed"}),
        ("claude-opus-4-20250514", {"seed", "top_p"}),
        ("claude-sonnet-4-6", {"seed", "top_p"}),
        ("claude-haiku-4-5-20251001", {"seed", "top_p"}),
        ("claude-opus-4-7", {"seed", "top_p", "temperature"}),
        ("claude-sonnet-5", {"seed", "top_p", "temperature"}),
        ("claude-mythos-preview", {"seed", "top_p", "temperature"}),
        ("anything", {"seed", "top_p", "temperature"}),
    ],
)
def test_what_models_do_not_take(model: str, absent: set[str]) -> None:
    assert known_absent(model) == absent


def test_an_old_model_that_thinks_takes_no_temperature() -> None:
    assert "temperature" in known_absent(OLD, AnthropicOptions(reasoning_tokens=2048))
    assert "temperature" not in known_absent(OLD, AnthropicOptions(reasoning_effort="none"))


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        (NEW, {}, {}),
        (NEW, {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        (
            NEW,
            {"reasoning_effort": "low", "reasoning_tokens": 100},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        ),
        (NEW, {"reasoning_tokens": 100}, {"thinking": {"type": "adaptive"}}),
        (
            OLD,
            {"reasoning_tokens": 1024},
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        ),
    ],
)
def test_how_a_model_is_told_to_think(
    model: str, options: dict[str, object], expected: dict[str, object]
) -> None:
    wire = Wire([said(message())])
    ask(wire, model, **options)
    body = wire.bodies[0]
    assert {k: v for k, v in body.items() if k in ("thinking", "output_config")} == expected
    assert body["max_tokens"] == 5 + int(str(options.get("reasoning_tokens", 0)))


@pytest.mark.parametrize(
    ("model", "options"),
    [(NEW, {"reasoning_effort": "minimal"}), (OLD, {"reasoning_tokens": 1000})],
)
def test_thinking_that_the_model_does_not_know_is_an_error(
    model: str, options: dict[str, object]
) -> None:
    with pytest.raises(UserError, match="reasoning_"):
        ask(Wire([said(message())]), model, **options)


def test_thinking_is_no_part_of_the_answer() -> None:
    content = [
        {"type": "thinking", "thinking": "A? No.", "signature": "x"},
        {"type": "text", "text": "B"},
        {"type": "a_block_of_the_future", "text": "?"},
        {"type": "text", "text": "."},
    ]
    assert ask(Wire([said(message(content=content))])).text == "B."


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refusal"),
    ],
)
def test_how_answers_end(reason: str, finish: str) -> None:
    assert ask(Wire([said(message(stop_reason=reason, content=[]))])).finish_reason == finish


@pytest.mark.parametrize(
    "body",
    [
        message(stop_reason="pause_turn"),
        message(stop_reason=None),
        message(content=None),
        message(model=None),
        {"type": "message"},
        [],
        "text",
        None,
    ],
)
def test_what_is_no_message_is_malformed(body: object) -> None:
    assert fails(Wire([said(body)])).kind is Kind.MALFORMED


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_broken_json_is_malformed(kind: str) -> None:
    response = httpx2.Response(200, content=b'{"id": "ms', headers={"content-type": kind})
    assert fails(Wire([response])).kind is Kind.MALFORMED


def test_an_answer_without_usage_has_no_tokens() -> None:
    answer = ask(Wire([said(message(usage={}))]))
    assert (answer.tokens_in, answer.tokens_out) == (None, None)


ERRORS = [
    (429, "rate_limit_error", "Slow down.", {}, Kind.RATE_LIMIT),
    (429, "rate_limit_error", "x", {"error_code": "ramp_limit_exceeded"}, Kind.RATE_LIMIT),
    (429, "rate_limit_error", "x", {"error_code": "enforced_spend_limit_reached"}, Kind.CREDIT),
    (529, "overloaded_error", "Overloaded", {}, Kind.RATE_LIMIT),
    (503, "overloaded_error", "Overloaded", {}, Kind.RATE_LIMIT),
    (500, "api_error", "Internal server error", {}, Kind.SERVER),
    (500, "api_error", "image too large for our content policy", {}, Kind.SERVER),
    (502, "api_error", "Bad gateway", {}, Kind.SERVER),
    (408, "timeout_error", "Timed out", {}, Kind.TIMEOUT),
    (504, "timeout_error", "Timed out", {}, Kind.TIMEOUT),
    (409, "conflict_error", "Conflict", {}, Kind.SERVER),
    (401, "authentication_error", "invalid x-api-key", {}, Kind.KEY),
    (403, "permission_error", "Not allowed", {}, Kind.KEY),
    (400, "invalid_request_error", "This organization has been disabled.", {}, Kind.KEY),
    (402, "billing_error", "Check your billing", {}, Kind.CREDIT),
    (400, "invalid_request_error", "Your credit balance is too low to use it", {}, Kind.CREDIT),
    (
        400,
        "invalid_request_error",
        "You have reached your specified API usage limits.",
        {},
        Kind.CREDIT,
    ),
    (404, "not_found_error", "model: claude-9", {}, Kind.MODEL),
    (400, "invalid_request_error", "prompt is too long: 3 tokens > 2 maximum", {}, Kind.CONTEXT),
    (
        400,
        "invalid_request_error",
        "input length and `max_tokens` exceed context limit: 3 + 4 > 5",
        {},
        Kind.CONTEXT,
    ),
    (
        400,
        "invalid_request_error",
        "messages.0.content.0.image.source.base64: image exceeds 5 MB maximum",
        {},
        Kind.IMAGE,
    ),
    (
        400,
        "invalid_request_error",
        "x",
        {"error_code": "image_dimensions_too_large", "max_side_length_pixels": 8000, "paths": []},
        Kind.IMAGE,
    ),
    (
        400,
        "invalid_request_error",
        "Too much media: 0 document pages + 102 images > 100",
        {},
        Kind.IMAGE,
    ),
    (413, "request_too_large", "Request exceeds the maximum size", {}, Kind.IMAGE),
    (
        400,
        "invalid_request_error",
        "Output blocked by content filtering policy",
        {},
        Kind.MODERATION,
    ),
    (400, "invalid_request_error", "temperature: Extra inputs", {}, Kind.MODEL),
    (400, "invalid_request_error", "`temperature` may only be set to 1", {}, Kind.MODEL),
    (400, "invalid_request_error", "messages.0: no temperature", {}, Kind.REQUEST),
    (422, "invalid_request_error", "no", {}, Kind.REQUEST),
]


@pytest.mark.parametrize(("status", "kind", "text", "details", "expected"), ERRORS)
def test_errors_are_told_apart(
    status: int, kind: str, text: str, details: dict[str, object], expected: Kind
) -> None:
    failure = fails(Wire([error(status, kind, text, **details)]))
    assert failure.kind is expected
    assert failure.line.startswith(f"{status} ")
    assert text in failure.line


def test_what_the_server_asks_for_comes_along() -> None:
    response = error(429, "rate_limit_error", "Slow down.")
    response.headers["retry-after"] = "7"
    response.headers["anthropic-ratelimit-requests-remaining"] = "0"
    failure = fails(Wire([response]))
    assert failure.retry_after_s == 7.0
    assert failure.limits.requests == 4000
    assert failure.limits.requests_left == 0


def test_a_key_in_an_error_is_not_shown() -> None:
    failure = fails(Wire([error(401, "authentication_error", f"{SECRET} is\nno key")]))
    assert "[key] is no key" in failure.line


def test_an_error_that_is_no_json_is_a_server_error() -> None:
    assert fails(Wire([httpx2.Response(502, text="<html>Bad gateway")])).kind is Kind.SERVER


def test_a_redirect_takes_the_key_nowhere() -> None:
    moved = httpx2.Response(307, headers={"location": "http://elsewhere/v1/messages"})
    assert fails(Wire([moved, said(message())])).kind is Kind.REQUEST


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:1/x", "http://127.0.0.1:1/x/v1/"])
def test_a_base_url_may_end_in_the_version(base_url: str) -> None:
    wire = Wire([said(message())])
    ask(wire, base_url=base_url)
    assert str(wire.asked[0].url) == "http://127.0.0.1:1/x/v1/messages"


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx2.ConnectError("refused"), Kind.CONNECTION),
        (httpx2.RemoteProtocolError("peer closed connection"), Kind.CONNECTION),
        (httpx2.ReadTimeout("slow"), Kind.TIMEOUT),
    ],
)
def test_a_broken_connection_is_asked_over_once(raised: Exception, kind: Kind) -> None:
    assert fails(Wire([raised])).kind is kind


def test_an_answer_that_drips_is_cut_off_in_time() -> None:
    async def never() -> httpx2.Response:
        await asyncio.sleep(60)
        raise AssertionError

    assert fails(Wire([never]), timeout_s=0.05).kind is Kind.TIMEOUT


def test_a_call_can_be_cancelled() -> None:
    async def never() -> httpx2.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async def cut(adapter: AnthropicAdapter) -> None:
        async with asyncio.timeout(0.05):
            await adapter.ask(QUESTION)

    with pytest.raises(TimeoutError):
        with_adapter(Wire([never]), cut)


@pytest.mark.parametrize(
    ("width", "height", "model", "tokens"),
    [
        (28, 28, OLD, 1),
        (29, 28, OLD, 2),
        (1092, 1092, OLD, 1521),  # 39 x 39
        (1568, 1568, OLD, 1568),  # 56 x 56 is over the budget
        (3136, 784, OLD, 56 * 14),  # first to 1568 x 392
        (3136, 784, NEW, 92 * 23),  # first to 2576 x 644
        (8000, 8000, NEW, 4784),
    ],
)
def test_tokens_of_images(width: int, height: int, model: str, tokens: int) -> None:
    assert image_tokens(EncodedImage(b"", "image/png", width, height), model) == tokens


def test_tokens_of_a_question_are_rather_too_many() -> None:
    text = "Which of these is larger? (A) the red box (B) the blue box. Answer with a letter."
    question = Question("q", text, (IMAGE, IMAGE), Generation())
    with_adapter(Wire([]), _counts(question, 2 * 4 * 2 + len(text) // 3, 60))


def _counts(
    question: Question, least: int, spread: int
) -> Callable[[AnthropicAdapter], Awaitable[None]]:
    async def run(adapter: AnthropicAdapter) -> None:
        assert least <= adapter.tokens(question) <= least + spread

    return run


def test_check_tells_what_the_headers_say() -> None:
    wire = Wire([said(message())])
    facts = with_adapter(wire, lambda adapter: adapter.check())
    assert facts == {
        "served": "claude-opus-5-5-20261001",
        "requests_per_minute": "4000",
        "tokens_per_minute": "800000",
        "server_time": "1795762800",
        "tokens_in": "33",
        "tokens_out": "4",
    }
    assert wire.bodies[0]["max_tokens"] == 1


def test_nobody_is_warned_of_a_model_that_will_be_retired() -> None:
    """Warnings are errors here."""
    assert ask(Wire([said(message())]), "claude-opus-4-5-20251101").text == "B"
