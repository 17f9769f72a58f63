"""Keeps keys where they belong: out of log records, lines and exceptions.

`hide` is told of every key (`lens_ray.models.api.keys.Key`); from then on no log record of the
process shows it, whoever writes it. `SealedAdapter` lets no exception of an SDK out:
those carry the request with its headers, and Ray would store them.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import threading
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from lens_ray.errors import LensError
from lens_ray.models.api.adapter import Adapter, Answer, ApiFailure, BatchState, Question

#: In the place of a key.
SHOWN = "[key]"
#: What is shorter is a word such as ``EMPTY`` that a server without keys is given, and no secret.
SHORTEST = 9
#: OpenAI answers 401 with the first and the last letters of the key around stars.
_STARRED = re.compile(r"([^\s*'\"(<\[{]{0,64})\*{3,512}([A-Za-z0-9_-]{0,64})")
#: Keys of providers that this process was not told of. Gemini's newer ones begin with ``AQ.``.
_SHAPES = re.compile(
    r"\bsk-[A-Za-z0-9_-]{16,256}|\bAIza[A-Za-z0-9_-]{30,60}|\bAQ\.[A-Za-z0-9_-]{30,256}"
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/-]{8,4096}"
)

_lock = threading.Lock()
_hidden: tuple[str, ...] = ()
_forms: tuple[str, ...] = ()


class Sealed(RuntimeError):
    """An exception of another library, its text without secrets and nothing else of it."""


def hide(secret: str) -> None:
    """Keep a secret out of every log record that this process makes from now on.

    Args:
        secret: The key; too short a word is none.
    """
    global _hidden, _forms
    if len(secret) < SHORTEST:
        return
    with _lock:
        if secret in _hidden:
            return
        if not _hidden:
            _watch_logs()
        _hidden = (*_hidden, secret)
        # The longest first: a key may be part of another form of itself.
        _forms = tuple(sorted({form for one in _hidden for form in _written(one)}, key=_by_length))


def redacted(text: str) -> str:
    """A text without the secrets that were hidden, whole or around stars, and what looks like one.

    Args:
        text: What a provider or an SDK said.
    """
    return _SHAPES.sub(SHOWN, _without_hidden(text))


def shows_secret(text: str) -> bool:
    """Whether a text has one of them."""
    return redacted(text) != text


def _by_length(form: str) -> tuple[int, str]:
    return -len(form), form


def _written(secret: str) -> tuple[str, ...]:
    """As it stands in a header, a URL, a `repr` and an ``Authorization: Basic``."""
    encoded = base64.b64encode(secret.encode("utf-8", "surrogateescape")).decode().rstrip("=")
    return secret, quote(secret, safe=""), repr(secret)[1:-1], encoded


def _without_hidden(text: str) -> str:
    for form in _forms:
        if form in text:
            text = text.replace(form, SHOWN)
    return _STARRED.sub(_unless_part, text) if _hidden and "***" in text else text


def _unless_part(found: re.Match[str]) -> str:
    start, end = found[1], found[2]
    is_part = any((start or end) and one.startswith(start) and one.endswith(end) for one in _hidden)
    return SHOWN if is_part else found[0]


def _watch_logs() -> None:
    """Clean records as they are made: a filter of a logger would not see its children's."""
    make = logging.getLogRecordFactory()

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        _clean(record)
        return record

    logging.setLogRecordFactory(made)


def _clean(record: logging.LogRecord) -> None:
    """Rewrite a record that shows a secret; any other stays as it is."""
    try:
        said = record.getMessage()
    except Exception:  # arguments that do not fit; its handler says so, with the arguments
        said = f"{record.msg} {record.args}"
    if (clean := redacted(said)) != said:
        record.msg, record.args = clean, None
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        told = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
        if (clean := redacted(told)) != told:
            record.exc_info, record.exc_text = None, clean


class SealedAdapter:
    """An `Adapter` out of which come answers, `ApiFailure`, and `LensError` without secrets."""

    def __init__(self, adapter: Adapter) -> None:
        """Take the place of an adapter."""
        self._adapter = adapter
        self.provider = adapter.provider
        self.version = adapter.version
        self.has_batches = adapter.has_batches

    def tokens(self, question: Question) -> int:
        """As `Adapter.tokens`."""
        return self._adapter.tokens(question)

    async def ask(self, question: Question) -> Answer:
        """As `Adapter.ask`."""
        with sealing():
            return await self._adapter.ask(question)

    async def submit(self, questions: Sequence[Question], tag: str) -> BatchState:
        """As `Adapter.submit`."""
        with sealing():
            return await self._adapter.submit(questions, tag)

    async def batch(self, batch_id: str) -> BatchState:
        """As `Adapter.batch`."""
        with sealing():
            return await self._adapter.batch(batch_id)

    async def results(self, batch_id: str) -> AsyncIterator[tuple[str, Answer | ApiFailure]]:
        """As `Adapter.results`."""
        with sealing():
            async for custom_id, result in self._adapter.results(batch_id):
                if isinstance(result, ApiFailure):
                    result = _clean_failure(result)
                yield custom_id, result

    async def batches(self) -> Sequence[BatchState]:
        """As `Adapter.batches`."""
        with sealing():
            return await self._adapter.batches()

    async def check(self) -> Mapping[str, str]:
        """As `Adapter.check`."""
        with sealing():
            facts = await self._adapter.check()
        return {name: redacted(fact) for name, fact in facts.items()}

    async def close(self) -> None:
        """As `Adapter.close`."""
        with sealing():
            await self._adapter.close()


@contextmanager
def sealing() -> Iterator[None]:
    """Let out what this project raises, without secrets and without what caused it.

    Raises:
        ApiFailure: As it was raised, its line cleaned.
        LensError: As it was raised, its line cleaned.
        Sealed: In the place of any other exception that is not Python's own, or shows a secret.
    """
    try:
        yield
    except ApiFailure as failure:
        raise _clean_failure(failure) from None
    except LensError as error:
        if not shows_secret(str(error)):
            raise error from None
        raise type(error)(redacted(str(error))) from None
    except asyncio.CancelledError:
        raise
    except Exception as error:  # an SDK's own: those hold the request with its headers
        told = "".join(traceback.format_exception(error))
        if type(error).__module__ == "builtins" and not shows_secret(told):
            raise
        line = " ".join(str(error).split())
        sealed = Sealed(redacted(f"{type(error).__name__}: {line}"))
        sealed.add_note(redacted(told))
        raise sealed from None


def _clean_failure(failure: ApiFailure) -> ApiFailure:
    line = redacted(failure.line)
    return ApiFailure(failure.kind, line, failure.retry_after_s, failure.limits)
