from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2
import pytest

from lens_ray.errors import UserError
from lens_ray.models.api.adapter import Answer, ApiFailure, EncodedImage, Kind, Question
from lens_ray.models.api.gemini import GeminiAdapter, image_tokens, known_absent
from lens_ray.models.api.options import GeminiOptions
from lens_ray.models.protocol import Generation
from tests.models.api.wire import KEY, SECRET, Wire, failure_of

T = TypeVar("T")
NEW = "gemini-3.8-flash"
OLD = "gemini-2.5-flash"
IMAGE = EncodedImage(b"\x89PNG one\xff\xfe", "image/png", 100, 50)
QUESTION = Question(
    "q-1", "Which? (A) or (B)", (IMAGE,), Generation(max_new_tokens=5, stop=("\n",), seed=7)
)


def reply(**given: object) -> dict[str, object]:
    return {
        "candidates": [candidate()],
        "modelVersion": "gemini-2.5-flash-001",
        "responseId": "r",
        "usageMetadata": {
            "promptTokenCount": 270,
            "candidatesTokenCount": 2,
            "thoughtsTokenCount": 11,
            "totalTokenCount": 283,
        },
        **given,
    }


def candidate(reason: str | None = "STOP", **given: object) -> dict[str, object]:
    content = {"role": "model", "parts": [{"text": "B"}]}
    return {"content": content, "finishReason": reason, "index": 0, **given}


def said(body: object, status: int = 200) -> httpx2.Response:
    return httpx2.Response(status, json=body, headers={"date": "Fri, 27 Nov 2026 07:00:00 GMT"})


def error(code: int, status: str, text: str, *details: dict[str, object]) -> httpx2.Response:
    body = {"code": code, "message": text, "status": status, "details": list(details)}
    return said({"error": body}, code)


def with_adapter(
    wire: Wire, do: Callable[[GeminiAdapter], Awaitable[T]], model: str = OLD, **options: object
) -> T:
    async def run() -> T:
        given = GeminiOptions.model_validate(options)
        adapter = GeminiAdapter(model, given, KEY, wire.transport)
        try:
            return await do(adapter)
        finally:
            await adapter.close()

    return asyncio.run(run())


def ask(wire: Wire, model: str = OLD, **options: object) -> Answer:
    return with_adapter(wire, lambda adapter: adapter.ask(QUESTION), model, **options)


def fails(wire: Wire, timeout_s: float = 120.0) -> ApiFailure:
    return failure_of(wire, lambda: ask(wire, timeout_s=timeout_s))


def test_an_answer_with_its_tokens_and_served_id() -> None:
    assert ask(Wire([said(reply())])) == Answer(
        text="B",
        finish_reason="stop",
        served="gemini-2.5-flash-001",
        tokens_in=270,
        tokens_out=13,
    )


def test_a_question_as_it_is_sent() -> None:
    """Google's JSON takes both ``mimeType`` and, as the SDK writes it, ``mime_type``."""
    wire = Wire([said(reply())])
    ask(wire, system_prompt="Be brief.", media_resolution="low")
    (request,) = wire.asked
    assert str(request.url) == (
        "https://generativelanguage.googleapis.com/v1/models/gemini-2.5-flash:generateContent"
    )
    assert request.headers["x-goog-api-key"] == SECRET
    (body,) = wire.bodies
    parts = body["contents"][0]["parts"]  # type: ignore[index]
    data = parts[0]["inlineData"].pop("data")
    assert base64.urlsafe_b64decode(data) == IMAGE.data
    assert body == {
        "systemInstruction": {"role": "user", "parts": [{"text": "Be brief."}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"inlineData": {"mime_type": "image/png"}},
                    {"text": "Which? (A) or (B)"},
                ],
            }
        ],
        "generationConfig": {
            "temperature": 0.0,
            "maxOutputTokens": 5,
            "stopSequences": ["\n"],
            "seed": 7,
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
        },
    }


