"""Batches of the scripted provider, handed in and read by the official SDKs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import anthropic
import openai
import pytest
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse
from openai.types import Batch

from lens_ray.models.api.options import Price
from lens_ray.testing.provider import BatchScript, Fault, ProviderServer, Script
from tests.testing.provider.conftest import Clients
from tests.testing.provider.test_dialects import extras
from tests.testing.provider.test_server import asking

PRICE = Price(input=1.0, output=1.0, batch_input=0.5, batch_output=0.5)


def lines(texts: Sequence[str], url: str = "/v1/responses") -> bytes:
    return "\n".join(
        json.dumps(
            {
                "custom_id": f"q-{text}",
                "method": "POST",
                "url": url,
                "body": {"model": "m", "input": text, "max_output_tokens": 32},
            }
        )
        for text in texts
    ).encode()


async def submit(some: Clients, data: bytes) -> Batch:
    file = await some.openai.files.create(file=("in.jsonl", data), purpose="batch")
    return await some.openai.batches.create(
        input_file_id=file.id,
        endpoint="/v1/responses",
        completion_window="24h",
        metadata={"tag": "t-1"},
    )


async def ended(some: Clients, batch: Batch) -> Batch:
    while batch.status in ("validating", "in_progress", "finalizing", "cancelling"):
        await asyncio.sleep(0.02)
        batch = await some.openai.batches.retrieve(batch.id)
    assert list(extras(batch)) == []
    return batch


async def read(some: Clients, file: str | None) -> dict[str, dict[str, object]]:
    assert file is not None
    text = (await some.openai.files.content(file)).text
    return {line["custom_id"]: line for line in map(json.loads, text.splitlines())}


def test_openai_answers_and_errors_come_in_two_files_at_half_the_price() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        batch = await ended(some, await submit(some, lines(["one", "bad", "late", "two"])))
        assert batch.status == "completed"
        assert batch.metadata == {"tag": "t-1"}
        assert batch.request_counts is not None
        counts = batch.request_counts
        assert (counts.total, counts.completed, counts.failed) == (4, 2, 1)
        answers = await read(some, batch.output_file_id)
        assert set(answers) == {"q-one", "q-two"}
        response = answers["q-one"]["response"]
        assert isinstance(response, dict)
        assert response["body"]["output"][0]["content"][0]["text"] == "one"
        failures = await read(some, batch.error_file_id)
        failed = failures["q-bad"]["response"]
        assert isinstance(failed, dict)
        assert failed["status_code"] == 400
        late = failures["q-late"]["error"]
        assert isinstance(late, dict)
        assert late["code"] == "batch_expired"
        seen = server.counts
        # 1 token of text and 7 of framing each, 1 of the answer: 18, at half of 1.
        assert (seen.answers, seen.calls, seen.batches) == (2, 0, 1)
        assert seen.usd == pytest.approx(18 * 0.5 / 1e6)

    faults = (Fault(kind="invalid", text="^bad$"), Fault(kind="expired", text="^late$"))
    asking(Script(faults=faults, prices={"*": PRICE}), body)


def test_anthropic_results_are_lines_in_no_order() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        texts = [f"word{number}" for number in range(20)]
        batch = await hand_in(some, texts)
        assert batch.processing_status == "in_progress"
        batch = await over(some, batch)
        results = await results_of(some, batch)
        names = [one.custom_id for one in results]
        assert sorted(names) == sorted(f"q-{text}" for text in texts)
        assert names != [f"q-{text}" for text in texts]
        kinds = {one.custom_id: one.result for one in results}
        good = kinds["q-word3"]
        assert good.type == "succeeded"
        assert good.message.content[0].to_dict()["text"] == "word3"
        assert good.message.usage.service_tier == "batch"
        bad = kinds["q-word5"]
        assert bad.type == "errored"
        assert bad.error.error.type == "invalid_request_error"
        assert (batch.request_counts.succeeded, batch.request_counts.errored) == (19, 1)

    asking(Script(faults=(Fault(kind="invalid", text="word5$"),)), body)


async def hand_in(some: Clients, texts: Sequence[str]) -> MessageBatch:
    return await some.anthropic.messages.batches.create(
        requests=[
            {
                "custom_id": f"q-{text}",
                "params": {
                    "model": "m",
                    "max_tokens": 32,
                    "messages": [{"role": "user", "content": text}],
                },
            }
            for text in texts
        ]
    )


async def over(some: Clients, batch: MessageBatch) -> MessageBatch:
    while batch.processing_status != "ended":
        await asyncio.sleep(0.02)
        batch = await some.anthropic.messages.batches.retrieve(batch.id)
    assert list(extras(batch)) == []
    return batch


async def results_of(some: Clients, batch: MessageBatch) -> list[MessageBatchIndividualResponse]:
    stream = await some.anthropic.messages.batches.results(batch.id)
    found = [one async for one in stream]
    assert [name for one in found for name in extras(one)] == []
    return found


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_batch_that_expires_or_is_cancelled_has_answers_for_a_part(cancelled: bool) -> None:
    takes_s = 30.0 if cancelled else 0.1
    script = BatchScript(takes_s=takes_s, ends="expired", answered=0.5)

    async def body(server: ProviderServer, some: Clients) -> None:
        first = await submit(some, lines(["a", "b", "c", "d"]))
        second = await hand_in(some, ["a", "b"])
        if cancelled:
            first = await some.openai.batches.cancel(first.id)
            assert first.status == "cancelling"
            second = await some.anthropic.messages.batches.cancel(second.id)
            assert second.processing_status == "canceling"
        first = await ended(some, first)
        assert first.status == ("cancelled" if cancelled else "expired")
        assert len(await read(some, first.output_file_id)) == 2
        assert len(await read(some, first.error_file_id)) == 2
        results = await results_of(some, await over(some, second))
        assert sorted(one.result.type for one in results) == sorted(
            ["succeeded", "canceled" if cancelled else "expired"]
        )

    asking(Script(batches=script), body)


def test_lost_hand_ins_are_there_and_lists_show_the_newest_first() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        with pytest.raises(openai.APIConnectionError):
            await submit(some, lines(["a"]))
        with pytest.raises(anthropic.APIConnectionError):
            await hand_in(some, ["b"])
        last = await submit(some, lines(["c"]))
        found = [one async for one in some.openai.batches.list(limit=1)]
        assert [one.metadata for one in found] == [{"tag": "t-1"}] * 2
        assert found[0].id == last.id
        assert len([one async for one in some.anthropic.messages.batches.list(limit=1)]) == 1
        assert server.counts.batches == 3

    asking(Script(batches=BatchScript(lose_submits=2)), body)


def test_the_batch_endpoints_may_be_busy_at_first() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        with pytest.raises(openai.RateLimitError):
            await submit(some, lines(["a"]))
        with pytest.raises(anthropic.RateLimitError):
            await hand_in(some, ["b"])
        await hand_in(some, ["b"])
        assert server.counts.batches == 1

    asking(Script(batches=BatchScript(busy_calls=2)), body)


def test_results_may_be_cut_and_read_again() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        batch = await over(some, await hand_in(some, ["a", "b", "c"]))
        with pytest.raises(Exception, match=r"(?i)incomplete|connection|protocol|read"):
            await results_of(some, batch)
        assert len(await results_of(some, batch)) == 3
        assert server.counts.answers == 3

    asking(Script(batches=BatchScript(cut_results=1)), body)


@pytest.mark.parametrize(
    "data",
    [
        b"not json",
        lines(["a", "a"]),
        lines(["a"], url="/v1/chat/completions"),
        b'{"custom_id": "x", "method": "POST", "url": "/v1/responses"}',
    ],
)
def test_a_file_that_cannot_be_read_fails_the_batch(data: bytes) -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        batch = await ended(some, await submit(some, data))
        assert batch.status == "failed"
        assert batch.errors is not None
        assert batch.errors.data
        assert batch.output_file_id is None

    asking(Script(), body)


def test_batches_of_another_key_are_not_seen() -> None:
    from tests.testing.provider.conftest import clients

    async def body(server: ProviderServer, some: Clients) -> None:
        batch = await submit(some, lines(["a"]))
        other = clients(server, "another key")
        with pytest.raises(openai.NotFoundError):
            await other.openai.batches.retrieve(batch.id)
        with pytest.raises(anthropic.BadRequestError):
            await some.anthropic.messages.batches.create(requests=[])
        await other.close()

    asking(Script(), body)
