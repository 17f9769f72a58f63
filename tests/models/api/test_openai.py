"""OpenAI's adapter through the real SDK, over a transport in this process."""

from __future__ import annotations

import asyncio
import json
import math
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest

httpx2 = pytest.importorskip("httpx2")
pytest.importorskip("openai")

from lens_ray.models.api.adapter import Answer, ApiFailure, EncodedImage, Kind, Question  # noqa: E402
from lens_ray.models.api.openai import OpenAIAdapter  # noqa: E402
from tests.models.api.openai_bodies import (  # noqa: E402
    SECRET,
    Handler,
    Recorder,
    adapter,
    completion,
    question,
    response,
)

PNG = EncodedImage(b"\x89PNG-bytes", "image/png", 64, 48)
JPEG = EncodedImage(b"\xff\xd8-bytes", "image/jpeg", 64, 48)


def ask(of: OpenAIAdapter, what: Question | None = None) -> Answer:
    async def both() -> Answer:
        try:
            return await of.ask(what or question())
        finally:
            await of.close()

    return asyncio.run(both())


def fails(of: OpenAIAdapter, what: Question | None = None) -> ApiFailure:
    with pytest.raises(ApiFailure) as caught:
        ask(of, what)
    return caught.value


def test_a_question_with_images_in_the_form_of_responses() -> None:
    server = Recorder(response())
    of = adapter(server, system_prompt="Be brief.", reasoning_tokens=5, image_detail="low")
    got = ask(of, question("Which?", PNG, JPEG, max_new_tokens=20))
    assert got == Answer("B", "stop", "gpt-4o-2024-11-20", 30, 12)
    request, sent = server.requests[0], server.sent[0]
    assert str(request.url) == "https://api.openai.com/v1/responses"
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert sent["input"] == [
        {
            "role": "user",
            "content": [
                {
                    "type": "input_image",
                    "image_url": "data:image/png;base64,iVBORy1ieXRlcw==",
                    "detail": "low",
                },
                {
                    "type": "input_image",
                    "image_url": "data:image/jpeg;base64,/9gtYnl0ZXM=",
                    "detail": "low",
                },
                {"type": "input_text", "text": "Which?"},
            ],
        }
    ]
    assert sent["instructions"] == "Be brief."
    assert sent["max_output_tokens"] == 25
    assert sent["temperature"] == 0.0
    assert sent["store"] is False
    assert sent["service_tier"] == "default"
    assert not {"top_p", "seed", "stop", "reasoning", "prompt_cache_options"} & set(sent)


def test_a_question_with_an_image_in_the_form_of_chat() -> None:
    server = Recorder(completion())
    of = adapter(server, api="chat", system_prompt="Be brief.")
    given = question("Which?", PNG, max_new_tokens=20, top_p=0.5, seed=7, stop=("\n",))
    assert ask(of, given) == Answer("B", "stop", "gpt-4o-2024-11-20", 30, 2)
    sent = server.sent[0]
    assert str(server.requests[0].url) == "https://api.openai.com/v1/chat/completions"
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64,iVBORy1ieXRlcw=="},
                },
                {"type": "text", "text": "Which?"},
            ],
        },
    ]
    assert sent["max_completion_tokens"] == 20
    assert (sent["top_p"], sent["seed"], sent["stop"]) == (0.5, 7, ["\n"])
    assert sent["logprobs"] is True


def test_a_model_that_thinks_is_sent_no_temperature() -> None:
    server = Recorder(response())
    ask(adapter(server, "gpt-5.6-sol", reasoning_effort="low"), question(max_new_tokens=4))
    sent = server.sent[0]
    assert "temperature" not in sent
    assert sent["reasoning"] == {"effort": "low"}
    assert sent["max_output_tokens"] == 16  # the interface takes no fewer
    assert sent["prompt_cache_options"] == {"mode": "explicit"}
    assert "include" not in sent


def test_what_the_job_says_is_absent_counts_and_not_the_name() -> None:
    server = Recorder(response())
    ask(adapter(server, "gpt-5.4", absent=()), question(seed=3, stop=("x",)))
    assert (server.sent[0]["temperature"], server.sent[0]["seed"]) == (0.0, 3)
    assert server.sent[0]["stop"] == ["x"]
    other = Recorder(response())
    ask(adapter(other, "gpt-4o", absent=("temperature", "seed", "stop")), question(seed=3))
    assert not {"temperature", "seed"} & set(other.sent[0])


