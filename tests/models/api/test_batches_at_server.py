"""Batches through the real SDKs at the scripted server: paid once, whatever dies when."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from pydantic import ValidationError

from lens_ray.models.api.adapter import Adapter, BatchState, Question
from lens_ray.models.api.batch_calls import BatchPace
from lens_ray.models.api.batching import Batching
from lens_ray.models.api.craft import Craft
from lens_ray.models.api.keys import Key
from lens_ray.models.api.options import (
    AnthropicOptions,
    ApiOptions,
    GeminiOptions,
    OpenAIOptions,
    Price,
)
from lens_ray.models.api.ports import Alone, Ports
from lens_ray.models.api.pricing import TokenPrice
from lens_ray.models.api.providers import make_adapter
from lens_ray.models.protocol import Completion
from lens_ray.testing.provider import BatchScript, Fault, ProviderServer, Script
from tests.models.api.batch_stage import Died, Kept, Noted, Remembered, Step, requests

QUICK = BatchPace(quiet_s=0.01, poll_s=0.01, longest_poll_s=0.05, grace_s=0.05, patience_s=2.0)
DIALECTS = ("responses", "chat", "anthropic")
PRICE = Price(input=1.0, output=2.0, batch_input=0.5, batch_output=1.0)
FAST = BatchScript(takes_s=0.02)


def _png() -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (16, 12), (200, 30, 30)).save(sink, "PNG")
    return sink.getvalue()


PNG = _png()


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Dying:
    """The real adapter, but for a death just after the provider took a batch."""

    def __init__(self, inner: Adapter, step: Step) -> None:
        self.provider, self.version = inner.provider, inner.version
        self.has_batches = inner.has_batches
        self.tokens, self.ask, self.batch = inner.tokens, inner.ask, inner.batch
        self.results, self.batches, self.check = inner.results, inner.batches, inner.check
        self.close = inner.close
        self._inner = inner
        self._step = step

    async def submit(self, questions: Sequence[Question], tag: str) -> BatchState:
        state = await self._step.take(lambda: self._inner.submit(questions, tag))
        assert isinstance(state, BatchState)
        return state


class Life:
    """A process that asks by batches."""

    def __init__(
        self,
        server: ProviderServer,
        dialect: str,
        kept: Kept,
        threads: ThreadPoolExecutor,
        step: Step | None = None,
        model: str = "m-1",
    ) -> None:
        options: ApiOptions
        if dialect == "anthropic":
            options = AnthropicOptions(base_url=server.url, mode="batch", timeout_s=5)
        else:
            options = OpenAIOptions(
                base_url=server.openai_url,
                mode="batch",
                timeout_s=5,
                api="chat" if dialect == "chat" else "responses",
            )
        provider = "anthropic" if dialect == "anthropic" else "openai"
        step = step or Step()
        self._adapter = make_adapter(provider, model, options, Key("sk-test", "A_KEY"))
        self.craft = Craft(
            model, provider, options, self._adapter, absent=frozenset(),
            price=TokenPrice(PRICE, True, "a test"), weight_version="w", threads=threads,
            variable="A_KEY",
        )  # fmt: skip
        permits = Alone(1000)
        ports = Ports(permits, Remembered(kept, step), Noted(kept, step))
        self._ports = ports
        self.batching = Batching(Dying(self._adapter, step), ports, self.craft, QUICK)

    async def asked(self, count: int) -> dict[str, Completion]:
        await self.craft.meet(self._ports.memory, Alone().ports.notes)
        found = self.batching.generate(requests(count, image=PNG))
        return {completion.request_id: completion async for completion in found}

    async def close(self) -> None:
        await self.batching.close()
        await self._adapter.close()


async def once(
    server: ProviderServer,
    dialect: str,
    threads: ThreadPoolExecutor,
    count: int,
    kept: Kept | None = None,
    step: Step | None = None,
    model: str = "m-1",
) -> dict[str, Completion]:
    life = Life(server, dialect, kept or Kept(), threads, step, model)
    try:
        async with asyncio.timeout(20):
            return await life.asked(count)
    finally:
        await life.close()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dead_at_any_step_it_pays_nothing_twice(dialect: str, threads: ThreadPoolExecutor) -> None:
    with ProviderServer(Script(batches=FAST)) as server:
        for at in range(1, 8):  # intent, handed in, id, three answers, end
            kept, model = Kept(), f"m-{at}"
            try:
                asyncio.run(once(server, dialect, threads, 3, kept, Step(at, after=True), model))
            except Died:
                assert at < 7
            else:
                assert at == 7  # nobody waits for the last note
            got = asyncio.run(once(server, dialect, threads, 3, kept, model=model))
            assert {one.text for one in got.values()} == {"q0", "q1", "q2"}
            counts = server.counts
            assert (counts.batches, counts.answers, counts.paid_again) == (at, 3 * at, 0)
            assert set(kept.times.values()) == {1}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_lost_answer_to_the_hand_in_and_a_cut_download_cost_nothing(
    dialect: str, threads: ThreadPoolExecutor
) -> None:
    script = Script(batches=BatchScript(takes_s=0.02, lose_submits=1, cut_results=1))
    with ProviderServer(script) as server:
        got = asyncio.run(once(server, dialect, threads, 20))
        counts = server.counts
    assert {one.text for one in got.values()} == {f"q{n}" for n in range(20)}
    assert (counts.batches, counts.answers, counts.paid_again) == (1, 20, 0)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_expired_is_asked_again_and_only_that(
    dialect: str, threads: ThreadPoolExecutor
) -> None:
    script = BatchScript(takes_s=0.02, ends="expired", answered=0.5)
    kept = Kept()
    with ProviderServer(Script(batches=script)) as server:
        got = asyncio.run(once(server, dialect, threads, 20, kept))
        expired = {name for name, one in got.items() if one.error}
        assert 2 < len(expired) < 18
        assert all(str(got[name].error).startswith("batch_expired: ") for name in expired)
        server.script = Script(batches=FAST)
        again = asyncio.run(once(server, dialect, threads, 20, kept))
        counts = server.counts
    assert {one.text for one in again.values()} == {f"q{n}" for n in range(20)}
    assert (counts.answers, counts.paid_again) == (20, 0)


def test_a_batch_that_fails_as_a_whole_is_asked_again_by_halves(
    threads: ThreadPoolExecutor,
) -> None:
    kept = Kept()
    with ProviderServer(Script(batches=BatchScript(takes_s=0.02, ends="failed"))) as server:
        got = asyncio.run(once(server, "responses", threads, 8, kept))
        assert {str(one.error).partition(":")[0] for one in got.values()} == {"batch_expired"}
        assert not any(one.lasting for one in got.values())
        server.script = Script(batches=FAST)
        again = asyncio.run(once(server, "responses", threads, 8, kept))
        assert server.counts.paid_again == 0
    assert not any(one.error for one in again.values())


@pytest.mark.parametrize("dialect", ["responses", "anthropic"])
def test_faults_of_single_questions_are_theirs_alone(
    dialect: str, threads: ThreadPoolExecutor
) -> None:
    faults = (
        Fault(kind="invalid", text="q1$"),
        Fault(kind="server_error", text="q2$"),
        Fault(kind="refusal", text="q3$"),
        Fault(kind="expired", text="q4$"),
    )
    kept = Kept()
    with ProviderServer(Script(batches=FAST, faults=faults)) as server:
        got = asyncio.run(once(server, dialect, threads, 6, kept))
    errors = {name: str(one.error).partition(":")[0] for name, one in got.items() if one.error}
    assert errors == {"s1": "invalid_request", "s2": "server_error", "s4": "batch_expired"}
    assert [name for name, one in got.items() if one.lasting] == ["s1"]
    assert got["s3"].finish_reason == "refusal"
    tokens_in, tokens_out = got["s0"].tokens_in or 0, got["s0"].tokens_out or 0
    assert got["s0"].cost_usd == pytest.approx((0.5 * tokens_in + tokens_out) / 1e6)
    assert set(kept.answers) == {"h0", "h3", "h5"}


def test_gemini_says_who_makes_batches() -> None:
    with pytest.raises(ValidationError, match="backends openai and anthropic, not with gemini"):
        GeminiOptions(mode="batch")
