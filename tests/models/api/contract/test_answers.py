"""What is asked arrives as it is, and so does what is answered."""

from __future__ import annotations

import asyncio
import hashlib
import time

import pytest

from lens_ray.models.api.adapter import Adapter, Answer
from lens_ray.models.api.keys import Key
from lens_ray.testing.provider import Fault, Latency, ProviderServer, Says, Script, ServerLimits
from lens_ray.testing.provider.wire import Asked
from tests.models.api.contract.cases import KEY, SECRET, Case, picture, question


def seen(asked: Asked) -> str:
    """The images of a question as the server saw them."""
    return " ".join(image.digest for image in asked.images) or "none"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "text",
    ["how many?", "zwölf Käse,\n\nund 日本語 🧀\n", ' "quotes" \\ and {braces} <b> ', "x" * 50_000],
)
def test_a_text_and_its_answer_arrive_as_they_are(case: Case, text: str) -> None:
    with ProviderServer(Script()) as server:
        answer = case.answer(server, question(text, most=30_000))
        counts = server.counts
    assert (answer.text, answer.finish_reason) == (text, "stop")
    assert answer.served == case.model
    assert (answer.tokens_in, answer.tokens_out) == (counts.tokens_in, counts.tokens_out)
    assert (counts.calls, counts.answers) == (1, 1)
    assert counts.keys == {KEY.fingerprint: 1}


def test_a_text_that_is_no_unicode_does_no_harm(case: Case) -> None:
    with ProviderServer(Script(truth=Says("yes"))) as server:
        given = case.ask(server, question("half a \ud83d pair"))
    assert isinstance(given, Answer), given
    assert given.text == "yes"


def test_an_image_arrives_byte_for_byte(case: Case) -> None:
    for kind in ("PNG", "JPEG"):
        image = picture(1, kind=kind)
        with ProviderServer(Script(truth=Says(seen))) as server:
            answer = case.answer(server, question("what is this?", (image,), most=512))
            assert server.counts.images == 1
        assert answer.text == digest(image.data)


def test_several_images_arrive_in_order(case: Case) -> None:
    images = tuple(picture(n, kind="JPEG" if n % 2 else "PNG") for n in (3, 1, 2, 7, 5))
    with ProviderServer(Script(truth=Says(seen))) as server:
        answer = case.answer(server, question("which differs?", images, most=4096))
    assert answer.text.split() == [digest(image.data) for image in images]


def test_the_system_prompt_is_the_systems(case: Case) -> None:
    with ProviderServer(Script(truth=Says(lambda asked: f"{asked.system}|{asked.text}"))) as server:
        answer = case.answer(server, question("how many?"), system_prompt="Be brief.")
    assert answer.text == "Be brief.|how many?"


def test_a_long_answer_is_whole_and_a_longer_one_is_cut(case: Case) -> None:
    long = " ".join(f"word{number}" for number in range(4000))
    with ProviderServer(Script(truth=Says(long))) as server:
        whole = case.answer(server, question(most=32_000))
        cut = case.answer(server, question(most=100))
    assert (whole.text, whole.finish_reason) == (long, "stop")
    assert cut.finish_reason == "length"
    assert 0 < len(cut.text) < len(long)
    assert long.startswith(cut.text)
    assert cut.tokens_out is not None
    assert cut.tokens_out <= 100


def test_an_empty_answer_is_an_answer(case: Case) -> None:
    with ProviderServer(Script(faults=(Fault(kind="empty"),))) as server:
        answer = case.answer(server, question())
    assert (answer.text, answer.finish_reason) == ("", "stop")


def test_a_refusal_and_a_filter_are_told_apart_from_answers(case: Case) -> None:
    with ProviderServer(Script(faults=(Fault(kind="refusal"),))) as server:
        assert case.answer(server, question()).finish_reason in case.refuses
    with ProviderServer(Script(faults=(Fault(kind="content_filter"),))) as server:
        assert case.answer(server, question()).finish_reason in case.filters


def test_thinking_is_paid_and_not_shown(case: Case) -> None:
    with ProviderServer(Script(truth=Says("yes"), thinking=50)) as server:
        answer = case.answer(server, question(most=16), reasoning_tokens=2048)
    assert (answer.text, answer.finish_reason) == ("yes", "stop")
    assert answer.tokens_out == 51
    with ProviderServer(Script(truth=Says("yes"), thinking=150)) as server:
        assert case.answer(server, question(most=16)).finish_reason == "length"