def test_a_server_of_another_maker_gets_nothing_that_only_openai_knows() -> None:
    server = Recorder(completion())
    ask(adapter(server, "Qwen2.5-VL-7B", api="chat", base_url="http://127.0.0.1:1/v1"))
    assert str(server.requests[0].url) == "http://127.0.0.1:1/v1/chat/completions"
    assert set(server.sent[0]) == {"model", "messages", "temperature", "max_tokens"}
    assert server.sent[0]["messages"] == [{"role": "user", "content": "Which?"}]


@pytest.mark.parametrize(
    ("model", "options", "name"),
    [
        ("my-name", {}, "max_tokens"),
        ("my-name", {"absent": ("temperature",)}, "max_completion_tokens"),
        ("o3", {}, "max_completion_tokens"),
        ("my-name", {"base_url": "https://x.openai.azure.com/openai/v1"}, "max_completion_tokens"),
        ("gpt-4o", {"base_url": "https://eu.api.openai.com/v1"}, "max_completion_tokens"),
        ("gpt-4o", {"base_url": "https://api.openai.com.evil.example/v1"}, "max_tokens"),
    ],
)
def test_what_the_limit_of_tokens_is_called(model: str, options: dict[str, Any], name: str) -> None:
    server = Recorder(completion())
    ask(adapter(server, model, **({"api": "chat", "base_url": "http://gate:1/v1"} | options)))
    assert {"max_tokens", "max_completion_tokens"} & set(server.sent[0]) == {name}


def test_the_environment_does_not_choose_whom_a_job_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    server = Recorder(response())
    ask(adapter(server))
    assert server.requests[0].url.host == "api.openai.com"


def test_azure() -> None:
    server = Recorder(completion())
    of = adapter(
        server,
        "my-deployment",
        api="chat",
        api_version="2024-10-21",
        base_url="https://res.openai.azure.com",
    )
    assert not of.has_batches
    ask(of)
    url = server.requests[0].url
    assert url.path == "/openai/deployments/my-deployment/chat/completions"
    assert dict(url.params) == {"api-version": "2024-10-21"}
    assert server.requests[0].headers["api-key"] == SECRET
    assert server.sent[0]["max_completion_tokens"] == 16
    assert "service_tier" not in server.sent[0]


def _said(text: str, kind: str = "output_text", **more: Any) -> list[dict[str, Any]]:
    part = {"type": kind, "annotations": [], ("text" if kind == "output_text" else kind): text}
    return [
        {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [part | more],
        }
    ]


@pytest.mark.parametrize(
    ("body", "text", "finish"),
    [
        (response(), "B", "stop"),
        (response(output=[]), "", "stop"),
        (response(output=_said("No.", "refusal")), "No.", "refusal"),
        (
            response(status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            "B",
            "length",
        ),
        (
            response(
                status="incomplete",
                incomplete_details={"reason": "content_filter"},
                output=_said(""),
            ),
            "",
            "content_filter",
        ),
        (completion(), "B", "stop"),
        (completion({"content": ""}), "", "stop"),
        (completion(finish_reason="length"), "B", "length"),
        (completion({"content": None}, finish_reason="content_filter"), "", "content_filter"),
        (completion({"content": None, "refusal": "No."}), "No.", "refusal"),
    ],
)
def test_texts_and_finish_reasons(body: dict[str, Any], text: str, finish: str) -> None:
    got = ask(adapter(Recorder(body)))
    assert (got.text, got.finish_reason) == (text, finish)


def test_confidence_is_the_product_over_the_tokens() -> None:
    tokens = [{"token": "B", "logprob": math.log(0.5)}, {"token": ".", "logprob": math.log(0.8)}]
    probed = [entry | {"bytes": [], "top_logprobs": []} for entry in tokens]
    live = Recorder(response(output=_said("B.", logprobs=probed)))
    got = ask(adapter(live))
    assert got.confidence == pytest.approx(0.4)
    assert live.sent[0]["include"] == ["message.output_text.logprobs"]
    chat = Recorder(completion(logprobs={"content": probed}))
    assert ask(adapter(chat, api="chat")).confidence == pytest.approx(0.4)
    assert ask(adapter(Recorder(response()))).confidence is None


def test_thinking_that_a_server_leaves_out_of_its_count_is_paid_all_the_same() -> None:
    body = completion()
    body["usage"] = {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 132}
    assert ask(adapter(Recorder(body), api="chat")).tokens_out == 102
    del body["usage"]
    got = ask(adapter(Recorder(body), api="chat"))
    assert (got.tokens_in, got.tokens_out) == (None, None)


def test_limits_come_with_answers_and_with_broken_ones() -> None:
    headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}
    assert ask(adapter(Recorder(response(), headers=headers))).limits.requests_left == 0
    assert fails(adapter(Recorder("<html>", headers=headers))).limits.requests == 60
    assert fails(adapter(Recorder({}, 429, headers))).limits.requests == 60


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>hello</html>",
        '{"id": "resp_1", "outp',
        "[]",
        "{}",
        {"choices": []},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": "B"}, "finish_reason": "abort"}], "model": "m"},
        {"choices": [{"message": {"content": "B"}, "finish_reason": None}], "model": "m"},
        {"choices": [{"message": {"content": 7}, "finish_reason": "stop"}], "model": "m"},
        {"output": [], "status": "completed"},
        {"output": None, "error": None, "model": "m"},
        {"output": [], "status": "incomplete", "incomplete_details": None, "model": "m"},
    ],
)
def test_what_is_no_response_is_malformed(body: object) -> None:
    failure = fails(adapter(Recorder(body)))
    assert failure.kind is Kind.MALFORMED
    assert "\n" not in failure.line


