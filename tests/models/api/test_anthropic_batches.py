"""Anthropic's Message Batches, over the SDK: handed in, looked at, read."""

from __future__ import annotations

import json

import httpx2
import pytest

from lens_ray.models.api.adapter import Answer, ApiFailure, Kind
from lens_ray.models.api.anthropic import AnthropicAdapter
from lens_ray.models.api.anthropic_errors import kind_of
from tests.models.api.anthropic_bodies import (
    NEW,
    OLD,
    QUESTION,
    ask,
    batch,
    error,
    message,
    said,
    with_adapter,
)
from tests.models.api.wire import Wire


@pytest.mark.parametrize("model", [NEW, OLD])
def test_a_batch_is_handed_in_as_the_same_questions_are_asked(model: str) -> None:
    live = Wire([said(message())])
    ask(live, model)
    wire = Wire([said(batch(1))])
    state = with_adapter(wire, lambda adapter: adapter.submit([QUESTION], "tag"), model)
    assert (state.batch_id, state.over, state.tag, state.created) == (
        "msgbatch_1",
        False,
        None,
        1795762800.0,
    )
    assert wire.bodies == [{"requests": [{"custom_id": "q-1", "params": live.bodies[0]}]}]
    versions = [wire.asked[0].headers["anthropic-version"] for wire in (live, wire)]
    assert versions[0] == versions[1]


def test_batches_are_looked_at_and_listed() -> None:
    wire = Wire([said(batch(1, "ended"))])
    assert with_adapter(wire, lambda adapter: adapter.batch("msgbatch_1")).over
    page = {"data": [batch(2), batch(1, "ended")], "has_more": False, "first_id": "", "last_id": ""}
    wire = Wire([said(page)])
    states = with_adapter(wire, lambda adapter: adapter.batches())
    assert [(state.batch_id, state.over) for state in states] == [
        ("msgbatch_2", False),
        ("msgbatch_1", True),
    ]


def line(custom_id: str, **result: object) -> str:
    return json.dumps({"custom_id": custom_id, "result": result}) + "\n"


async def collect(adapter: AnthropicAdapter) -> dict[str, Answer | ApiFailure]:
    return {custom_id: result async for custom_id, result in adapter.results("msgbatch_1")}


def test_results_of_every_kind() -> None:
    server_error = {"type": "error", "error": {"type": "api_error", "message": "x"}}
    too_long = {"type": "invalid_request_error", "message": "prompt is too long: 3 > 2"}
    lines = (
        line("a", type="succeeded", message=message())
        + line("b", type="errored", error=server_error)
        + line("c", type="errored", error={"type": "error", "error": too_long})
        + line("d", type="expired")
        + line("e", type="canceled")
        + line("f", type="succeeded", message=message(stop_reason="refusal"))
        + line("g", type="succeeded", message={"type": "message"})
        + line("h", type="something_new")
    )
    wire = Wire([said(batch(1, "ended")), httpx2.Response(200, text=lines)])
    found = with_adapter(wire, collect)
    kinds = {k: r.kind for k, r in found.items() if isinstance(r, ApiFailure)}
    assert kinds == {
        "b": Kind.SERVER,
        "c": Kind.CONTEXT,
        "d": Kind.EXPIRED,
        "e": Kind.EXPIRED,
        "g": Kind.MALFORMED,
        "h": Kind.MALFORMED,
    }
    answers = {k: r.finish_reason for k, r in found.items() if isinstance(r, Answer)}
    assert answers == {"a": "stop", "f": "refusal"}


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        ([said(batch(1))], Kind.EXPIRED),  # no results: not over, or gone after 29 days
        ([error(404, "not_found_error", "no such batch")], Kind.EXPIRED),
        ([said(batch(1, "ended")), error(500, "api_error", "x")], Kind.SERVER),
        ([said(batch(1, "ended")), httpx2.Response(200, text='{"custom')], Kind.MALFORMED),
        ([httpx2.ConnectError("refused")], Kind.CONNECTION),
    ],
)
def test_results_that_cannot_be_had(says: list[httpx2.Response | Exception], kind: Kind) -> None:
    with pytest.raises(ApiFailure) as failure:
        with_adapter(Wire(list(says)), collect)
    assert failure.value.kind is kind


def test_a_rate_limit_in_a_batch_is_one_too() -> None:
    assert kind_of(0, "rate_limit_error", None, "Slow down.") is Kind.RATE_LIMIT
    assert kind_of(0, "a_new_error", None, "?") is Kind.SERVER
