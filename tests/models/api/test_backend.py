"""Between the engine's requests and an adapter, here one that stands in: `ApiBackend`."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

import lens_ray.models.api.backend as backend_module
from lens_ray.errors import BudgetReached, ProviderUnavailable, UserError
from lens_ray.models.api.adapter import Answer, ApiFailure, Kind
from lens_ray.models.api.backend import ApiBackend
from lens_ray.models.api.craft import hash_of
from lens_ray.models.api.ports import Alone, Load, Permit, Ports, Settled
from lens_ray.models.identity import identify
from lens_ray.models.preflight import preflight
from lens_ray.models.protocol import Backend, Completion, Generation, Request
from lens_ray.models.spec import ModelSpec
from tests.models.api.standin import SERVED, THREE, StandIn, paid_model, says

T = TypeVar("T")


def picture(colour: str = "red") -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, "PNG")
    return out.getvalue()


def request(name: str = "a", **given: object) -> Request:
    made = Request(name, f"how many? {name}", (picture(),), Generation())
    made = replace(made, **given)  # type: ignore[arg-type]
    return replace(made, prompt_hash=hash_of(made))


class Watched(Alone):
    """Notes what permits were asked for, and how they were settled."""

    def __init__(self, concurrency: int = 8) -> None:
        super().__init__(concurrency)
        self.loads: list[Load] = []
        self.settled: list[Settled] = []

    async def acquire(self, load: Load) -> Permit:
        self.loads.append(load)
        return await super().acquire(load)

    def settle(self, permit: Permit, settled: Settled) -> None:
        self.settled.append(settled)
        super().settle(permit, settled)


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    adapter = StandIn()
    monkeypatch.setattr(backend_module, "make_adapter", lambda *_: adapter)
    return adapter


def play(
    requests: Sequence[Request], spec: ModelSpec | None = None, ports: Ports | None = None
) -> list[Completion]:
    """What one backend answers, all asked at once."""

    async def ask(backend: ApiBackend) -> list[Completion]:
        return [one async for one in backend.generate(requests)]

    return with_backend(ask, spec, ports)


def with_backend(
    act: Callable[[ApiBackend], Awaitable[T]],
    spec: ModelSpec | None = None,
    ports: Ports | None = None,
) -> T:
    async def run() -> T:
        backend = ApiBackend(spec or paid_model(), "model")
        if ports is not None:
            backend.attach(ports)
        await backend.start()
        try:
            return await act(backend)
        finally:
            await backend.close()

    return asyncio.run(run())


def test_an_answer_says_what_it_took_and_cost(standin: StandIn) -> None:
    watched = Watched()
    (answer,) = play([request(generation=Generation(max_new_tokens=5))], ports=watched.ports)
    assert answer.text == "3"
    assert answer.served == SERVED
    assert answer.cost_usd == pytest.approx(12e-6)
    assert answer.weight_version == identify(paid_model()).weights_digest
    # 10 of the prompt, and 16 of the answer: the Responses interface takes no smaller limit.
    assert watched.loads == [Load(26, 1, 26 / 1e6)]
    assert watched.settled == [Settled("answered", 12, 12 / 1e6)]
    assert standin.questions[0].images[0].data == picture()
    assert standin.closed


def test_no_price_is_no_cost(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched()
    (answer,) = play([request()], paid_model(price=None), watched.ports)
    assert answer.cost_usd is None
    assert watched.loads[0].usd is None


def test_the_price_table_knows_models_by_their_id(standin: StandIn) -> None:
    spec = paid_model(path="claude-opus-4-6", price=None)
    (answer,) = play([request()], spec)
    assert answer.cost_usd == pytest.approx((10 * 5 + 2 * 25) / 1e6)


def test_tokens_that_nobody_counted_have_no_price(standin: StandIn) -> None:
    standin.say = says(replace(THREE, tokens_in=None))
    watched = Watched()
    (answer,) = play([request()], ports=watched.ports)
    assert (answer.cost_usd, watched.settled) == (None, [Settled("answered")])


def test_tokens_of_thinking_are_reserved(standin: StandIn) -> None:
    watched = Watched()
    play([request()], paid_model(reasoning_tokens=1000), watched.ports)
    assert watched.loads[0].tokens == 10 + 16 + 1000


def test_a_refused_call_is_asked_again_and_costs_no_attempt(standin: StandIn) -> None:
    busy = ApiFailure(Kind.RATE_LIMIT, "slow down", retry_after_s=0.01)
    standin.say = lambda _, before: busy if before < 3 else THREE
    watched = Watched()
    (answer,) = play([request()], ports=watched.ports)
    assert answer.error is None
    assert [one.how for one in watched.settled] == ["throttled"] * 3 + ["answered"]
    assert watched.settled[0].retry_after_s == 0.01


def test_waiting_for_leave_is_no_latency_of_the_answer(standin: StandIn) -> None:
    class Late(Watched):
        let = 0.0

        async def acquire(self, load: Load) -> Permit:
            permit = await super().acquire(load)
            await asyncio.sleep(0.05)
            self.let = time.monotonic()
            return permit

    late = Late()
    (found,) = play([request()], ports=late.ports)
    assert found.latency_s <= time.monotonic() - late.let


def test_a_wait_that_patience_does_not_bear_is_not_waited_for(standin: StandIn) -> None:
    standin.say = says(ApiFailure(Kind.RATE_LIMIT, "come tomorrow", retry_after_s=86_400.0))
    (answer,) = play([request()], paid_model(patience_s=900))
    assert (answer.error, answer.lasting) == ("rate_limit: come tomorrow", False)
    assert standin.asked.total() == 1


def test_patience_with_a_refusing_provider_ends(standin: StandIn) -> None:
    standin.say = says(ApiFailure(Kind.RATE_LIMIT, "slow down", retry_after_s=0.02))
    (answer,) = play([request()], paid_model(patience_s=0.1))
    assert answer.error == "rate_limit: slow down"
    assert not answer.lasting
    assert 3 <= standin.asked.total() <= 7


@pytest.mark.parametrize("kind", [Kind.SERVER, Kind.CONNECTION, Kind.MALFORMED, Kind.EXPIRED])
def test_what_may_pass_is_left_to_a_later_attempt(standin: StandIn, kind: Kind) -> None:
    standin.say = says(ApiFailure(kind, "it broke"))
    watched = Watched()
    (answer,) = play([request()], ports=watched.ports)
    assert answer.finish_reason == "error"
    assert answer.error == f"{kind}: it broke"
    assert not answer.lasting
    assert [one.how for one in watched.settled] == ["failed"]


@pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.CONTEXT, Kind.REQUEST])
def test_what_another_try_cannot_mend_says_so(standin: StandIn, kind: Kind) -> None:
    standin.say = says(ApiFailure(kind, "too much"))
    (answer,) = play([request()])
    assert (answer.error, answer.lasting) == (f"{kind}: too much", True)


def test_an_image_that_cannot_be_sent_is_not_paid(standin: StandIn) -> None:
    watched = Watched()
    (answer,) = play([request(images=(b"no image",))], ports=watched.ports)
    assert answer.error is not None
    assert answer.error.startswith("image_too_large: ")
    assert answer.lasting
    assert not watched.loads


def test_a_refused_question_is_an_outcome_without_a_price(standin: StandIn) -> None:
    standin.say = says(ApiFailure(Kind.MODERATION, "not this"))
    (answer,) = play([request()])
    assert (answer.finish_reason, answer.error, answer.cost_usd) == ("moderation", None, 0.0)


def test_a_call_that_hangs_is_a_timeout_of_unknown_price(standin: StandIn) -> None:
    standin.latency_s = 5.0
    watched = Watched()
    (answer,) = play([request()], paid_model(timeout_s=0.05), watched.ports)
    assert answer.error == "timeout: no answer within 0.05 s"
    assert watched.settled == [Settled("failed")]


def test_an_error_that_no_adapter_knows_is_one_of_the_call_without_the_key(
    standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "secret-of-this-test")

    def broken(*_: object) -> Answer:
        raise RuntimeError("header: secret-of-this-test")

    standin.say = broken
    (answer,) = play([request()], paid_model(api_key_env="TEST_KEY"))
    assert answer.error == "malformed_response: RuntimeError: header: [key]"


@pytest.mark.parametrize("kind", [Kind.KEY, Kind.CREDIT, Kind.MODEL])
def test_after_these_nobody_is_asked_any_more(standin: StandIn, kind: Kind) -> None:
    standin.say = says(ApiFailure(kind, "gone"))
    watched = Watched()
    with pytest.raises(ProviderUnavailable, match=f"openai model: {kind}: gone; next: .+"):
        play([request()], ports=watched.ports)
    assert watched.settled[0].how == "dead"
    with pytest.raises(ProviderUnavailable, match="gone"):
        asyncio.run(watched.acquire(Load(1, 0)))


def test_a_budget_that_is_reached_reaches_the_engine(standin: StandIn) -> None:
    class Poor(Watched):
        async def acquire(self, load: Load) -> Permit:
            raise BudgetReached("no money")

    with pytest.raises(BudgetReached):
        play([request()], ports=Poor().ports)
    assert not standin.asked


def test_another_model_that_answers_ends_the_run(standin: StandIn) -> None:
    standin.say = lambda *_: replace(THREE, served="a" if standin.asked.total() < 3 else "b")

    async def ask(backend: ApiBackend) -> None:
        for name in "123":
            [one async for one in backend.generate([request(name)])]

    expected = "openai model: b answers now, and a gave the answers .* write path: a"
    with pytest.raises(ProviderUnavailable, match=expected):
        with_backend(ask)


def test_a_snapshot_whose_id_changes_is_not_advised_again(standin: StandIn) -> None:
    alone = Alone()
    asyncio.run(alone.write("served", {"model": "model"}))
    standin.say = lambda *_: replace(THREE, served="newer")
    with pytest.raises(ProviderUnavailable, match=r"newer answers now, and model .*path: newer"):
        play([request()], ports=alone.ports)


def test_the_first_of_several_replicas_says_who_answers(standin: StandIn) -> None:
    alone = Alone()
    asyncio.run(alone.write("served", {"model": "other"}))
    with pytest.raises(ProviderUnavailable, match="other gave"):
        play([request()], ports=alone.ports)


def test_an_answer_is_kept_before_it_is_given_and_never_paid_twice(standin: StandIn) -> None:
    alone = Alone()
    (first,) = play([request("a")], ports=alone.ports)
    (second,) = play([request("b", text=request("a").text)], ports=alone.ports)
    assert (second.request_id, second.text, second.cost_usd) == ("b", "3", 0.0)
    assert first.cost_usd
    assert standin.asked.total() == 1


def test_the_same_question_twice_at_once_is_asked_once(standin: StandIn) -> None:
    standin.latency_s = 0.02
    asked = [request("a"), request("b", text=request("a").text), request("c")]
    answers = play(asked)
    assert {one.request_id for one in answers} == {"a", "b", "c"}
    assert standin.asked.total() == 2


def test_no_failure_is_kept(standin: StandIn) -> None:
    alone = Alone()
    standin.say = says(ApiFailure(Kind.SERVER, "broke"))
    play([request()], ports=alone.ports)
    standin.say = says()
    assert play([request()], ports=alone.ports)[0].text == "3"


def test_a_call_that_is_given_up_gives_its_permit_back(standin: StandIn) -> None:
    standin.latency_s = 60.0
    watched = Watched()

    async def ask(backend: ApiBackend) -> None:
        answering = backend.generate([request()])
        task = asyncio.ensure_future(anext(answering))
        while not standin.asked:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with_backend(ask, ports=watched.ports)
    assert watched.settled == [Settled("failed")]


def test_no_more_calls_at_once_than_permitted(standin: StandIn) -> None:
    standin.latency_s = 0.01
    answers = play([request(str(n)) for n in range(20)], paid_model(concurrency=4))
    assert len(answers) == 20
    assert standin.most == 4


def test_parameters_that_the_model_does_not_take_are_refused_or_recorded(
    standin: StandIn,
) -> None:
    asked = paid_model(generation={"seed": 1}, absent=["seed"])
    with pytest.raises(UserError, match="takes no seed; take seed out"):
        preflight(asked, None, here=True)
    free = paid_model(absent=["seed", "temperature"])
    preflight(free, None, here=True)

    async def facts(backend: ApiBackend) -> str:
        return (await backend.start()).facts["absent"]

    assert with_backend(facts, free) == "seed, temperature"
    play([request(generation=Generation(seed=1, stop=("x",)))], free)
    assert standin.questions[0].generation.seed is None
    assert standin.questions[0].generation.stop == ("x",)


def test_no_key_is_said_before_anything_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY_FILE", raising=False)
    with pytest.raises(ProviderUnavailable, match="set OPENAI_API_KEY"):
        preflight(ModelSpec(name="m", backend="openai", path="gpt-4.1"), None, here=True)
    with pytest.raises(ProviderUnavailable, match="set OTHER"):
        preflight(paid_model(api_key_env="OTHER"), None, here=True)


def test_what_a_backend_says_of_itself(standin: StandIn) -> None:
    async def start(backend: ApiBackend) -> None:
        assert isinstance(backend, Backend)
        info = await backend.start()
        assert (info.name, info.batch, info.parallel, info.paid) == ("openai", 1, 84, True)
        assert not info.can_load_weights
        assert info.facts["host"] == "127.0.0.1:9"
        assert info.facts["price"] == "the job"

    with_backend(start)


def test_who_answers_is_decided_by_server_and_options_not_by_speed() -> None:
    key = identify(paid_model()).model_key
    assert identify(paid_model(concurrency=2, price=None, timeout_s=1)).model_key == key
    for other in ({"base_url": "http://127.0.0.1:8/v1"}, {"system_prompt": "be brief"}):
        assert identify(paid_model(**other)).model_key != key