@pytest.mark.parametrize(
    ("model", "absent"),
    [
        ("gemini-2.5-flash", set()),
        ("gemini-3-pro-preview", set()),
        ("gemini-3.5-flash", set()),
        ("gemini-3.5-flash-lite", {"temperature", "top_p"}),
        ("gemini-3.6-flash", {"temperature", "top_p"}),
        ("gemini-flash-latest", {"temperature", "top_p"}),
    ],
)
def test_what_models_do_not_take(model: str, absent: set[str]) -> None:
    assert known_absent(model) == absent


def test_what_is_absent_is_not_sent() -> None:
    wire = Wire([said(reply())])
    ask(wire, NEW)
    assert wire.bodies[0]["generationConfig"] == {
        "maxOutputTokens": 5,
        "stopSequences": ["\n"],
        "seed": 7,
    }
    wire = Wire([said(reply())])
    ask(wire, absent=["seed", "stop", "temperature"])
    assert wire.bodies[0]["generationConfig"] == {"maxOutputTokens": 5}


@pytest.mark.parametrize(
    ("model", "options", "thinking", "most"),
    [
        (OLD, {}, None, 5),
        (OLD, {"reasoning_effort": "none"}, {"thinking_budget": 0}, 5),
        (OLD, {"reasoning_tokens": 100}, {"thinking_budget": 100}, 105),
        (NEW, {"reasoning_tokens": 100}, None, 105),
        (NEW, {"reasoning_effort": "low"}, {"thinking_level": "LOW"}, 5),
    ],
)
def test_how_a_model_is_told_to_think(
    model: str, options: dict[str, object], thinking: dict[str, object] | None, most: int
) -> None:
    wire = Wire([said(reply())])
    ask(wire, model, **options)
    config = wire.bodies[0]["generationConfig"]
    assert isinstance(config, dict)
    assert config.get("thinkingConfig") == thinking
    assert config["maxOutputTokens"] == most


@pytest.mark.parametrize(("model", "effort"), [(OLD, "low"), (NEW, "none"), (NEW, "max")])
def test_thinking_that_the_model_does_not_know_is_an_error(model: str, effort: str) -> None:
    with pytest.raises(UserError, match="reasoning_effort"):
        ask(Wire([said(reply())]), model, reasoning_effort=effort)


def test_thoughts_are_no_part_of_the_answer() -> None:
    parts = [{"text": "A? No.", "thought": True}, {"text": "B"}, {"text": "."}]
    body = reply(candidates=[candidate(content={"parts": parts})])
    assert ask(Wire([said(body)])).text == "B."


def test_confidence_is_the_product_over_the_tokens() -> None:
    answer = ask(Wire([said(reply(candidates=[candidate(avgLogprobs=-0.25)]))]))
    assert answer.confidence == pytest.approx(math.exp(-0.25) ** 2)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("BLOCKLIST", "content_filter"),
    ],
)
def test_how_answers_end(reason: str, finish: str) -> None:
    body = reply(candidates=[{"finishReason": reason}])
    answer = ask(Wire([said(body)]))
    assert (answer.finish_reason, answer.text) == (finish, "")


@pytest.mark.filterwarnings("ignore:.*is not a valid FinishReason")
@pytest.mark.parametrize(
    "reason",
    ["OTHER", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "A_REASON_OF_THE_FUTURE", None],
)
def test_an_answer_that_ended_otherwise_is_malformed(reason: str | None) -> None:
    assert fails(Wire([said(reply(candidates=[candidate(reason)]))])).kind is Kind.MALFORMED


def test_a_blocked_prompt_is_moderation() -> None:
    body = reply(candidates=None, promptFeedback={"blockReason": "PROHIBITED_CONTENT"})
    failure = fails(Wire([said(body)]))
    assert failure.kind is Kind.MODERATION
    assert "PROHIBITED_CONTENT" in failure.line


def test_a_limited_account_is_a_dead_key() -> None:
    body = reply(candidates=[candidate("PUP_LIMITED_DISABLED")])
    assert fails(Wire([said(body)])).kind is Kind.KEY


