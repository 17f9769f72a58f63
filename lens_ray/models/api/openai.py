"""OpenAI, Azure OpenAI, and servers that speak like them: `OpenAIAdapter`, over ``AsyncOpenAI``.

Another server is named by ``base_url``, up to and with its ``/v1``. Azure's newer interface is one
of these (``https://NAME.openai.azure.com/openai/v1/``); with ``api_version``, ``base_url`` is the
resource's endpoint, and the model is the name of a deployment.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from lens_ray.models.api.adapter import Answer, ApiFailure, BatchState, Kind, Question
from lens_ray.models.api.calls import check_facts, http_client
from lens_ray.models.api.headers import OPENAI, limits, server_clock
from lens_ray.models.api.keys import Key
from lens_ray.models.api.openai_errors import failure, one_line
from lens_ray.models.api.openai_messages import answer_of, body_of
from lens_ray.models.api.openai_models import known_absent, prompt_tokens
from lens_ray.models.api.options import LEAST_OUTPUT, OpenAIOptions
from lens_ray.models.protocol import Generation

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI
    from openai.types import Batch

__all__ = ["OpenAIAdapter", "known_absent"]

#: Not the environment's OPENAI_BASE_URL: whom a job asks is said in the job.
_URL = "https://api.openai.com/v1"
#: Where a batch keeps what `OpenAIAdapter.submit` was given.
_TAG = "lens_ray"
_OVER = frozenset({"completed", "failed", "expired", "cancelled"})
#: Batches that are looked through for a tag.
_LISTED = 500

T = TypeVar("T")


class OpenAIAdapter:
    """Asks one model. The SDK's own retries are off."""

    provider = "openai"

    def __init__(
        self,
        model: str,
        options: OpenAIOptions,
        key: Key,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Make the client; nothing is asked yet.

        Args:
            model: Its id at the provider (Azure with ``api_version``: the deployment's name).
            options: Of the job; a ``base_url`` must be a URL by now.
            key: Of the provider.
            transport: In the place of connections of its own.
        """
        import openai

        self.version = openai.__version__
        # Azure's batches have other endpoints and files; they are not offered.
        self.has_batches = options.api_version is None
        self._model = model
        self._options = options
        self._key = key
        given = options.absent
        self._absent = frozenset(given) if given is not None else known_absent(model, options)
        self._client = _client(options, key, transport)

    def tokens(self, question: Question) -> int:
        """As `Adapter.tokens`."""
        return prompt_tokens(self._model, self._options, question)

    async def ask(self, question: Question) -> Answer:
        """As `Adapter.ask`."""
        return (await self._ask(question))[0]

    async def _ask(self, question: Question) -> tuple[Answer, Mapping[str, str]]:
        import httpx2

        # The client's own post: the typed ``create`` walks through every body's union types first,
        # which took half of the 1.2 ms of a call, and would not let other servers' names pass.
        raw = await self._caught(
            self._client.post(
                "/chat/completions" if self._options.api == "chat" else "/responses",
                cast_to=httpx2.Response,
                body=body_of(question, self._model, self._options, self._absent),
                options={"security": {"bearer_auth": True}},
            )
        )
        told = limits(raw.headers, OPENAI)
        try:
            answer = answer_of(_decoded(raw.content), told)
        except ApiFailure as problem:
            problem.limits = told
            raise
        return answer, raw.headers

    async def submit(self, questions: Sequence[Question], tag: str) -> BatchState:
        """As `Adapter.submit`: a file is uploaded, and a batch made of it that carries the tag."""
        endpoint = "/v1/chat/completions" if self._options.api == "chat" else "/v1/responses"
        lines = await asyncio.to_thread(self._lines, questions, endpoint)
        file = await self._caught(
            self._client.files.create(
                file=("lens-ray.jsonl", lines, "application/jsonl"), purpose="batch"
            ),
            patient=True,
        )
        batch = await self._caught(
            self._client.batches.create(
                input_file_id=file.id,
                endpoint=endpoint,  # type: ignore[arg-type]
                completion_window="24h",
                metadata={_TAG: tag},
            )
        )
        return self._state(batch)

    def _lines(self, questions: Sequence[Question], endpoint: str) -> bytes:
        return b"".join(
            json.dumps(
                {
                    "custom_id": question.custom_id,
                    "method": "POST",
                    "url": endpoint,
                    "body": body_of(question, self._model, self._options, self._absent, live=False),
                },
                ensure_ascii=False,
                separators=(",", ":"),
            ).encode()
            + b"\n"
            for question in questions
        )

    async def batch(self, batch_id: str) -> BatchState:
        """As `Adapter.batch`."""
        return self._state(await self._retrieved(batch_id))

    async def results(self, batch_id: str) -> AsyncIterator[tuple[str, Answer | ApiFailure]]:
        """As `Adapter.results`: the lines of the output file, then those of the error file.

        Questions of a batch that expired or was cancelled may be in neither.
        """
        batch = await self._retrieved(batch_id)
        files = [name for name in (batch.output_file_id, batch.error_file_id) if name]
        for name in files:
            async for line in self._file(name):
                result = self._result(line)
                if result is not None:
                    yield result

    async def _retrieved(self, batch_id: str) -> Batch:
        return await self._caught(self._client.batches.retrieve(batch_id), missing=Kind.REQUEST)

    async def _file(self, file_id: str) -> AsyncIterator[str]:
        """Lines of a file, as they come."""
        manager = self._client.files.with_streaming_response.content(file_id)
        response = await self._caught(manager.__aenter__(), missing=Kind.REQUEST)
        try:
            lines = response.iter_lines()
            while True:
                line = await self._caught(_next_line(lines))
                if line is None:
                    return
                yield line
        finally:
            await manager.__aexit__(None, None, None)

    def _result(self, line: str) -> tuple[str, Answer | ApiFailure] | None:
        """Whose line it is, and what it says; None where it does not say whose."""
        entry = _decoded_or_none(line)
        custom_id = entry.get("custom_id") if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping) or not isinstance(custom_id, str):
            return None
        response = entry.get("response")
        if not isinstance(response, Mapping):
            return custom_id, failure(None, entry.get("error"), {}, self._key)
        status, body = response.get("status_code"), response.get("body")
        if isinstance(status, int) and status >= 400:
            return custom_id, failure(status, body, {}, self._key)
        try:
            return custom_id, answer_of(body)
        except ApiFailure as problem:
            return custom_id, problem

    def _state(self, batch: Batch) -> BatchState:
        none = batch.output_file_id is None and batch.error_file_id is None
        counts = batch.request_counts
        return BatchState(
            batch.id,
            batch.status in _OVER,
            (batch.metadata or {}).get(_TAG),
            float(batch.created_at),
            (counts.total or None) if counts is not None else None,  # 0 while it is looked at
            self._refused(batch) if batch.status == "failed" and none else None,
        )

    def _refused(self, batch: Batch) -> ApiFailure:
        """Why a whole batch was not taken."""
        errors = (batch.errors.data if batch.errors is not None else None) or []
        first = errors[0].model_dump() if errors else {}
        code = str(first.get("code") or "")
        if code == "token_limit_exceeded":  # of the tokens that may be queued: fewer, or later
            return ApiFailure(Kind.RATE_LIMIT, one_line(str(first.get("message"))))
        return failure(400, {"error": first}, {}, self._key, "the batch failed")

    async def batches(self) -> Sequence[BatchState]:
        """As `Adapter.batches`."""
        found: list[BatchState] = []
        page = await self._caught(self._client.batches.list(limit=100))
        while True:
            found += [self._state(batch) for batch in page.data]
            if len(found) >= _LISTED or not page.has_next_page():
                return found
            page = await self._caught(page.get_next_page())

    async def check(self) -> Mapping[str, str]:
        """As `Adapter.check`."""
        question = Question("check", "Answer with one word.", (), Generation(LEAST_OUTPUT))
        answer, headers = await self._ask(question)
        return check_facts(answer, server_clock(headers))

    async def close(self) -> None:
        """As `Adapter.close`."""
        await self._client.close()

    async def _caught(
        self,
        call: Awaitable[T],
        missing: Kind | None = None,
        patient: bool = False,
    ) -> T:
        """Wait for a call, a whole call at most ``timeout_s``; what it raises becomes `ApiFailure`.

        Args:
            call: Of the SDK.
            missing: What a 404 means, where that is not the model.
            patient: Whether it sends a large file.

        Raises:
            ApiFailure: Outside of the handler, so that no exception of the SDK hangs on it: that
                one carries the request with the key in its headers.
        """
        import httpx2
        import openai

        limit = self._options.timeout_s * (10 if patient else 1)
        try:
            async with asyncio.timeout(limit):
                return await call
        except TimeoutError:
            problem = ApiFailure(Kind.TIMEOUT, f"no whole answer within {limit:g} s")
        except (openai.APITimeoutError, httpx2.TimeoutException):
            problem = ApiFailure(Kind.TIMEOUT, "no answer within the time of one step")
        except openai.APIStatusError as error:
            problem = failure(
                error.status_code,
                error.body if isinstance(error.body, Mapping) else _text_of(error),
                error.response.headers,
                self._key,
            )
            if error.status_code == 404 and missing is not None:
                problem = ApiFailure(missing, problem.line)
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            cause = error.__cause__ or error
            line = one_line(f"{type(cause).__name__}: {cause}")
            problem = ApiFailure(Kind.CONNECTION, line)
        except (openai.OpenAIError, ValueError) as error:
            line = one_line(f"{type(error).__name__}: {error}")
            problem = ApiFailure(Kind.MALFORMED, line)
        raise problem


def _client(
    options: OpenAIOptions, key: Key, transport: httpx2.AsyncBaseTransport | None
) -> AsyncOpenAI:
    import openai

    http = http_client(options, transport)
    if options.api_version is not None:
        return openai.AsyncAzureOpenAI(
            azure_endpoint=options.base_url or "",
            api_version=options.api_version,
            api_key=key.reveal(),
            timeout=options.timeout_s,
            max_retries=0,
            http_client=http,
        )
    return openai.AsyncOpenAI(
        api_key=key.reveal(),
        base_url=options.base_url or _URL,
        timeout=options.timeout_s,
        max_retries=0,
        http_client=http,
    )


async def _next_line(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)


def _decoded(content: bytes) -> object:
    try:
        found: object = json.loads(content)
    except ValueError:
        raise ApiFailure(Kind.MALFORMED, "the response is no JSON") from None
    return found


def _decoded_or_none(line: str) -> object:
    try:
        return _decoded(line.encode())
    except ApiFailure:
        return None


def _text_of(error: object) -> str:
    body = getattr(error, "body", None)
    return body if isinstance(body, str) else ""
