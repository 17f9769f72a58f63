"""The backend over every provider's adapter: what the engine gets of what the server does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest

from lens_ray.errors import ProviderUnavailable
from lens_ray.models import Completion, Generation, Request
from lens_ray.models.api.backend import ApiBackend
from lens_ray.models.api.craft import hash_of
from lens_ray.models.api.options import Price
from lens_ray.models.protocol import BackendInfo
from lens_ray.testing.provider import (
    Fault,
    Latency,
    ProviderServer,
    Says,
    Script,
    ServerLimits,
    mixed_faults,
)
from tests.models.api.contract.cases import CASES, KEY, SECRET, Case, picture

T = TypeVar("T")
PRICE = {"input": 2.0, "output": 8.0}


@pytest.fixture(params=[one for one in CASES if one.name != "azure"], ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    """Azure's differs from ``chat`` in its address alone."""
    found: Case = request.param
    return found


def request(number: int, images: int = 0, most: int = 64) -> Request:
    """As `lens_ray.engine.asking.Asking` makes it."""
    made = Request(
        f"sample-{number}", f"number {number}",
        tuple(picture(number + n).data for n in range(images)), Generation(max_new_tokens=most),
    )  # fmt: skip
    return Request(
        made.request_id, made.text, made.images, made.generation, prompt_hash=hash_of(made)
    )


def with_backend(
    case: Case,
    server: ProviderServer,
    use: Callable[[ApiBackend, BackendInfo], Awaitable[T]],
    **options: object,
) -> T:
    """What a coroutine does with a started backend."""
    spec = case.spec(server, **options)

    async def run() -> T:
        backend = ApiBackend(spec, spec.path)
        try:
            return await use(backend, await backend.start())
        finally:
            await backend.close()

    return asyncio.run(run())


def play(
    case: Case, server: ProviderServer, requests: Sequence[Request], **options: object
) -> dict[str, Completion]:
    """What becomes of some requests that are all asked at once."""

    async def ask(backend: ApiBackend, _: BackendInfo) -> dict[str, Completion]:
        found = [one async for one in backend.generate(requests)]
        return {one.request_id: one for one in found}

    return with_backend(case, server, ask, **options)


def test_answers_cost_what_the_server_bills(case: Case) -> None:
    prices = {"*": Price.model_validate(PRICE)}
    with ProviderServer(Script(prices=prices, thinking=3)) as server:
        found = play(case, server, [request(n, n % 3) for n in range(9)], price=PRICE)
        counts = server.counts
    assert {one.text for one in found.values()} == {f"number {n}" for n in range(9)}
    assert all(one.finish_reason == "stop" for one in found.values())
    assert {one.served for one in found.values()} == {case.model}
    assert sum(one.cost_usd or 0 for one in found.values()) == pytest.approx(counts.usd)
    assert counts.paid_again == 0


def test_a_start_tells_what_runs_and_no_key(case: Case) -> None:
    async def told(backend: ApiBackend, info: BackendInfo) -> BackendInfo:
        return info

    with ProviderServer(Script()) as server:
        info = with_backend(case, server, told)
        assert server.counts.calls == 0
    assert (info.name, info.paid, info.can_load_weights) == (case.provider, True, False)
    assert SECRET not in repr(info)
    assert KEY.fingerprint not in repr(info)


def test_a_storm_of_refusals_costs_no_sample_an_attempt(case: Case) -> None:
    storm = Fault(kind="rate_limit", until=6, retry_after_s=0.1)
    with ProviderServer(Script(faults=(storm,))) as server:
        found = play(case, server, [request(n) for n in range(20)], concurrency=8)
        counts = server.counts
    assert all(one.finish_reason == "stop" for one in found.values())
    assert counts.answers == 20
    assert counts.rejected == 6


def test_retry_after_is_obeyed(case: Case) -> None:
    faults = (Fault(kind="rate_limit", until=1, retry_after_s=0.3),)
    with ProviderServer(Script(faults=faults)) as server:
        began = time.monotonic()
        found = play(case, server, [request(1)])
        seconds = time.monotonic() - began
        assert server.counts.calls == 2
    assert found["sample-1"].finish_reason == "stop"
    assert seconds >= 0.3