@pytest.mark.parametrize("body", [{}, {"candidates": []}, {"candidates": "x"}, [], "text", None, 7])
def test_what_is_no_response_is_malformed(body: object) -> None:
    assert fails(Wire([said(body)])).kind is Kind.MALFORMED


@pytest.mark.parametrize("content", [b'{"candidates": [', b"<html>", b"\xff\xfe", b""])
def test_broken_json_is_malformed(content: bytes) -> None:
    assert fails(Wire([httpx2.Response(200, content=content)])).kind is Kind.MALFORMED


def test_an_answer_without_usage_or_version() -> None:
    answer = ask(Wire([said({"candidates": [candidate()]})]))
    assert (answer.tokens_in, answer.tokens_out, answer.served) == (None, None, OLD)


def quota(quota_id: str) -> dict[str, object]:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": quota_id, "quotaValue": "250"}],
    }


RETRY: dict[str, object] = {
    "@type": "type.googleapis.com/google.rpc.RetryInfo",
    "retryDelay": "22.5s",
}
BAD_KEY: dict[str, object] = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
}
ERRORS = [
    (429, "RESOURCE_EXHAUSTED", "quota", [quota("GenerateRequestsPerMinute"), RETRY], "rate_limit"),
    (429, "RESOURCE_EXHAUSTED", "quota", [], "rate_limit"),
    (
        429,
        "RESOURCE_EXHAUSTED",
        "q",
        [quota("RequestsPerDayPerProject"), RETRY],
        "credit_exhausted",
    ),
    (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", [], "credit_exhausted"),
    (402, "FAILED_PRECONDITION", "pay", [], "credit_exhausted"),
    (503, "UNAVAILABLE", "The model is overloaded.", [], "rate_limit"),
    (500, "INTERNAL", "An internal error has occurred.", [], "server_error"),
    (500, "INTERNAL", "no image for this api key and its credits", [], "server_error"),
    (504, "DEADLINE_EXCEEDED", "late", [], "timeout"),
    (400, "INVALID_ARGUMENT", "API key not valid.", [BAD_KEY], "key_refused"),
    (401, "UNAUTHENTICATED", "who?", [], "key_refused"),
    (403, "PERMISSION_DENIED", "no", [], "key_refused"),
    (400, "FAILED_PRECONDITION", "User location is not supported", [], "key_refused"),
    (404, "NOT_FOUND", "models/gemini-9 is not found", [], "unknown_model"),
    (
        400,
        "INVALID_ARGUMENT",
        "The input token count (3) exceeds the maximum number of tokens allowed (2).",
        [],
        "context_overflow",
    ),
    (400, "INVALID_ARGUMENT", "Unable to process input image.", [], "image_too_large"),
    (400, "INVALID_ARGUMENT", "Request payload size exceeds the limit", [], "image_too_large"),
    (413, "", "too large", [], "image_too_large"),
    (400, "INVALID_ARGUMENT", "Invalid value at 'seed'", [], "invalid_request"),
    (
        400,
        "INVALID_ARGUMENT",
        "Thinking level is not supported for this model.",
        [],
        "unknown_model",
    ),
    (400, "INVALID_ARGUMENT", "The thinking budget (52428) is invalid.", [], "unknown_model"),
]


@pytest.mark.parametrize(("code", "status", "text", "details", "expected"), ERRORS)
def test_errors_are_told_apart(
    code: int, status: str, text: str, details: list[dict[str, object]], expected: str
) -> None:
    failure = fails(Wire([error(code, status, text, *details)]))
    assert failure.kind == expected
    assert failure.line.startswith(f"{code} {status}")
    assert failure.retry_after_s == (22.5 if RETRY in details else None)


def test_the_header_counts_where_the_body_says_nothing() -> None:
    response = error(429, "RESOURCE_EXHAUSTED", "quota")
    response.headers["retry-after"] = "3"
    assert fails(Wire([response])).retry_after_s == 3.0


def test_a_key_in_an_error_is_not_shown() -> None:
    failure = fails(Wire([error(403, "PERMISSION_DENIED", f"{SECRET} is\nno key")]))
    assert "[key] is no key" in failure.line


@pytest.mark.parametrize("body", ["<html>", '"text"', "[1, 2]", "7"])
def test_an_error_of_another_shape_is_a_server_error(body: str) -> None:
    response = httpx2.Response(502, text=body, headers={"content-type": "application/json"})
    assert fails(Wire([response])).kind in (Kind.SERVER, Kind.MALFORMED)


def test_a_redirect_takes_the_key_nowhere() -> None:
    moved = httpx2.Response(307, headers={"location": "http://elsewhere/"})
    assert fails(Wire([moved, said(reply())])).kind is Kind.REQUEST


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:1/x", "http://127.0.0.1:1/x/v1beta"])
def test_a_base_url_may_end_in_the_version(base_url: str) -> None:
    wire = Wire([said(reply())])
    ask(wire, base_url=base_url)
    assert wire.asked[0].url.path == "/x/v1/models/gemini-2.5-flash:generateContent"


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx2.ConnectError("refused"), Kind.CONNECTION),
        (httpx2.RemoteProtocolError("peer closed connection"), Kind.CONNECTION),
        (httpx2.ReadError(""), Kind.CONNECTION),
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