def test_a_response_that_failed() -> None:
    made = response(status="failed", error={"code": "server_error", "message": "m"}, output=[])
    assert fails(adapter(Recorder(made))).kind is Kind.SERVER
    busy = response(status="failed", error={"code": "rate_limit_exceeded", "message": "m"})
    assert fails(adapter(Recorder(busy))).kind is Kind.RATE_LIMIT
    assert fails(adapter(Recorder(response(status="cancelled")))).kind is Kind.SERVER
    assert fails(adapter(Recorder({"error": "try later"}))).kind is Kind.SERVER
    broken = completion()
    broken["choices"][0]["error"] = {"code": 502, "message": "Provider disconnected"}
    assert fails(adapter(Recorder(broken))).kind is Kind.SERVER


def test_a_text_that_is_no_unicode_is_sent_as_utf_8_can_carry_it() -> None:
    for api in ("responses", "chat"):
        server = Recorder(response())
        ask(adapter(server, api=api), question("half \ud83d of 😀"))
        assert "half ? of 😀" in json.dumps(server.sent[0], ensure_ascii=False)


def test_no_call_is_made_twice() -> None:
    for status in (408, 409, 429, 500, 503):
        server = Recorder({"error": {"message": "m"}}, status)
        fails(adapter(server))
        assert len(server.sent) == 1


def test_timeouts_and_lost_connections() -> None:
    async def slow(request: Any) -> Any:
        await asyncio.sleep(30)

    assert fails(adapter(slow, timeout_s=0.05)).kind is Kind.TIMEOUT

    def raising(error: Exception) -> Handler:
        def handler(request: Any) -> Any:
            raise error

        return handler

    refused = fails(adapter(raising(httpx2.ConnectError("connection refused"))))
    assert (refused.kind, refused.line) == (Kind.CONNECTION, "ConnectError: connection refused")
    cut = httpx2.RemoteProtocolError("peer closed connection")
    assert fails(adapter(raising(cut))).kind is Kind.CONNECTION
    assert fails(adapter(raising(httpx2.ReadTimeout("slow")))).kind is Kind.TIMEOUT


def test_a_body_that_drips_does_not_outlast_the_timeout() -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" "
            await asyncio.sleep(0.01)

    def handler(request: Any) -> Any:
        return httpx2.Response(200, content=drip(), headers={"content-type": "application/json"})

    assert fails(adapter(handler, timeout_s=0.2)).kind is Kind.TIMEOUT


def test_a_call_can_be_cancelled() -> None:
    begun = asyncio.Event()

    async def slow(request: Any) -> Any:
        begun.set()
        await asyncio.sleep(30)

    async def cancel() -> None:
        of = adapter(slow)
        task = asyncio.create_task(of.ask(question()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await of.close()

    asyncio.run(cancel())


def test_no_key_in_a_failure_or_what_it_drags_along() -> None:
    for status in (400, 401, 403, 404, 429, 500):
        body = {"error": {"message": f"Incorrect API key provided: {SECRET}", "code": "c"}}
        failure = fails(adapter(Recorder(body, status)))
        assert failure.__context__ is None
        assert failure.__cause__ is None
        told = "".join(traceback.TracebackException.from_exception(failure).format())
        assert SECRET not in told
        assert "canary" not in told


def test_check_says_what_the_key_may_do() -> None:
    headers = {
        "date": "Thu, 01 Jan 2026 00:00:00 GMT",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-limit-tokens": "150000",
    }
    server = Recorder(response(), headers=headers)
    facts = dict(asyncio.run(adapter(server, "gpt-4o").check()))
    assert facts == {
        "served": "gpt-4o-2024-11-20",
        "requests_per_minute": "60",
        "tokens_per_minute": "150000",
        "server_time": "1767225600",
        "tokens_in": "30",
        "tokens_out": "12",
    }
    assert server.sent[0]["max_output_tokens"] == 16
