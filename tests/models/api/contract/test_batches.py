"""Batches, where a provider has them: handed in, followed, and read question by question."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from lens_ray.models.api.adapter import Adapter, Answer, ApiFailure, BatchState, Kind, Question
from lens_ray.models.api.options import Price
from lens_ray.testing.provider import BatchScript, Fault, ProviderServer, Says, Script
from tests.models.api.contract.cases import CASES, SECRET, Case, picture, question

Results = dict[str, Answer | ApiFailure]


def many(count: int = 12) -> list[Question]:
    """Questions with and without an image."""
    return [
        question(f"number {n}", (picture(n),) if n % 3 == 0 else (), name=f"lens-{n:03d}")
        for n in range(count)
    ]


async def results(adapter: Adapter, questions: Sequence[Question]) -> Results:
    """Hand in, wait for the end, read."""
    state = await adapter.submit(questions, "tag-1")
    until = time.monotonic() + 10
    while not state.over:
        assert time.monotonic() < until
        await asyncio.sleep(0.02)
        state = await adapter.batch(state.batch_id)
    return {name: result async for name, result in adapter.results(state.batch_id)}


async def into(found: Results, adapter: Adapter, state: BatchState) -> None:
    """Read the results as far as they come."""
    async for name, result in adapter.results(state.batch_id):
        found[name] = result


def test_every_question_gets_its_answer_at_the_batch_price(batching: Case) -> None:
    prices = {"*": Price(input=2.0, output=4.0, batch_input=1.0, batch_output=2.0)}
    with ProviderServer(Script(prices=prices)) as server:
        found = batching.use(server, lambda adapter: results(adapter, many()))
        counts = server.counts
    assert sorted(found) == [one.custom_id for one in many()]
    tokens = [0, 0]
    for asked in many():
        answer = found[asked.custom_id]
        assert isinstance(answer, Answer), answer
        assert (answer.text, answer.finish_reason) == (asked.text, "stop")
        assert answer.served == batching.model
        tokens[0] += answer.tokens_in or 0
        tokens[1] += answer.tokens_out or 0
    assert tokens == [counts.tokens_in, counts.tokens_out]
    assert counts.usd == pytest.approx((tokens[0] + 2 * tokens[1]) / 1e6)
    assert (counts.batches, counts.calls, counts.images) == (1, 0, 4)


def test_a_question_that_fails_fails_alone(batching: Case) -> None:
    faults = (
        Fault(kind="moderation", text="number 1$"),
        Fault(kind="refusal", text="number 2$"),
        Fault(kind="context", text="number 3$"),
        Fault(kind="server_error", text="number 4$"),
        Fault(kind="empty", text="number 5$"),
    )
    with ProviderServer(Script(faults=faults, truth=Says("yes"))) as server:
        found = batching.use(server, lambda adapter: results(adapter, many(8)))
    kinds = {
        name[-1]: result.kind if isinstance(result, ApiFailure) else result.finish_reason
        for name, result in found.items()
    }
    assert kinds == {
        "0": "stop", "1": Kind.MODERATION, "2": "refusal", "3": Kind.CONTEXT, "4": Kind.SERVER,
        "5": "stop", "6": "stop", "7": "stop",
    }  # fmt: skip
    empty = found["lens-005"]
    assert isinstance(empty, Answer)
    assert empty.text == ""


def test_what_was_not_asked_before_a_batch_expired_is_told_or_left_out(batching: Case) -> None:
    script = Script(batches=BatchScript(ends="expired", answered=0.5), truth=Says("yes"))
    with ProviderServer(script) as server:
        found = batching.use(server, lambda adapter: results(adapter, many()))
        assert server.counts.answers == 6
    assert sum(isinstance(one, Answer) for one in found.values()) == 6
    failures = [one for one in found.values() if isinstance(one, ApiFailure)]
    assert {failure.kind for failure in failures} <= {Kind.EXPIRED}


def test_a_batch_is_found_again_by_who_did_not_hear_of_it(batching: Case) -> None:
    async def lost(adapter: Adapter) -> tuple[ApiFailure, Sequence[BatchState]]:
        with pytest.raises(ApiFailure) as caught:
            await adapter.submit(many(), "tag-of-mine")
        return caught.value, await adapter.batches()

    script = Script(batches=BatchScript(lose_submits=1))
    with ProviderServer(script) as server:
        failure, listed = batching.use(server, lost)
        assert server.counts.batches == 1
    assert failure.kind in (Kind.CONNECTION, Kind.MALFORMED)
    assert len(listed) == 1
    assert listed[0].created == pytest.approx(time.time(), abs=10)
    assert listed[0].tag == ("tag-of-mine" if batching.provider == "openai" else None)


def test_results_that_are_cut_are_a_failure_and_can_be_read_again(batching: Case) -> None:
    async def twice(adapter: Adapter) -> tuple[Results, Results]:
        state = await adapter.submit(many(), "tag")
        while not (state := await adapter.batch(state.batch_id)).over:
            await asyncio.sleep(0.02)
        first: Results = {}
        with pytest.raises(ApiFailure) as caught:
            await into(first, adapter, state)
        assert caught.value.kind in (Kind.CONNECTION, Kind.MALFORMED)
        second: Results = {}
        await into(second, adapter, state)
        return first, second

    with ProviderServer(Script(batches=BatchScript(cut_results=1))) as server:
        first, second = batching.use(server, twice)
        assert server.counts.answers == 12
    assert len(first) < len(second) == 12
    assert all(isinstance(one, Answer) for one in first.values())


def test_a_batch_that_nobody_knows_and_a_dead_key(batching: Case) -> None:
    async def failures(adapter: Adapter) -> list[Kind]:
        calls = (adapter.batch("batch_nowhere"), adapter.submit(many(2), "t"))
        ended = await asyncio.gather(*calls, return_exceptions=True)
        failed = [one for one in ended if isinstance(one, ApiFailure)]
        assert all(SECRET not in one.line for one in failed)
        return [one.kind for one in failed]

    with ProviderServer(Script(keys=frozenset({SECRET}))) as server:
        assert len(batching.use(server, failures)) == 1
        server.script = Script(keys=frozenset({"another"}))
        assert batching.use(server, failures) == [Kind.KEY, Kind.KEY]


def test_who_has_none_says_so() -> None:
    for case in CASES:

        async def has(adapter: Adapter) -> bool:
            return adapter.has_batches

        assert case.use("http://127.0.0.1:9", has) == case.batches
