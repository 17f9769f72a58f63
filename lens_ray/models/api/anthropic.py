"""Anthropic's Messages and Message Batches, over its official SDK: `AnthropicAdapter`.

Read on 2026-11-27 in the SDK 2.14.0 and in stored copies of platform.claude.com:

- ``types/message_create_params.py``: version 2026-10-21 of the API, which the SDK sends, knows no
  ``temperature``, ``top_p`` and ``top_k``; version 2023-06-01 still takes them, from models up to
  4.6. No version knows a seed.
- ``types/stop_reason.py``, ``types/usage.py``, ``types/shared/error_type.py`` and the classes of
  errors beside it, ``types/messages/*``.
- "Vision", "Coordinates and bounding boxes": tokens of images. "Rate limits": headers.
  "Migrating to Claude Sonnet 5": thinking, and 30 % more tokens for the same text.
"""

from __future__ import annotations

import asyncio
import base64
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from lens_ray.models.api.adapter import Answer, ApiFailure, BatchState, Kind, Question
from lens_ray.models.api.anthropic_errors import kind_of
from lens_ray.models.api.anthropic_models import (
    check_thinking,
    known_absent,
    prompt_tokens,
    thinking,
)
from lens_ray.models.api.calls import (
    check_facts,
    count_of,
    http_client,
    one_line,
    sendable,
    without_version,
)
from lens_ray.models.api.headers import ANTHROPIC, limits, retry_after, server_clock
from lens_ray.models.api.keys import Key
from lens_ray.models.api.options import AnthropicOptions
from lens_ray.models.api.ports import Limits

if TYPE_CHECKING:
    import httpx2
    from anthropic import APIStatusError
    from anthropic.types import Message
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
    from anthropic.types.messages import MessageBatch, MessageBatchResult
    from anthropic.types.messages.batch_create_params import Request

__all__ = ["AnthropicAdapter", "known_absent"]

#: What the SDK would take from ``ANTHROPIC_BASE_URL`` otherwise, unseen by the model's key.
BASE_URL = "https://api.anthropic.com"
#: The last version of the API that takes ``temperature`` and ``top_p``.
SAMPLING_VERSION = "2023-06-01"

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}
#: Handing in a batch sends up to 256 MB (seconds).
_SUBMIT_S = 600.0