@pytest.mark.parametrize(
    ("width", "height", "model", "resolution", "tokens"),
    [
        (384, 384, OLD, None, 258),
        (385, 100, OLD, None, 2 * 258),  # tiles of 256 at least
        (960, 540, OLD, None, 6 * 258),  # tiles of 360
        (3072, 3072, OLD, None, 16 * 258),  # tiles of 768 at most
        (6144, 6144, OLD, None, 16 * 258),  # scaled down to 3072 first
        (960, 540, OLD, "high", 6 * 258),
        (960, 540, OLD, "low", 64),
        (960, 540, OLD, "medium", 258),
        (960, 540, NEW, None, 1120),
        (960, 540, NEW, "low", 280),
        (960, 540, NEW, "medium", 560),
    ],
)
def test_tokens_of_images(
    width: int, height: int, model: str, resolution: str | None, tokens: int
) -> None:
    assert image_tokens(EncodedImage(b"", "image/png", width, height), model, resolution) == tokens


def test_tokens_of_a_question_are_rather_too_many() -> None:
    async def count(adapter: GeminiAdapter) -> int:
        return adapter.tokens(Question("q", "x" * 300, (IMAGE, IMAGE), Generation()))

    assert 2 * 258 + 100 <= with_adapter(Wire([]), count) <= 2 * 258 + 150


def test_check_asks_for_one_token() -> None:
    wire = Wire([said(reply())])
    facts = with_adapter(wire, lambda adapter: adapter.check())
    assert facts == {
        "served": "gemini-2.5-flash-001",
        "server_time": "1795762800",
        "tokens_in": "270",
        "tokens_out": "13",
    }
    config = wire.bodies[0]["generationConfig"]
    assert isinstance(config, dict)
    assert config["maxOutputTokens"] == 1


def test_environment_variables_of_the_sdk_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "other")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://elsewhere")
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v1alpha")
    monkeypatch.setenv("GOOGLE_API_KEY", "another-key")
    wire = Wire([said(reply())])
    ask(wire)
    (request,) = wire.asked
    assert request.url.host == "generativelanguage.googleapis.com"
    assert request.url.path == "/v1/models/gemini-2.5-flash:generateContent"
    assert request.headers["x-goog-api-key"] == SECRET


def test_there_are_no_batches() -> None:
    async def submit(adapter: GeminiAdapter) -> None:
        await adapter.submit([QUESTION], "tag")

    with pytest.raises(ApiFailure, match="openai and anthropic"):
        with_adapter(Wire([]), submit)
