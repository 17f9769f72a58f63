"""Batches over a pretended provider: gathered, paid once whatever dies when, and never lost."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Sequence
from dataclasses import replace

import pytest

from lens_ray.errors import BudgetReached, ProviderUnavailable
from lens_ray.models.api.adapter import (
    Kind,
    Question,
)
from lens_ray.models.protocol import Completion, Generation, Request
from tests.models.api.batch_provider import QUICK, Process, Provider, answered, lives
from tests.models.api.batch_stage import Step, requests


def run(work: Awaitable[object]) -> None:
    async def timed() -> None:
        await asyncio.wait_for(work, 20)

    asyncio.run(timed())


def test_questions_of_many_calls_become_one_batch() -> None:
    async def main() -> None:
        provider = Provider()
        process = Process(provider)
        got = await answered(process, requests(20))
        await process.close()
        assert {c.request_id: c.text for c in got} == {f"s{n}": f"re q{n}" for n in range(20)}
        assert [c.cost_usd for c in got] == [0.25] * 20
        assert [len(there.asked) for there in provider.batches] == [20]
        assert provider.reserved == 0
        assert provider.spent == 5.0

    run(main())


def test_a_batch_is_no_larger_than_allowed_in_questions_and_in_bytes() -> None:
    async def main() -> None:
        provider = Provider()
        process = Process(provider, pace=replace(QUICK, most=8))
        await answered(process, requests(20))
        await process.close()
        assert sorted(len(there.asked) for there in provider.batches) == [4, 8, 8]
        provider = Provider()
        # 9,000 bytes are 12,000 in base64; with the rest of a question, two go into 30,000.
        process = Process(provider, pace=replace(QUICK, most_bytes=30_000))
        await answered(process, requests(7, image=b"x" * 9_000))
        await process.close()
        assert sorted(len(there.asked) for there in provider.batches) == [1, 2, 2, 2]

    run(main())


def test_the_same_question_of_two_samples_is_asked_and_paid_once() -> None:
    async def main() -> None:
        provider = Provider()
        asked = [*requests(3), replace(requests(1)[0], request_id="twin")]
        process = Process(provider)
        got = {c.request_id: c for c in await answered(process, asked, call=2)}
        await process.close()
        assert got["twin"].text == got["s0"].text == "re q0"
        assert {got["twin"].cost_usd, got["s0"].cost_usd} == {0.0, 0.25}
        assert provider.paid == {"q0": 1, "q1": 1, "q2": 1}

    run(main())


@pytest.mark.parametrize("tags", [True, False], ids=["tags", "no tags"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_dead_at_any_step_it_pays_nothing_twice(tags: bool, after: bool) -> None:
    asked = requests(5)

    async def main() -> None:
        calm = Step()
        assert await lives(Provider(), asked, calm)
        assert calm.count == 9  # intent, handed in, id, five answers, end
        for at in range(1, calm.count + 1):
            provider = Provider(tags=tags)
            died = Step(at, after)
            # Nobody waits for the last note, so that the death at it goes unnoticed.
            assert not await lives(provider, asked, died) or at == calm.count
            again = Process(provider)
            got = {c.request_id: c.text for c in await answered(again, asked)}
            await asyncio.sleep(0.02)
            await again.close()
            assert got == {f"s{n}": f"re q{n}" for n in range(5)}, at
            assert set(provider.paid.values()) == {1}, (at, provider.paid)
            assert set(provider.kept.times.values()) == {1}, at
            assert len(provider.batches) == 1
            third = Process(provider)
            await answered(third, asked)
            await third.close()
            assert len(provider.batches) == 1

    run(main())


def test_an_untagged_batch_of_somebody_else_is_not_taken_for_ours() -> None:
    asked = requests(5)

    async def main() -> None:
        provider = Provider(tags=False)
        assert not await lives(provider, asked, Step(2))  # the intent is there, the batch is not
        strange = [Question(f"x-{n}", f"other {n}", (), Generation()) for n in range(5)]
        provider.take(strange, "")
        process = Process(provider)
        got = await answered(process, asked)
        await process.close()
        assert {c.text for c in got} == {f"re q{n}" for n in range(5)}
        assert len(provider.batches) == 2

    run(main())


def test_what_a_batch_did_not_answer_is_an_error_and_goes_into_the_next_one() -> None:
    async def main() -> None:
        provider = Provider(script={"q1": [Kind.EXPIRED], "q2": [Kind.REQUEST]})
        process = Process(provider)
        got = {c.request_id: c for c in await answered(process, requests(4))}
        assert got["s1"].error == "batch_expired: scripted"
        assert not got["s1"].lasting
        assert got["s2"].error == "invalid_request: scripted"
        assert got["s2"].lasting
        assert got["s0"].text == "re q0"
        again = await answered(process, requests(4)[1:2])
        await process.close()
        assert again[0].text == "re q1"
        assert [len(there.asked) for there in provider.batches] == [4, 1]

    run(main())


@pytest.mark.parametrize("took", [True, False], ids=["taken", "not taken"])
@pytest.mark.parametrize("tags", [True, False], ids=["tags", "no tags"])
def test_a_submission_without_an_answer_is_looked_for_before_it_is_repeated(
    took: bool, tags: bool
) -> None:
    async def main() -> None:
        provider = Provider(tags=tags, submit_script=[(Kind.TIMEOUT, took)])
        process = Process(provider)
        got = await answered(process, requests(5))
        await process.close()
        assert len(got) == 5
        assert set(provider.paid.values()) == {1}
        assert len(provider.batches) == 1

    run(main())


def test_an_overloaded_provider_is_asked_again_and_then_given_up() -> None:
    async def main() -> None:
        provider = Provider(submit_script=[(Kind.RATE_LIMIT, False)] * 3)
        process = Process(provider)
        assert [c.error for c in await answered(process, requests(2))] == [None, None]
        await process.close()
        provider = Provider(submit_script=[(Kind.RATE_LIMIT, False)] * 1000)
        process = Process(provider, pace=replace(QUICK, patience_s=0.05))
        got = await answered(process, requests(2))
        await process.close()
        assert {c.error for c in got} == {"rate_limit: scripted"}
        assert provider.reserved == 0
        assert not provider.batches

    run(main())


def test_a_queue_that_is_full_makes_batches_smaller() -> None:
    async def main() -> None:
        provider = Provider(script={f"q{n}": [Kind.RATE_LIMIT] for n in range(8)})
        process = Process(provider)
        got = await answered(process, requests(8))
        assert {c.error for c in got} == {"rate_limit: scripted"}
        got = await answered(process, requests(8))
        await process.close()
        assert {c.error for c in got} == {None}
        assert [len(there.asked) for there in provider.batches] == [8, 4, 4]

    run(main())


def test_one_question_that_spoils_a_batch_is_found() -> None:
    async def main() -> None:
        provider = Provider(refuses="q3")
        process = Process(provider)
        got = {c.request_id: c for c in await answered(process, requests(8))}
        await process.close()
        assert {name for name, c in got.items() if c.error} == {"s3"}
        assert got["s3"].lasting
        assert set(provider.paid) == {f"q{n}" for n in range(8)} - {"q3"}

    run(main())


def test_a_result_that_comes_twice_is_kept_and_settled_once() -> None:
    async def main() -> None:
        provider = Provider(twice=True)
        process = Process(provider)
        got = await answered(process, requests(6))
        await process.close()
        assert {c.error for c in got} == {None}
        assert set(provider.kept.times.values()) == {1}
        assert (provider.spent, provider.reserved) == (6 * 0.25, 0)

    run(main())


def test_a_stream_of_results_that_breaks_is_read_again_and_keeps_nothing_twice() -> None:
    async def main() -> None:
        provider = Provider(results_script=[Kind.CONNECTION, Kind.MALFORMED])
        process = Process(provider)
        got = await answered(process, requests(6))
        await process.close()
        assert {c.error for c in got} == {None}
        assert set(provider.kept.times.values()) == {1}
        assert provider.spent == 6 * 0.25

    run(main())


def test_a_batch_that_the_provider_has_forgotten_is_asked_again() -> None:
    async def main() -> None:
        provider = Provider()
        assert not await lives(provider, requests(3), Step(3, after=True))
        provider.forgotten = True
        process = Process(provider)
        got = await answered(process, requests(3))
        assert all(re.fullmatch("batch_expired: .* lost: no such batch", str(c.error)) for c in got)
        provider.forgotten = False
        got = await answered(process, requests(3))
        await process.close()
        assert {c.error for c in got} == {None}

    run(main())


def test_money_goes_as_far_as_it_goes_and_what_a_batch_gives_back_is_spent_too() -> None:
    async def main() -> None:
        # Each is reserved at 1.00 and costs 0.25: of 4.00, four go at once, then three more, ...
        provider = Provider(most_usd=4.0)
        process = Process(provider)
        reached: list[str] = []
        got: list[Completion] = []

        async def one(request: Request) -> None:
            try:
                got.extend([c async for c in process.batching.generate([request])])
            except BudgetReached:
                reached.append(request.request_id)

        await asyncio.gather(*map(one, requests(20)))
        await process.close()
        assert provider.spent <= 4.0
        assert len(got) == 13  # the last one begins with 3.00 spent
        assert len(got) + len(reached) == 20
        assert provider.reserved == pytest.approx(0)

    run(main())


def test_no_money_for_some_leaves_the_others_of_the_same_call_alone() -> None:
    async def main() -> None:
        provider = Provider(most_usd=2.0)
        process = Process(provider)
        got: list[Completion] = []

        async def asked() -> None:
            async for completion in process.batching.generate(requests(20)):
                got.append(completion)  # noqa: PERF401 - it ends by an error

        with pytest.raises(BudgetReached):
            await asked()
        await process.close()
        assert len(got) == len(provider.paid) == 5
        assert provider.spent == 5 * 0.25

    run(main())


def test_what_ended_is_noted_though_the_last_answer_ends_the_process() -> None:
    async def main() -> None:
        provider = Provider()
        process = Process(provider)
        async for _ in process.batching.generate(requests(1)):
            await process.close()
        assert sum(name.endswith("-end") for name in provider.kept.notes) == 1

    run(main())


def test_a_refused_key_ends_all_that_wait() -> None:
    async def main() -> None:
        provider = Provider(submit_script=[(Kind.KEY, False)])
        process = Process(provider)
        with pytest.raises(ProviderUnavailable, match="scripted"):
            await answered(process, requests(6))
        with pytest.raises(ProviderUnavailable, match="scripted"):
            await answered(process, requests(9)[6:])
        await process.close()
        assert {settled.how for settled in provider.settled} == {"dead"}

    run(main())


def test_an_image_that_cannot_be_sent_is_its_own_error() -> None:
    async def main() -> None:
        provider = Provider()
        process = Process(provider)
        bad = Request("bad", "q", (b"huge",), Generation(), prompt_hash="bad")
        got = {c.request_id: c for c in await answered(process, [*requests(3), bad])}
        await process.close()
        assert got["bad"].error == "image_too_large: larger than any"
        assert set(provider.paid) == {"q0", "q1", "q2"}

    run(main())


def test_memory_is_bounded_while_questions_come_faster_than_they_are_taken() -> None:
    async def main() -> None:
        pace = replace(QUICK, most_bytes=50_000)
        provider = Provider()
        process = Process(provider, pace=pace)
        turn, most = asyncio.Lock(), 0

        async def one(part: Sequence[Request]) -> list[Completion]:
            nonlocal most
            async with turn:  # as the engine's feeder does
                await process.batching.room()
                completions = process.batching.generate(part)
                most = max(most, process.batching.held)
            return [c async for c in completions]

        asked = requests(80, image=b"x" * 5_000)
        parts = [asked[at : at + 4] for at in range(0, 80, 4)]
        got = [c for part in await asyncio.gather(*map(one, parts)) for c in part]
        await process.close()
        assert len(got) == 80
        assert most <= 2 * 50_000 + 4 * 8_000
        assert process.batching.held == 0

    run(main())