class AnthropicAdapter:
    """Asks Anthropic, or a server that speaks like it."""

    provider = "anthropic"
    has_batches = True

    def __init__(
        self,
        model: str,
        options: AnthropicOptions,
        key: Key,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            model: Its id there.
            options: As in the job.
            key: Shown to the SDK only.
            transport: In the place of connections of its own.

        Raises:
            UserError: The model does not think in the way that is asked for.
        """
        import anthropic

        check_thinking(model, options)
        # What the SDK says on the first call of a model that will be retired, into nobody's log.
        warnings.filterwarnings("ignore", "The model '.+' is deprecated", DeprecationWarning)
        self.version = anthropic.__version__
        self._model = model
        self._options = options
        absent = known_absent(model, options) if options.absent is None else set(options.absent)
        self._absent = frozenset(absent)
        self._client = anthropic.AsyncAnthropic(
            api_key=key.reveal(),
            base_url=without_version(options.base_url or BASE_URL),
            max_retries=0,
            timeout=options.timeout_s,
            open_telemetry=False,
            http_client=http_client(options, transport),
        )

    def tokens(self, question: Question) -> int:
        """As `prompt_tokens`."""
        return prompt_tokens(self._model, self._options, question)

    async def ask(self, question: Question) -> Answer:
        """Ask once; raises `ApiFailure`."""
        params, sampling = self._params(question), self._sampling(question)
        with self._failures():
            async with asyncio.timeout(self._options.timeout_s):
                response = await self._client.messages.with_raw_response.create(
                    **params,
                    extra_body=sampling,
                    extra_headers=self._headers(),
                )
                message = await response.parse()
            return _answer(message, limits(response.headers, ANTHROPIC))

    async def submit(self, questions: Sequence[Question], tag: str) -> BatchState:
        """Hand in a batch; raises `ApiFailure`. The tag is not kept: nothing of a batch is."""
        # 200 MB of images take half a second to write out.
        requests = await asyncio.to_thread(self._requests, questions)
        with self._failures():
            async with asyncio.timeout(max(self._options.timeout_s, _SUBMIT_S)):
                return _state(
                    await self._client.messages.batches.create(
                        requests=requests, extra_headers=self._headers()
                    )
                )

    async def batch(self, batch_id: str) -> BatchState:
        """How a batch stands; raises `ApiFailure`."""
        with self._failures(missing=Kind.EXPIRED):
            async with asyncio.timeout(self._options.timeout_s):
                return _state(await self._client.messages.batches.retrieve(batch_id))

    async def results(self, batch_id: str) -> AsyncIterator[tuple[str, Answer | ApiFailure]]:
        """What an ended batch gave, by custom id; raises `ApiFailure`."""
        with self._failures(missing=Kind.EXPIRED):
            lines = await self._client.messages.batches.results(batch_id)
            try:
                async for line in lines:
                    yield line.custom_id, self._result(line.result)
            finally:
                await lines.close()

    async def batches(self) -> Sequence[BatchState]:
        """The newest 1,000 batches of the key's workspace."""
        with self._failures():
            async with asyncio.timeout(self._options.timeout_s):
                page = await self._client.messages.batches.list(limit=1000)
                return [_state(batch) for batch in page.data]

    async def check(self) -> Mapping[str, str]:
        """Ask for one token; raises `ApiFailure`."""
        with self._failures():
            async with asyncio.timeout(self._options.timeout_s):
                response = await self._client.messages.with_raw_response.create(
                    model=self._model,
                    max_tokens=1,
                    messages=[{"role": "user", "content": "Hi"}],
                )
                message = await response.parse()
            answer = _answer(message, limits(response.headers, ANTHROPIC))
            return check_facts(answer, server_clock(response.headers))

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()

    def _requests(self, questions: Sequence[Question]) -> list[Request]:
        return [
            {
                "custom_id": question.custom_id,
                "params": cast("Any", {**self._params(question), **self._sampling(question)}),
            }
            for question in questions
        ]

    def _params(self, question: Question) -> MessageCreateParamsNonStreaming:
        content: list[dict[str, object]] = [
            {
                "type": "image",
                "source": {
                    "type": "base64",
                    "media_type": image.media_type,
                    "data": base64.b64encode(image.data).decode("ascii"),
                },
            }
            for image in question.images
        ]
        content.append({"type": "text", "text": sendable(question.text)})
        params: dict[str, object] = {
            "model": self._model,
            "max_tokens": self._options.most_output(question.generation.max_new_tokens),
            "messages": [{"role": "user", "content": content}],
            **thinking(self._model, self._options),
        }
        if self._options.system_prompt:
            params["system"] = sendable(self._options.system_prompt)
        if question.generation.stop and "stop" not in self._absent:
            params["stop_sequences"] = list(question.generation.stop)
        return cast("MessageCreateParamsNonStreaming", params)

    def _sampling(self, question: Question) -> dict[str, object]:
        given: dict[str, object] = {}
        if "temperature" not in self._absent:
            given["temperature"] = question.generation.temperature
        if "top_p" not in self._absent and question.generation.top_p != 1.0:
            given["top_p"] = question.generation.top_p
        return given

    def _headers(self) -> dict[str, str]:
        if {"temperature", "top_p"} <= self._absent:
            return {}
        return {"anthropic-version": SAMPLING_VERSION}

    def _result(self, result: MessageBatchResult) -> Answer | ApiFailure:
        if result.type == "succeeded":
            try:
                return _answer(result.message, Limits())
            except ApiFailure as failure:
                return failure
        if result.type == "errored":
            error = result.error.error
            return ApiFailure(kind_of(0, error.type, None, error.message), one_line(error.message))
        if result.type in ("expired", "canceled"):
            return ApiFailure(Kind.EXPIRED, f"the batch was {result.type} before this was asked")
        return ApiFailure(Kind.MALFORMED, f"a result of the type {result.type!r}")

    @contextmanager
    def _failures(self, missing: Kind = Kind.MODEL) -> Iterator[None]:
        """Whatever the SDK raises, as `ApiFailure` and without the request that it holds."""
        import anthropic
        import httpx2

        try:
            yield
        except (TimeoutError, anthropic.APITimeoutError, httpx2.TimeoutException):
            line = f"no answer within {self._options.timeout_s:g} s"
            raise ApiFailure(Kind.TIMEOUT, line) from None
        except anthropic.APIStatusError as error:
            raise self._failure(error, missing) from None
        except (anthropic.APIConnectionError, httpx2.HTTPError) as error:
            line = one_line(f"{error} {error.__cause__ or ''}")
            raise ApiFailure(Kind.CONNECTION, line) from None
        except anthropic.APIResponseValidationError:
            raise ApiFailure(Kind.MALFORMED, "the response is no JSON of its type") from None
        except anthropic.AnthropicError as error:  # a batch without results
            raise ApiFailure(Kind.EXPIRED, one_line(str(error))) from None
        except (ValueError, TypeError, AttributeError):  # JSON that is broken, or not what it says
            raise ApiFailure(Kind.MALFORMED, "the response is no JSON of its type") from None

    def _failure(self, error: APIStatusError, missing: Kind) -> ApiFailure:
        said = str(error.api_message or error.message)
        error_type = error.type if isinstance(error.type, str) else None
        kind = kind_of(error.status_code, error_type, error.error_code, said, missing)
        headers = error.response.headers
        line = one_line(f"{error.status_code} {error_type or ''}: {said}")
        return ApiFailure(kind, line, retry_after(headers), limits(headers, ANTHROPIC))


def _answer(message: Message, said: Limits) -> Answer:
    """A message as it is kept.

    Raises:
        ApiFailure: Of `Kind.MALFORMED`: the SDK builds messages without checking them.
    """
    from anthropic.types import Message

    if not isinstance(message, Message) or not isinstance(message.content, list):
        raise ApiFailure(Kind.MALFORMED, "the response is no message")
    finish = _FINISH.get(str(message.stop_reason))
    if finish is None or not isinstance(message.model, str) or not message.model:
        raise ApiFailure(
            Kind.MALFORMED,
            f"a message of {str(message.model)[:80]!r} that stopped for "
            f"{str(message.stop_reason)[:80]!r}",
        )
    texts = [getattr(block, "text", None) for block in message.content if _is_text(block)]
    usage: object = message.usage
    read = [
        count_of(getattr(usage, name, None))
        for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    ]
    known = [count for count in read if count is not None]
    return Answer(
        text=sendable("".join(text for text in texts if isinstance(text, str))),
        finish_reason=finish,
        served=sendable(message.model),
        tokens_in=sum(known) if known else None,
        tokens_out=count_of(getattr(usage, "output_tokens", None)),
        limits=said,
    )


def _is_text(block: object) -> bool:
    return getattr(block, "type", None) == "text"


def _state(batch: MessageBatch) -> BatchState:
    if not isinstance(batch.id, str) or not batch.id or not isinstance(batch.created_at, datetime):
        raise ApiFailure(Kind.MALFORMED, "the response is no batch")
    over = batch.processing_status == "ended"
    return BatchState(batch.id, over, None, batch.created_at.timestamp())
