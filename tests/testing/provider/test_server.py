"""The scripted provider over HTTP, asked by the official SDKs: answers, faults, limits, counts."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine

import anthropic
import httpx2
import openai
import pytest
from google.genai import errors as gemini_errors

from lens_ray.errors import UserError
from lens_ray.models.api.keys import Key
from lens_ray.models.api.options import ApiOptions, OpenAIOptions, Price, Scripted
from lens_ray.testing.provider import (
    TRANSIENT,
    Echo,
    Fault,
    Latency,
    ProviderServer,
    Says,
    Script,
    ServerLimits,
    mixed_faults,
    start_scripted,
)
from lens_ray.testing.provider.script import FaultKind
from tests.testing.provider.conftest import Clients, clients

#: What the SDKs raise, and what JSON of another form makes of reading an answer.
TROUBLES = (
    openai.OpenAIError,
    anthropic.AnthropicError,
    gemini_errors.APIError,
    httpx2.HTTPError,
    ValueError,
    AttributeError,
    TypeError,
)


def asking(
    script: Script,
    body: Callable[[ProviderServer, Clients], Coroutine[object, object, None]],
    key: str = "a key",
    timeout_s: float = 5.0,
) -> ProviderServer:
    """Run a body before a server of a script; the server is closed, its counts stay."""
    with ProviderServer(script) as server:

        async def run() -> None:
            some = clients(server, key, timeout_s)
            try:
                await body(server, some)
            finally:
                await some.close()

        asyncio.run(run())
    return server


def status_of(error: BaseException) -> int | None:
    found = getattr(error, "status_code", getattr(error, "code", None))
    return found if isinstance(found, int) else None


def test_every_way_is_answered_and_counted() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        for way in ("responses", "chat", "messages", "generate"):
            assert await some.by_name(way)(f"hello {way}") == f"hello {way}"
        assert await some.chat("hello chat") == "hello chat"
        counts = server.counts
        assert counts.calls == counts.answers == 5
        assert counts.providers == {"openai": 3, "anthropic": 1, "gemini": 1}
        assert (counts.prompts, counts.paid_again) == (4, 1)
        assert counts.statuses == {200: 5}
        assert counts.keys == {Key("a key", "X").fingerprint: 5}
        assert "a key" not in repr(server.counts.facts())

    asking(Script(), body)


def test_dollars_by_the_scripts_prices() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        await some.messages("one two three")
        counts = server.counts
        assert (counts.tokens_in, counts.tokens_out) == (8 + 3, 2)
        assert counts.usd == pytest.approx((11 * 3 + 2 * 15) / 1e6)

    asking(Script(truth=Says("four five"), prices={"*": Price(input=3, output=15)}), body)


STATUSES: dict[FaultKind, dict[str, int]] = {
    "rate_limit": {"openai": 429, "anthropic": 429, "gemini": 429},
    "overloaded": {"openai": 503, "anthropic": 529, "gemini": 503},
    "server_error": {"openai": 500, "anthropic": 500, "gemini": 500},
    "html": {"openai": 502, "anthropic": 502, "gemini": 502},
    "bad_key": {"openai": 401, "anthropic": 401, "gemini": 400},
    "no_credit": {"openai": 429, "anthropic": 402, "gemini": 403},
    "unknown_model": {"openai": 404, "anthropic": 404, "gemini": 404},
    "context": {"openai": 400, "anthropic": 400, "gemini": 400},
    "image": {"openai": 400, "anthropic": 400, "gemini": 400},
    "invalid": {"openai": 400, "anthropic": 400, "gemini": 400},
}
PROVIDERS = {"responses": "openai", "chat": "openai", "messages": "anthropic", "generate": "gemini"}


def test_faults_that_are_errors_have_their_status_and_cost_nothing(way: str) -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        for kind, by_provider in STATUSES.items():
            server.script = Script(faults=(Fault(kind=kind),))
            with pytest.raises(TROUBLES) as raised:
                await some.by_name(way)("hello")
            assert status_of(raised.value) == by_provider[PROVIDERS[way]], kind
        assert server.counts.answers == 0
        assert server.counts.faults == dict.fromkeys(STATUSES, 1)

    asking(Script(), body)


@pytest.mark.parametrize("kind", ["disconnect", "lost_answer", "broken_json", "truncated"])
def test_faults_on_the_way_raise_and_are_billed_where_an_answer_was_made(
    way: str, kind: FaultKind
) -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        with pytest.raises(TROUBLES):
            await some.by_name(way)("hello")
        # The same question goes well at its second try, and has then been paid once that counts.
        assert await some.by_name(way)("hello") == "hello"
        counts = server.counts
        made = 0 if kind == "disconnect" else 1
        assert (counts.answers, counts.spoilt, counts.paid_again) == (1 + made, made, 0)

    asking(Script(faults=(Fault(kind=kind, tries=1),)), body)


def test_silence_and_drip_end_in_a_timeout(way: str) -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        for kind in ("silence", "drip"):
            server.script = Script(faults=(Fault(kind=kind, seconds=20.0),))
            with pytest.raises(TROUBLES):
                async with asyncio.timeout(1.0):
                    await some.by_name(way)("hello")

    began = time.monotonic()
    asking(Script(), body, timeout_s=0.12)
    assert time.monotonic() - began < 20  # the server does not wait for its own pauses


def test_a_caller_that_waits_no_longer_is_no_error_of_the_server(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await some.by_name(way)("hello")
        await asyncio.sleep(0.5)

    asking(Script(faults=(Fault(kind="drip", seconds=0.6),)), body)
    assert "Error handling request" not in caplog.text


def test_a_slow_answer_arrives_whole(way: str) -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        assert await some.by_name(way)("hello") == "hello"

    asking(Script(faults=(Fault(kind="drip", seconds=0.04),)), body)


def test_refusals_filters_and_moderation_as_each_provider_has_them() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        server.script = Script(faults=(Fault(kind="refusal"),))
        response = await some.openai.responses.create(model="m", input="x")
        assert response.to_dict()["output"][0]["content"][0]["type"] == "refusal"  # type: ignore[index]
        chat = await some.openai.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}]
        )
        assert (chat.choices[0].message.content, chat.choices[0].finish_reason) == (None, "stop")
        assert chat.choices[0].message.refusal
        message = await some.anthropic.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]
        )
        assert (message.stop_reason, message.content) == ("refusal", [])
        server.script = Script(faults=(Fault(kind="content_filter"),))
        response = await some.openai.responses.create(model="m", input="x")
        assert response.incomplete_details is not None
        assert response.incomplete_details.reason == "content_filter"
        content = await some.gemini.aio.models.generate_content(model="m", contents="x")
        assert content.candidates is not None
        assert content.candidates[0].finish_reason == "SAFETY"
        server.script = Script(faults=(Fault(kind="moderation"),))
        with pytest.raises(openai.BadRequestError) as raised:
            await some.chat("x")
        assert raised.value.code == "content_policy_violation"
        content = await some.gemini.aio.models.generate_content(model="m", contents="x")
        assert content.candidates is None
        assert content.prompt_feedback is not None

    asking(Script(), body)


def test_long_answers_are_cut_and_stop_texts_end_them() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        response = await some.openai.responses.create(model="m", input="x", max_output_tokens=3)
        assert (response.output_text, response.status) == ("one two three", "incomplete")
        message = await some.anthropic.messages.create(
            model="m", max_tokens=9, stop_sequences=["two"], messages=[
                {"role": "user", "content": "x"}
            ],
        )  # fmt: skip
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "two")
        assert message.content[0].to_dict()["text"] == "one "

    asking(Script(truth=Says("one two three four")), body)


def test_a_share_of_the_questions_fails_at_first_and_always_the_same() -> None:
    script = Script(faults=mixed_faults(0.2), seed=5)
    struck: list[set[str]] = []

    async def body(server: ProviderServer, some: Clients) -> None:
        failed = set[str]()
        for number in range(150):
            try:
                await some.responses(f"question {number}")
            except TROUBLES:
                failed.add(f"question {number}")
        for text in failed:
            assert await some.responses(text) == text
        struck.append(failed)
        counts = server.counts
        assert counts.faults.total() == len(failed)
        assert 15 <= counts.faults.total() <= 50
        assert set(counts.faults) <= set(TRANSIENT)

    asking(script, body)
    asking(script, body)
    assert struck[0] == struck[1]


def test_a_storm_comes_and_goes_by_the_number_of_the_call() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        outcomes, waits = [], []
        for number in range(6):
            try:
                await some.messages(str(number))
                outcomes.append(200)
            except anthropic.APIStatusError as error:
                outcomes.append(error.status_code)
                waits.append(error.response.headers["retry-after"])
        assert waits == ["7"] * 3
        assert outcomes == [200, 529, 529, 529, 200, 200]

    fault = Fault(kind="overloaded", after=1, until=4, retry_after_s=7.0)
    asking(Script(faults=(fault,)), body)


def test_limits_refuse_and_say_when_to_come_back() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        answer = await some.openai.responses.with_raw_response.create(model="m", input="1")
        assert answer.headers["x-ratelimit-limit-requests"] == "6"
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(openai.RateLimitError) as raised:
            await some.responses("2")
        headers = raised.value.response.headers
        wait_ms = int(headers["retry-after-ms"])
        assert 0 < wait_ms <= 10_000
        assert int(headers["retry-after"]) == math.ceil(wait_ms / 1000)
        assert headers["x-ratelimit-remaining-requests"] == "0"
        # Another model, and another key, have limits of their own.
        await some.openai.responses.create(model="n", input="3")
        await clients(server, "another key").responses("4")
        assert server.counts.rejected == 1

    asking(Script(limits=ServerLimits(requests=6, burst_s=10)), body)


@pytest.mark.parametrize("queue", [True, False])
def test_more_calls_at_once_wait_or_are_refused(queue: bool) -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        outcomes = await asyncio.gather(
            *(some.messages(str(number)) for number in range(10)), return_exceptions=True
        )
        good = [one for one in outcomes if isinstance(one, str)]
        assert len(good) == 10 if queue else 4 <= len(good) < 10
        assert all(isinstance(one, str) or status_of(one) == 529 for one in outcomes)
        assert server.counts.most_waiting > 4

    limits = ServerLimits(concurrency=4, queue=queue, overloaded=True)
    asking(Script(limits=limits, latency=Latency(median_s=0.2)), body)


def test_who_leaves_while_it_is_answered_pays_all_the_same() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        call = asyncio.create_task(some.messages("hello"))
        while not server.counts.waiting:
            await asyncio.sleep(0.01)
        call.cancel()
        while server.counts.waiting or not server.counts.answers:
            await asyncio.sleep(0.01)
        await asyncio.wait([call])
        assert call.cancelled()

    asking(Script(latency=Latency(median_s=0.2)), body)


def test_keys_models_credit_and_size() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        cases: list[tuple[Script, int]] = [
            (Script(keys=frozenset({"other"})), 401),
            (Script(models=frozenset({"other"})), 404),
            (Script(credit_usd=0.0), 402),
            (Script(max_context=70), 400),
            (Script(max_body_bytes=20), 413),
            (Script(dead_after=0), 401),
        ]
        for script, status in cases:
            server.script = script
            with pytest.raises(anthropic.APIStatusError) as raised:
                await some.messages("one two three")
            assert raised.value.status_code == status
        assert server.counts.answers == 0

    asking(Script(), body)


def test_a_parameter_that_the_model_does_not_take_is_named() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        with pytest.raises(openai.BadRequestError) as raised:
            await some.openai.responses.create(model="m", input="x", temperature=0.0)
        assert (raised.value.param, raised.value.code) == ("temperature", "unsupported_parameter")
        with pytest.raises(gemini_errors.ClientError, match='Unknown name "temperature"'):
            await some.gemini.aio.models.generate_content(
                model="m", contents="x", config={"temperature": 0.0}
            )

    asking(Script(absent=frozenset({"temperature"})), body)


def test_the_served_id_changes_at_a_call() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        said = [
            (await some.openai.responses.create(model="m", input=str(number))).model
            for number in range(4)
        ]
        assert said == ["m-1", "m-1", "m-2", "m-2"]

    asking(Script(served=((1, "m-1"), (3, "m-2"))), body)


def test_models_can_be_looked_up_and_tokens_counted() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        assert (await some.openai.models.retrieve("m")).id == "m"
        assert (await some.anthropic.models.retrieve("m")).id == "m"
        assert (await some.gemini.aio.models.get(model="m")).name == "models/m"
        counted = await some.anthropic.messages.count_tokens(
            model="m", messages=[{"role": "user", "content": "one two"}]
        )
        assert counted.input_tokens == 8 + 2
        assert server.counts.calls == 0

    asking(Script(), body)


def test_the_clock_may_be_off() -> None:
    async def body(server: ProviderServer, some: Clients) -> None:
        from email.utils import parsedate_to_datetime

        answer = await some.openai.responses.with_raw_response.create(model="m", input="1")
        said = parsedate_to_datetime(answer.headers["date"]).timestamp()
        assert said - time.time() == pytest.approx(600, abs=3)

    asking(Script(clock_skew_s=600), body)


def test_a_taken_port_is_an_error_and_a_server_can_be_used_async() -> None:
    async def run() -> None:
        async with ProviderServer(Script(truth=Echo("> "))) as server:
            with pytest.raises(OSError, match="in use"):
                ProviderServer(port=server.port).start()
            some = clients(server)
            assert await some.chat("x") == "> x"
            await some.close()

    asyncio.run(run())


def test_the_builtin_server_is_one_for_the_same_options() -> None:
    scripted = Scripted(skill=1.0, latency_s=0.0)
    options = OpenAIOptions(base_url="builtin:scripted", scripted=scripted)
    url = start_scripted(options)
    assert url == start_scripted(ApiOptions(scripted=scripted))
    assert url != start_scripted(ApiOptions(scripted=Scripted(skill=0.5)))


def test_a_skill_for_an_ability_that_the_suite_has_not_is_refused() -> None:
    scripted = Scripted(skill={"countng": 0.5})
    with pytest.raises(UserError, match="'countng' is no ability of mini:quick; it has attribute"):
        start_scripted(ApiOptions(scripted=scripted))


def test_the_command_line_serves_until_a_signal_and_prints_what_it_saw() -> None:
    import json
    import urllib.request

    command = [sys.executable, "-m", "lens_ray.testing.provider", "--suite", "echo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        request = urllib.request.Request(
            f"{url}/v1/responses",
            data=json.dumps({"model": "m", "input": "hello"}).encode(),
            headers={"Authorization": "Bearer secret"},
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["output"][0]["content"][0]["text"] == "hello"
        process.terminate()
        rest = process.stdout.read()
        assert process.wait() == 0
    assert json.loads(rest)["answers"] == 1
    assert "secret" not in rest
