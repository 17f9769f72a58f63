"""Every way in which a call can fail has its own kind, and none is tried again by an SDK."""

from __future__ import annotations

import pickle
import socket
import traceback
from collections.abc import Sequence

import pytest

from lens_ray.models.api.adapter import ENDING, LASTING, Adapter, ApiFailure, Kind
from lens_ray.testing.provider import Fault, ProviderServer, Script, ServerLimits
from lens_ray.testing.provider.script import FaultKind
from tests.models.api.contract.cases import SECRET, Case, picture, question

KINDS: dict[FaultKind, tuple[Kind, ...]] = {
    "rate_limit": (Kind.RATE_LIMIT,),
    "overloaded": (Kind.RATE_LIMIT,),
    "server_error": (Kind.SERVER,),
    "html": (Kind.SERVER,),
    "disconnect": (Kind.CONNECTION,),
    "lost_answer": (Kind.CONNECTION,),
    "truncated": (Kind.CONNECTION, Kind.MALFORMED),
    "broken_json": (Kind.MALFORMED,),
    "wrong_schema": (Kind.MALFORMED,),
    "moderation": (Kind.MODERATION,),
    "context": (Kind.CONTEXT,),
    "image": (Kind.IMAGE,),
    "invalid": (Kind.REQUEST,),
    "bad_key": (Kind.KEY,),
    "no_credit": (Kind.CREDIT,),
    "unknown_model": (Kind.MODEL,),
}


def sound(failure: ApiFailure) -> None:
    """One line, not long, without the key, and safe to send anywhere."""
    assert failure.line == " ".join(failure.line.split())
    assert 0 < len(failure.line) <= 400
    everything = "".join(traceback.format_exception(failure)).encode() + pickle.dumps(failure)
    assert SECRET.encode() not in everything
    assert str(failure).startswith(f"{failure.kind}: ")


def failures(case: Case, faults: Sequence[Fault], **script: bool) -> list[ApiFailure]:
    """What one adapter makes of each fault in turn; each costs one call, since no SDK retries."""

    async def each(adapter: Adapter) -> list[ApiFailure]:
        found = []
        for number, fault in enumerate(faults):
            server.script = Script(faults=(fault,), **script)  # type: ignore[arg-type]
            with pytest.raises(ApiFailure) as caught:
                await adapter.ask(question(f"number {number}"))
            found.append(caught.value)
        return found

    with ProviderServer() as server:
        found = case.use(server, each)
        assert server.counts.calls == len(faults), "an SDK tried again by itself"
    for failure in found:
        sound(failure)
    return found


def test_each_fault_has_its_kind(case: Case) -> None:
    found = failures(case, [Fault(kind=kind) for kind in KINDS])
    wrong = {
        kind: failure.kind
        for (kind, wanted), failure in zip(KINDS.items(), found, strict=True)
        if failure.kind not in wanted
    }
    assert wrong == {}


@pytest.mark.parametrize("fault", ["silence", "drip"])
def test_what_takes_too_long_is_a_timeout(case: Case, fault: FaultKind) -> None:
    with ProviderServer(Script(faults=(Fault(kind=fault, seconds=1.5),))) as server:
        failure = case.failure(server, question(), timeout_s=0.3)
        assert server.counts.calls == 1
    assert failure.kind is Kind.TIMEOUT
    sound(failure)


def test_any_status_of_a_server_passes(case: Case) -> None:
    faults = [
        Fault(kind=kind, status=status)
        for status in (500, 502, 503, 504, 520, 529)
        for kind in ("server_error", "html")
    ]
    assert not {one.kind for one in failures(case, faults)} & (LASTING | ENDING)


def test_when_to_come_back_is_told(case: Case) -> None:
    faults = (Fault(kind="rate_limit", retry_after_s=7.0),)
    with ProviderServer(Script(faults=faults)) as server:
        assert case.failure(server, question()).retry_after_s == pytest.approx(7.0, abs=0.01)
    with ProviderServer(Script(faults=(Fault(kind="rate_limit"),))) as server:
        assert case.failure(server, question()).retry_after_s is None


def test_limits_are_told_and_a_refused_call_says_for_how_long(case: Case) -> None:
    limits = ServerLimits(requests=60, tokens=1_000_000, burst_s=1.0)
    with ProviderServer(Script(limits=limits)) as server:
        first = case.answer(server, question("a"))
        second = case.failure(server, question("b"))
    if case.tells_limits:
        assert (first.limits.requests, first.limits.tokens) == (60, 1_000_000)
        assert first.limits.requests_left == 0
    assert second.kind is Kind.RATE_LIMIT
    assert second.retry_after_s is not None
    assert 0.3 < second.retry_after_s <= 1.0


def test_a_key_that_dies_and_credit_that_ends(case: Case) -> None:
    with ProviderServer(Script(keys=frozenset({"another"}))) as server:
        failure = case.failure(server, question())
    assert failure.kind is Kind.KEY
    sound(failure)
    with ProviderServer(Script(models=frozenset({"another"}))) as server:
        assert case.failure(server, question()).kind is Kind.MODEL
        assert case.use(server, checked).kind is Kind.MODEL
    with ProviderServer(Script(credit_usd=0.0)) as server:
        assert case.failure(server, question()).kind is Kind.CREDIT
    with ProviderServer(Script(dead_after=1)) as server:
        case.answer(server, question("a"))
        assert case.failure(server, question("b")).kind is Kind.KEY
        assert case.use(server, checked).kind is Kind.KEY


async def checked(adapter: Adapter) -> ApiFailure:
    try:
        await adapter.check()
    except ApiFailure as failure:
        return failure
    raise AssertionError("the check went well")


def test_what_is_too_large_is_told_before_anything_else_is_tried(case: Case) -> None:
    script = Script(max_context=200, max_image_side=64, max_images=3)
    with ProviderServer(script) as server:
        assert case.failure(server, question("word " * 500)).kind is Kind.CONTEXT
        large = case.failure(server, question("x", (picture(1, (96, 96)),)))
        assert large.kind is Kind.IMAGE


def test_nobody_is_there(case: Case) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        failure = case.failure(url, question())
    assert failure.kind is Kind.CONNECTION
    sound(failure)


def test_a_proxy_is_used_unless_it_is_told_not_to(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "proxy-password-0123456789"
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{secret}@127.0.0.1:9")
    with ProviderServer(Script()) as server:
        failure = case.failure(server, question())
        assert failure.kind is Kind.CONNECTION
        assert secret not in str(failure)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert case.answer(server, question("direct")).text == "direct"


def test_a_key_that_the_server_repeats_is_not_told(case: Case) -> None:
    """As OpenAI does with the first and the last letters; others repeat it whole."""
    for failure in failures(case, [Fault(kind=kind) for kind in KINDS], repeats_keys=True):
        assert SECRET[:8] not in failure.line
        assert SECRET[-4:] not in failure.line