def test_what_a_model_does_not_take_is_not_sent(case: Case) -> None:
    absent = ["temperature", "top_p", "seed", "stop"]
    with ProviderServer(Script(truth=Says("one STOP two"))) as server:
        answer = case.answer(server, question(stop=("STOP",)), absent=absent)
        sent = {name.lower() for name in server.counts.parameters}
    assert answer.text == "one STOP two"
    assert not sent & {"temperature", "top_p", "topp", "seed", "stop", "stop_sequences"}


def test_what_it_takes_is_sent(case: Case) -> None:
    with ProviderServer(Script(truth=Says("one STOP two"))) as server:
        answer = case.answer(server, question(stop=("STOP",)))
        sent = {name.lower() for name in server.counts.parameters}
    assert answer.text == ("one " if case.stops else "one STOP two")
    assert answer.finish_reason == "stop"
    assert "temperature" in sent


def test_the_served_model_is_told(case: Case) -> None:
    with ProviderServer(Script(served=((2, "snapshot-2"),))) as server:
        served = [case.answer(server, question(f"number {n}")).served for n in range(2)]
    assert served == [case.model, "snapshot-2"]


def test_prompts_are_not_estimated_too_small(case: Case) -> None:
    asked = [
        question("how many?"),
        question("Which of these is the largest?\nA. one\nB. two\nC. three\n" * 20),
        question("what?", (picture(1),)),
        question("what?", (picture(1, (1600, 1200)), picture(2, (300, 900)))),
    ]

    async def estimates(adapter: Adapter) -> list[int]:
        return [adapter.tokens(one) for one in asked]

    with ProviderServer(Script(truth=Says("yes"))) as server:
        found = [case.answer(server, one).tokens_in for one in asked]
        estimated = case.use(server, estimates)
    for counted, expected in zip(found, estimated, strict=True):
        assert counted is not None
        assert counted <= expected <= 4 * counted + 60


def test_many_are_asked_at_once_given_up_and_others_answered(case: Case) -> None:
    many = [question(f"number {n}", name=f"q-{n}") for n in range(64)]

    async def all_at_once(adapter: Adapter) -> list[Answer]:
        tasks = [asyncio.create_task(adapter.ask(one)) for one in many]
        while server.counts.waiting < len(many):
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended)
        server.script = Script()
        return await asyncio.gather(*(adapter.ask(one) for one in many))

    # Nothing is answered while the test runs: who is not freed by being given up ends the test.
    with ProviderServer(Script(latency=Latency(median_s=3600.0))) as server:
        answers = case.use(server, all_at_once, concurrency=64)
        counts = server.counts
    assert [one.text for one in answers] == [f"number {n}" for n in range(64)]
    assert (counts.calls, counts.answers) == (128, 64)


def test_the_environment_decides_nothing_but_the_key(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = "http://127.0.0.1:9/elsewhere"
    for name in ("OPENAI", "ANTHROPIC", "AZURE_OPENAI", "GOOGLE_GEMINI", "GOOGLE_VERTEX"):
        monkeypatch.setenv(f"{name}_BASE_URL", dead)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", dead)
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_GENAI_USE_ENTERPRISE", "true")
    other = "other-key-that-is-not-the-jobs-0123456789"
    for name in (
        "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_ADMIN_KEY",
    ):  # fmt: skip
        monkeypatch.setenv(name, other)
    with ProviderServer(Script(keys=frozenset({SECRET}))) as server:
        assert case.answer(server, question("who?")).text == "who?"
        assert server.counts.keys == {Key(SECRET, "X").fingerprint: 1}


def test_check_tells_who_answers_and_what_is_permitted(case: Case) -> None:
    limits = ServerLimits(requests=600, tokens=90_000)
    script = Script(limits=limits, served=((1, "snapshot-1"),), clock_skew_s=-300)
    with ProviderServer(script) as server:
        facts = case.use(server, lambda adapter: adapter.check())
        counts = server.counts
    assert facts["served"] == "snapshot-1"
    assert counts.calls == 1
    assert counts.tokens_out <= 20
    if case.tells_limits:
        assert (facts["requests_per_minute"], facts["tokens_per_minute"]) == ("600", "90000")
    assert abs(float(facts["server_time"]) + 300 - time.time()) < 60
