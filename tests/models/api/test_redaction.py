"""Keys in log records, exceptions and what providers say of them."""

from __future__ import annotations

import asyncio
import functools
import io
import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from urllib.parse import quote

import httpx2
import openai
import pytest

from lens_ray.errors import ProviderUnavailable
from lens_ray.models.api import redaction
from lens_ray.models.api.adapter import Answer, ApiFailure, BatchState, Kind, Question
from lens_ray.models.api.keys import Key
from lens_ray.models.api.ports import Limits
from lens_ray.models.api.redaction import (
    SHOWN,
    Sealed,
    SealedAdapter,
    redacted,
    sealing,
    shows_secret,
)

SECRET = "canary/0123+abc'def=456789XYZ"


@pytest.fixture(autouse=True)
def key() -> Iterator[Key]:
    """One key is known to the process, and forgotten afterwards."""
    make, hidden, forms = logging.getLogRecordFactory(), redaction._hidden, redaction._forms
    redaction._hidden = redaction._forms = ()
    yield Key(SECRET, "OPENAI_API_KEY")
    redaction._hidden, redaction._forms = hidden, forms
    logging.setLogRecordFactory(make)


def in_a_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """A test that awaits."""

    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a handler of the root writes, of every level."""
    sink, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(sink), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield sink
    root.removeHandler(handler)
    root.setLevel(level)


def test_no_log_record_shows_a_key(log: io.StringIO) -> None:
    some = logging.getLogger("openai._base_client.deep")
    some.debug("headers %s", {"authorization": f"Bearer {SECRET}"})
    some.warning("GET https://host/?key=%s", quote(SECRET, safe=""))
    some.error(SECRET)
    some.info("%d things", SECRET)  # its arguments do not fit
    try:
        raise ValueError(f"bad header {SECRET}")
    except ValueError as error:
        some.exception("it failed")
        some.error("it failed again", exc_info=error)
    said = log.getvalue()
    assert said.count(SHOWN) == 6
    assert "ValueError: bad header [key]" in said
    assert SECRET not in said
    assert quote(SECRET, safe="") not in said


def test_other_log_records_stay_as_they_are(log: io.StringIO) -> None:
    logging.getLogger("other").info("%s is *** %d", "this", 3)
    records: list[logging.LogRecord] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    keeps = Keeps()
    logging.getLogger("other").addHandler(keeps)
    try:
        raise KeyError("x")
    except KeyError:
        logging.getLogger("other").exception("%s", "plain")
    logging.getLogger("other").removeHandler(keeps)
    assert log.getvalue().startswith("this is *** 3\n")
    assert records[0].args == ("plain",)
    assert records[0].exc_info is not None


@pytest.mark.parametrize(
    ("said", "clean"),
    [
        (f"key {SECRET} is bad", "key [key] is bad"),
        # As OpenAI says it: the first and the last letters around stars.
        ("Incorrect API key provided: canary/0***********9XYZ.", None),
        (
            "Incorrect API key provided: sk-abcd*******wxyz.",
            "Incorrect API key provided: sk-abcd**",
        ),
        ("sk-proj-abcdefghijklmnopqrst", "[key]"),
        ("AQ.Ab8RN6abcdefghijklmnopqrstuvwxyz0123456789", "[key]"),
        ("AIzaSyabcdefghijklmnopqrstuvwxyz0123456", "[key]"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer [key]"),
        ("the task-force asked for **bold** text", "the task-force asked for **bold** text"),
        ("****", "****"),
    ],
)
def test_what_is_taken_out_of_a_text(said: str, clean: str | None) -> None:
    found = redacted(said)
    assert "9XYZ" not in found
    if clean is not None:
        assert found.startswith(clean)
    assert shows_secret(said) == (found != said)


def test_a_word_that_stands_for_no_key_is_not_taken_out() -> None:
    for word in ("none", "EMPTY", "scripted", "x"):
        Key(word, "VLLM_KEY")
    assert redacted("none of the EMPTY boxes is scripted") == "none of the EMPTY boxes is scripted"


class Broken:
    """An adapter whose every call raises one exception."""

    provider, version, has_batches = "openai", "1", True

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def tokens(self, question: Question) -> int:
        return 1

    async def ask(self, question: Question) -> Answer:
        raise self.error

    async def submit(self, questions: Sequence[Question], tag: str) -> BatchState:
        raise self.error

    async def batch(self, batch_id: str) -> BatchState:
        raise self.error

    async def results(self, batch_id: str) -> AsyncIterator[tuple[str, Answer | ApiFailure]]:
        yield "a", ApiFailure(Kind.KEY, f"{SECRET} is refused")
        yield "b", Answer("yes", "stop", "m-1", 1, 1)
        raise self.error

    async def batches(self) -> Sequence[BatchState]:
        raise self.error

    async def check(self) -> Mapping[str, str]:
        raise self.error

    async def close(self) -> None:
        raise self.error


async def raised(error: BaseException) -> list[BaseException]:
    """What comes out of every method of an adapter that raises an error."""
    sealed = SealedAdapter(Broken(error))
    question: Question = None  # type: ignore[assignment]
    calls = [
        sealed.ask(question), sealed.submit([], "t"), sealed.batch("b"), sealed.batches(),
        sealed.check(), sealed.close(), anext(later(sealed)),
    ]  # fmt: skip
    found = [one for one in await asyncio.gather(*calls, return_exceptions=True)]
    assert len(found) == 7
    assert all(isinstance(one, BaseException) for one in found)
    return [one for one in found if isinstance(one, BaseException)]


async def later(sealed: SealedAdapter) -> AsyncIterator[None]:
    """The third result."""
    got = [one async for one in sealed.results("b")]
    raise AssertionError(got)
    yield


def shown(error: BaseException) -> bytes:
    """All that a log, a traceback or Ray could keep of an exception."""
    told = "".join(traceback.format_exception(error))
    return (told + repr(error)).encode() + pickle.dumps(error)


async def refused_by_the_sdk() -> openai.AuthenticationError:
    """The real exception of a real client."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        message = {"message": f"Incorrect API key provided: {SECRET}"}
        return httpx2.Response(401, json={"error": message})

    transport = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    client = openai.AsyncOpenAI(api_key=SECRET, http_client=transport, max_retries=0)
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.models.list()
    await client.close()
    return caught.value