def test_patience_ends(case: Case) -> None:
    faults = (Fault(kind="overloaded", retry_after_s=0.1),)
    with ProviderServer(Script(faults=faults)) as server:
        found = play(case, server, [request(1)], patience_s=0.5)["sample-1"]
    assert found.finish_reason == "error"
    assert not found.lasting
    assert (found.error or "").startswith("rate_limit: ")


def test_faults_that_pass_are_errors_to_be_tried_again(case: Case) -> None:
    asked = [request(n) for n in range(30)]
    with ProviderServer(Script(faults=mixed_faults(0.5))) as server:
        first = play(case, server, asked)
        again = [one for one in asked if first[one.request_id].finish_reason == "error"]
        second = play(case, server, again)
    assert 5 < len(again) < 25
    assert not any(one.lasting for one in first.values())
    assert all(one.finish_reason == "stop" for one in second.values())
    assert all(one.text == "" and one.cost_usd is None for one in first.values() if one.error)


@pytest.mark.parametrize("fault", ["context", "image", "invalid"])
def test_what_no_other_try_mends_is_said(case: Case, fault: str) -> None:
    with ProviderServer(Script(faults=(Fault(kind=fault),))) as server:  # type: ignore[arg-type]
        found = play(case, server, [request(1)])["sample-1"]
        assert server.counts.calls == 1
    assert (found.finish_reason, found.lasting) == ("error", True)


def test_a_question_that_is_refused_is_no_failure(case: Case) -> None:
    with ProviderServer(Script(faults=(Fault(kind="moderation"),))) as server:
        found = play(case, server, [request(1)])["sample-1"]
        assert server.counts.calls == 1
    assert (found.finish_reason, found.error) == ("moderation", None)
    assert found.served in (None, case.model)


@pytest.mark.parametrize("script", [
    Script(keys=frozenset({"another"})), Script(credit_usd=0.0), Script(models=frozenset({"m"})),
], ids=["key", "credit", "model"])  # fmt: skip
def test_when_nobody_can_be_asked_the_model_ends_in_one_line(case: Case, script: Script) -> None:
    with ProviderServer(script) as server:
        with pytest.raises(ProviderUnavailable) as caught:
            play(case, server, [request(n) for n in range(40)], concurrency=4)
        assert server.counts.calls <= 5, "nobody asks with a dead key again"
    line = str(caught.value)
    assert "\n" not in line
    assert SECRET not in line


def test_another_model_that_answers_is_seen(case: Case) -> None:
    async def until_seen(backend: ApiBackend, _: BackendInfo) -> str:
        for n in range(10):
            try:
                async for _one in backend.generate([request(n)]):
                    pass
            except ProviderUnavailable as error:
                return f"{n} {error}"
        return "never"

    with ProviderServer(Script(served=((1, "m-1"), (4, "m-2")))) as server:
        seen = with_backend(case, server, until_seen)
    assert seen.startswith("3 ")
    assert "m-1" in seen
    assert "m-2" in seen


def test_a_question_that_is_given_up_frees_its_place(case: Case) -> None:
    async def give_up(backend: ApiBackend, _: BackendInfo) -> str:
        async def one(number: int) -> str:
            async for completion in backend.generate([request(number)]):
                return completion.text
            raise AssertionError

        tasks = [asyncio.create_task(one(n)) for n in range(12)]
        while server.counts.waiting < 2:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.script = Script()
        return await one(99)

    with ProviderServer(Script(latency=Latency(median_s=3600.0))) as server:
        assert with_backend(case, server, give_up, concurrency=2) == "number 99"


def test_a_long_answer_and_a_cut_one(case: Case) -> None:
    long = " ".join(f"word{n}" for n in range(500))
    with ProviderServer(Script(truth=Says(long))) as server:
        found = play(case, server, [request(1, most=4096), request(2, most=32)])
    assert (found["sample-1"].text, found["sample-1"].finish_reason) == (long, "stop")
    assert found["sample-2"].finish_reason == "length"


def test_a_limit_by_the_minute_is_kept_with_few_refusals(case: Case) -> None:
    limits = ServerLimits(requests=1200, burst_s=1.0)
    with ProviderServer(Script(limits=limits)) as server:
        found = play(case, server, [request(n) for n in range(30)], concurrency=16)
        counts = server.counts
    assert all(one.finish_reason == "stop" for one in found.values())
    assert counts.answers == 30
