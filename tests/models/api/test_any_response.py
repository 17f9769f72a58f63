"""Whatever a server says, an adapter gives an answer or the one failure."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lens_ray.models.api.adapter import Adapter, Answer, ApiFailure, Question
from lens_ray.models.api.anthropic import AnthropicAdapter
from lens_ray.models.api.gemini import GeminiAdapter
from lens_ray.models.api.openai import OpenAIAdapter
from lens_ray.models.api.options import AnthropicOptions, GeminiOptions, OpenAIOptions
from lens_ray.models.protocol import Generation
from tests.models.api.anthropic_bodies import batch, message
from tests.models.api.test_gemini import candidate, reply
from tests.models.api.wire import KEY, SECRET, Wire

QUESTION = Question("q", "Which?", (), Generation())
Make = Callable[[Wire], Adapter]

ADAPTERS: dict[str, Make] = {
    "anthropic": lambda w: AnthropicAdapter("claude-opus-5", AnthropicOptions(), KEY, w.transport),
    "gemini": lambda w: GeminiAdapter("gemini-3.8-flash", GeminiOptions(), KEY, w.transport),
    "openai": lambda w: OpenAIAdapter("gpt-4.1", OpenAIOptions(), KEY, w.transport),
    "chat": lambda w: OpenAIAdapter("gpt-4.1", OpenAIOptions(api="chat"), KEY, w.transport),
}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
#: Of what the providers' bodies are made, so that a change hits a field that is read.
WHOLE: dict[str, dict[str, object]] = {
    "anthropic": message(),
    "gemini": reply(candidates=[candidate(avgLogprobs=-0.1)], promptFeedback={}),
    "openai": {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "completed",
        "output": [
            {
                "id": "m",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "B", "annotations": []}],
            }
        ],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    },
    "chat": {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "B"}}
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    },
}


def paths(body: object, here: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = (
        body.items()
        if isinstance(body, dict)
        else enumerate(body)
        if isinstance(body, list)
        else ()
    )
    return [here, *(path for key, value in inner for path in paths(value, (*here, key)))]


def put(body: object, path: tuple[object, ...], value: object) -> object:
    if not path:
        return value
    if isinstance(body, dict):
        return {k: put(v, path[1:], value) if k == path[0] else v for k, v in body.items()}
    assert isinstance(body, list)
    return [put(v, path[1:], value) if k == path[0] else v for k, v in enumerate(body)]


def outcome(name: str, response: httpx2.Response) -> Answer | ApiFailure:
    wire = Wire([response])

    async def run() -> Answer | ApiFailure:
        adapter = ADAPTERS[name](wire)
        try:
            return await adapter.ask(QUESTION)
        except ApiFailure as failure:
            return failure
        finally:
            await adapter.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDKs warn of values that they do not know
        found = asyncio.run(run())
    assert len(wire.asked) == 1
    return found


def sound(found: Answer | ApiFailure) -> None:
    if isinstance(found, ApiFailure):
        assert SECRET not in found.line
        assert "\n" not in found.line
        assert len(found.line) <= 400
        return
    assert found.text.encode() is not None
    assert found.served.encode() is not None
    assert found.finish_reason in ("stop", "length", "content_filter", "refusal")
    for count in (found.tokens_in, found.tokens_out):
        assert count is None or (type(count) is int and count >= 0)
    assert found.confidence is None or 0 <= found.confidence <= 1


@pytest.mark.parametrize("name", ADAPTERS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_one_field_is_something_else(name: str, data: st.DataObject) -> None:
    body = WHOLE[name]
    path = data.draw(st.sampled_from(paths(body)))
    value = data.draw(JSON)
    sound(outcome(name, httpx2.Response(200, json=put(body, path, value))))


@pytest.mark.parametrize("name", ADAPTERS)
@settings(max_examples=5, deadline=None)
@given(status=st.sampled_from([400, 401, 403, 404, 409, 422, 429, 500, 503, 529, 599]), body=JSON)
def test_an_error_of_any_shape(name: str, status: int, body: object) -> None:
    for said in (body, {"error": body}, {"error": {"message": body, "type": body, "code": body}}):
        found = outcome(name, httpx2.Response(status, json=said))
        assert isinstance(found, ApiFailure)
        sound(found)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_batch_of_any_shape(data: st.DataObject) -> None:
    whole = batch(1, "ended")
    path = data.draw(st.sampled_from(paths(whole)))
    body = put(whole, path, data.draw(JSON))

    async def run() -> None:
        adapter = ADAPTERS["anthropic"](Wire([httpx2.Response(200, json=body)]))
        try:
            state = await adapter.batch("msgbatch_1")
            assert isinstance(state.batch_id, str)
            assert isinstance(state.created, float)
        except ApiFailure as failure:
            sound(failure)
        finally:
            await adapter.close()

    asyncio.run(run())
