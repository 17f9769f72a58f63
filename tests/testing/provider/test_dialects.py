"""What the scripted provider says fits the official SDKs' own types, and so does what it takes."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsBase
from anthropic.types.shared import ErrorResponse
from google.genai import types as genai
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from openai.types.responses.response_error import ResponseError
from pydantic import BaseModel

from lens_ray.testing.provider.anthropic import Messages
from lens_ray.testing.provider.gemini import GenerateContent
from lens_ray.testing.provider.openai_chat import Chat
from lens_ray.testing.provider.openai_errors import duration
from lens_ray.testing.provider.openai_responses import Responses
from lens_ray.testing.provider.parameters import CHAT, GENERATE_CONTENT, MESSAGES, RESPONSES
from lens_ray.testing.provider.wire import (
    Asked,
    Dialect,
    Finish,
    Json,
    Picture,
    Reply,
    Standing,
    Trouble,
    TroubleKind,
    picture,
)
from tests.testing.provider.pictures import jpeg, png

NEWEST = "2026-10-21"
DIALECTS: list[tuple[Dialect, type[BaseModel]]] = [
    (Responses(), Response),
    (Chat(), ChatCompletion),
    (Messages(NEWEST), Message),
    (GenerateContent(), genai.GenerateContentResponse),
]
FINISHES: tuple[Finish, ...] = ("stop", "stop_sequence", "length", "refusal", "content_filter")
ASKED = Asked("m", "how many?", "be brief", (), 16, ("END",), True, frozenset())
REPLY = Reply(7, "three of them", "stop", "m-1", 9, 5, 2, 1_790_000_000.5)


def extras(value: object, path: str = "") -> Iterator[str]:
    """Fields that a model was given and does not declare."""
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from extras(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for one in value:
            yield from extras(one, path)


def check(model: type[BaseModel], body: Json) -> BaseModel:
    read = model.model_validate_json(json.dumps(body), strict=True)
    assert list(extras(read)) == []
    return read


@pytest.mark.parametrize(("dialect", "model"), DIALECTS)
@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize("thinking", [0, 2])
@pytest.mark.parametrize("text", ["three of them", ""])
def test_answers_fit_the_sdks_own_types(
    dialect: Dialect, model: type[BaseModel], finish: Finish, thinking: int, text: str
) -> None:
    reply = replace(REPLY, finish=finish, thinking=thinking, text=text)
    check(model, dialect.write(ASKED, reply))
    check(model, dialect.write(replace(ASKED, logprobs=False), replace(reply, batch=True)))


def test_a_blocked_prompt_has_no_candidates() -> None:
    read = check(
        genai.GenerateContentResponse,
        GenerateContent().write(ASKED, replace(REPLY, finish="blocked", text="")),
    )
    assert isinstance(read, genai.GenerateContentResponse)
    assert read.candidates is None
    assert read.prompt_feedback is not None
    assert read.prompt_feedback.block_reason is genai.BlockedReason.SAFETY


KINDS: tuple[TroubleKind, ...] = typing.get_args(TroubleKind)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_have_the_providers_form(kind: TroubleKind) -> None:
    trouble = Trouble(kind, "no", retry_after_s=1.25)
    failure = Messages(NEWEST).failure(trouble)
    if kind != "too_large":  # comes from what stands before the provider; the SDK has no type of it
        check(ErrorResponse, failure.body)
    assert failure.headers["retry-after"] == "2"
    for dialect in (Responses(), Chat()):
        failure = dialect.failure(trouble)
        error = failure.body["error"]
        assert isinstance(error, Mapping)
        assert set(error) == {"message", "type", "param", "code"}
        assert failure.headers == {"retry-after": "2", "retry-after-ms": "1250"}
    failure = GenerateContent().failure(trouble)
    error = failure.body["error"]
    assert isinstance(error, Mapping)
    assert error["code"] == failure.status
    assert error["details"][-1]["retryDelay"] == "1.250s"
    assert {429: True}.get(failure.status, False) == (kind == "rate_limit")


def test_the_code_of_too_large_an_image_is_one_that_the_sdk_names() -> None:
    names = typing.get_args(ResponseError.model_fields["code"].annotation)
    assert "image_too_large" in names


def test_names_of_parameters_are_those_of_the_sdks() -> None:
    assert set(ResponseCreateParamsBase.__annotations__) == RESPONSES - {"stream"}
    assert set(CompletionCreateParamsBase.__annotations__) == CHAT - {"stream"}
    headers = {"user_profile_id", "workspace_id"}  # as their docstrings say
    assert set(MessageCreateParamsBase.__annotations__) - headers == MESSAGES - {"stream"}
    assert "generationConfig" in GENERATE_CONTENT


BODIES: list[tuple[Dialect, dict[str, object]]] = [
    (Responses(), {"model": "m", "input": "hi"}),
    (Chat(), {"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
    (
        Messages(NEWEST),
        {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]},
    ),
    (GenerateContent(), {"contents": [{"parts": [{"text": "hi"}]}]}),
]


@pytest.mark.parametrize(("dialect", "body"), BODIES)
def test_a_parameter_of_another_protocol_is_refused(
    dialect: Dialect, body: dict[str, object]
) -> None:
    assert dialect.read(body, "m").text == "hi"
    with pytest.raises(Trouble, match="Unsupported parameter: 'max_new_tokens'"):
        dialect.read({**body, "max_new_tokens": 5}, "m")
    with pytest.raises(Trouble, match="seed" if dialect.provider != "openai" else "stream"):
        dialect.read({**body, "seed": 1, "stream": True} if dialect.provider != "openai" else {
            **body, "stream": True}, "m")  # fmt: skip


def test_anthropics_newest_version_takes_no_temperature() -> None:
    body: dict[str, object] = {**BODIES[2][1], "temperature": 0.0}
    assert Messages("2023-06-01").read(body, None).parameters == {"temperature"}
    with pytest.raises(Trouble, match="temperature"):
        Messages(NEWEST).read(body, None)
    with pytest.raises(Trouble, match="anthropic-version"):
        Messages("").read(body, None)


@pytest.mark.parametrize(
    "content",
    [
        "x",
        [{"type": "input_audio"}],
        [{"type": "input_image", "image_url": "https://example.invalid/a.png"}],
        [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}],
        [{"type": "input_image", "image_url": "data:image/png;base64,!"}],
        [{"type": "input_text", "text": 5}],
        [5],
    ],
)
def test_what_is_no_question_is_refused_and_never_crashes(content: object) -> None:
    body = {"model": "m", "input": [{"role": "user", "content": content}]}
    if content == "x":
        assert Responses().read(body, None).text == "x"
    else:
        with pytest.raises(Trouble) as raised:
            Responses().read(body, None)
        assert raised.value.kind == "invalid"


@pytest.mark.parametrize("data", [png(300, 40), jpeg(300, 40)])
def test_sides_are_read_without_decoding(data: bytes) -> None:
    import base64

    read = picture(base64.b64encode(data).decode())
    assert (read.width, read.height, read.size) == (300, 40, len(data))


def shown(width: int, height: int, detail: str = "auto") -> Asked:
    return Asked(
        "", "", "", (Picture("d", 1, width, height, detail, b""),), 16, (), False, frozenset()
    )


@pytest.mark.parametrize(
    ("dialect", "model", "width", "height", "detail", "tokens"),
    [
        # "Images and vision": 85 + 170 for each of 2 x 2 tiles of 1024 x 1024 at 768 x 768.
        (Chat(), "gpt-4o", 1024, 1024, "high", 765),
        # 2048 x 4096 becomes 768 x 1536: 2 x 3 tiles.
        (Chat(), "gpt-4o", 2048, 4096, "high", 1105),
        (Chat(), "gpt-4o", 4096, 8192, "low", 85),
        # 32 x 32 patches, times 1.62.
        (Chat(), "gpt-4.1-mini", 1024, 1024, "auto", 1659),
        # 28 pixels a patch: 36 x 36 of 1000 x 1000; 56 x 32 of 1568 x 882 are over 1568.
        (Messages(NEWEST), "claude-haiku-4-5", 1000, 1000, "", 1296),
        (Messages(NEWEST), "claude-haiku-4-5", 3136, 1764, "", 1568),
        (GenerateContent(), "gemini-2.5-flash", 384, 384, "", 258),
        # The unit is 540 / 1.5 = 360: 3 x 2 tiles.
        (GenerateContent(), "gemini-2.5-flash", 960, 540, "", 1548),
        (GenerateContent(), "gemini-3-flash", 960, 540, "", 1120),
        (GenerateContent(), "gemini-3-flash", 960, 540, "MEDIA_RESOLUTION_LOW", 280),
    ],
)
def test_images_cost_what_is_published(
    dialect: Dialect, model: str, width: int, height: int, detail: str, tokens: int
) -> None:
    asked = replace(shown(width, height, detail), model=model)
    assert dialect.tokens(asked) - dialect.tokens(replace(asked, images=())) == tokens


def test_headers_of_limits() -> None:
    standings = {"requests": Standing(60, 59, 1.0), "tokens": Standing(150_000, 149_984, 360.0)}
    said = Chat().headers(standings, 0.0)
    assert said["x-ratelimit-limit-requests"] == "60"
    assert said["x-ratelimit-reset-requests"] == "1s"
    assert said["x-ratelimit-reset-tokens"] == "6m0s"
    said = Messages(NEWEST).headers(standings, 1_790_000_000.0)
    assert said["anthropic-ratelimit-tokens-remaining"] == "149984"
    assert said["anthropic-ratelimit-requests-reset"] == "2026-09-21T14:13:21Z"
    assert GenerateContent().headers(standings, 0.0) == {}
    assert [duration(s) for s in (0.0201, 12.0, 61.2)] == ["21ms", "12s", "1m2s"]