@in_a_loop
async def test_no_exception_of_an_sdk_comes_out() -> None:
    error = await refused_by_the_sdk()
    # Why: it carries the request, and the key with it, to wherever it is pickled.
    assert SECRET.encode() in pickle.dumps(error.request)
    for found in await raised(error):
        assert isinstance(found, Sealed)
        assert str(found).startswith("AuthenticationError: Error code: 401")
        assert SECRET.encode() not in shown(found)
        assert b"in list" in shown(found) or b"_make_status_error" in shown(found)


@in_a_loop
async def test_failures_keep_what_they_say_and_lose_their_cause() -> None:
    limits = Limits(requests=3)
    failure = ApiFailure(Kind.KEY, f"{SECRET} is refused", 2.0, limits)
    failure.__cause__ = ValueError(SECRET)
    for found in await raised(failure):
        assert isinstance(found, ApiFailure)
        assert (found.kind, found.line) == (Kind.KEY, "[key] is refused")
        assert (found.retry_after_s, found.limits) == (2.0, limits)
        assert SECRET.encode() not in shown(found)


@in_a_loop
async def test_our_own_errors_and_pythons() -> None:
    plain = ProviderUnavailable("no key: set X")
    assert all(found is plain for found in await raised(plain))
    told = ProviderUnavailable(f"no key like {SECRET}")
    for found in await raised(told):
        assert isinstance(found, ProviderUnavailable)
        assert str(found) == "no key like [key]"
    bug = KeyError("a bug keeps its traceback")
    assert all(found is bug for found in await raised(bug))
    told_bug = KeyError(SECRET)
    for found in await raised(told_bug):
        assert isinstance(found, Sealed)
        assert SECRET.encode() not in shown(found)


@in_a_loop
async def test_results_are_clean_too() -> None:
    found = []
    results = SealedAdapter(Broken(httpx2.ReadError("gone"))).results("b")
    found += [await anext(results), await anext(results)]
    with pytest.raises(Sealed, match="ReadError: gone"):
        await anext(results)
    assert isinstance(found[0][1], ApiFailure)
    assert found[0][1].line == "[key] is refused"
    assert isinstance(found[1][1], Answer)


@in_a_loop
async def test_cancelling_passes() -> None:
    with pytest.raises(asyncio.CancelledError), sealing():
        raise asyncio.CancelledError
