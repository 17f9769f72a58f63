"""Gemini's ``generateContent``, over its official SDK: `GeminiAdapter`.

Read on 2026-11-27 in the SDK google-genai 3.6.1 and in stored copies of Google's pages:

- ``types.py``: ``GenerateContentConfig``, ``FinishReason``, ``BlockedReason``, ``MediaResolution``,
  ``ThinkingConfig``, ``Candidate``, ``GenerateContentResponseUsageMetadata``; ``errors.py``.
  ``_api_client.py``: version ``v1`` of the API, and a hidden second try over aiohttp.
- firebase.google.com/docs/vertex-ai/input-file-requirements: tiles of Gemini 1.5 to 2.5.
  Tokens by media resolution of Gemini 3: 280, 560, 1120.
- ai.google.dev/gemini-api/docs/thinking: levels from Gemini 3 on, budgets before.
- Responses of status 429 as users have posted them: ``RetryInfo``, ``QuotaFailure``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil, exp
from typing import TYPE_CHECKING

from lens_ray.errors import UserError
from lens_ray.models.api.adapter import Answer, ApiFailure, BatchState, EncodedImage, Kind, Question
from lens_ray.models.api.calls import (
    check_facts,
    count_of,
    http_client,
    one_line,
    sendable,
    text_tokens,
    without_version,
)
from lens_ray.models.api.gemini_errors import kind_of
from lens_ray.models.api.headers import duration, retry_after, server_clock
from lens_ray.models.api.keys import Key
from lens_ray.models.api.options import Absent, GeminiOptions
from lens_ray.models.protocol import Generation

if TYPE_CHECKING:
    import httpx2
    from google.genai import types
    from google.genai.errors import APIError
    from google.genai.types import Candidate, GenerateContentConfig, GenerateContentResponse

#: What the SDK would take from ``GOOGLE_GEMINI_BASE_URL`` otherwise, unseen by the model's key.
BASE_URL = "https://generativelanguage.googleapis.com"
#: Likewise from ``GOOGLE_GENAI_API_VERSION``; this is the SDK's own.
API_VERSION = "v1"
#: What `GeminiOptions.reasoning_effort` may say of models from Gemini 3 on.
LEVELS = ("minimal", "low", "medium", "high", "xhigh")

_FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "ESCALATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
_VERSION = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?(?!\d)")
_NEWEST = (99, 0)
_LEVEL_TOKENS = {"low": 280, "medium": 560, "high": 1120, None: 1120}
_TILE_TOKENS = 258
#: Tokens around every prompt.
_AROUND = 16


def known_absent(model: str, options: GeminiOptions | None = None) -> frozenset[Absent]:
    """Generation parameters that a model does not take, by its name.

    Source: ai.google.dev/gemini-api/docs/latest-model, by way of github.com/anomalyco/opencode,
    pull request 38924: from 3.6 (and 3.5 Flash-Lite) on, temperature and top_p are ignored.

    Args:
        model: Its id.
        options: Nothing in them matters.
    """
    if _version(model) >= (3, 6) or "3.5-flash-lite" in model:
        return frozenset({"temperature", "top_p"})
    return frozenset()


def image_tokens(image: EncodedImage, model: str, resolution: str | None) -> int:
    """Tokens of an image, at most.

    Args:
        image: As it is sent.
        model: From Gemini 3 on, a number by resolution; before, 258 a tile of 768x768 pixels.
        resolution: `GeminiOptions.media_resolution`.
    """
    if _version(model) >= (3, 0):
        return _LEVEL_TOKENS[resolution]
    if resolution == "low":
        return 64
    if resolution == "medium" or max(image.width, image.height) <= 384:
        return _TILE_TOKENS
    scale = min(1.0, 3072 / max(image.width, image.height))
    width, height = image.width * scale, image.height * scale
    side = min(max(int(min(width, height) / 1.5), 256), 768)
    return ceil(width / side) * ceil(height / side) * _TILE_TOKENS


def prompt_tokens(model: str, options: GeminiOptions, question: Question) -> int:
    """Tokens of a prompt, rather too many than too few: `text_tokens` and `image_tokens`."""
    resolution = options.media_resolution
    images = sum(image_tokens(image, model, resolution) for image in question.images)
    return text_tokens(question.text, options.system_prompt or "") + images + _AROUND


class GeminiAdapter:
    """Asks Gemini, or a server that speaks like it."""

    provider = "gemini"
    has_batches = False

    def __init__(
        self,
        model: str,
        options: GeminiOptions,
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
        import httpx2
        from google import genai
        from google.genai import types

        _check_thinking(model, options)
        self.version = genai.__version__
        self._model = model
        self._options = options
        absent = known_absent(model, options) if options.absent is None else set(options.absent)
        self._absent = frozenset(absent)
        self._http = http_client(options, transport)
        self._client = genai.Client(
            vertexai=False,
            api_key=key.reveal(),
            http_options=types.HttpOptions(
                base_url=without_version(options.base_url or BASE_URL),
                api_version=API_VERSION,
                timeout=int(options.timeout_s * 1000),
                httpx_async_client=self._http,
                # Nobody asks synchronously; without this one, another 70 ms go into certificates.
                httpx_client=httpx2.Client(transport=httpx2.BaseTransport()),
            ),
        )

    def tokens(self, question: Question) -> int:
        """As `prompt_tokens`."""
        return prompt_tokens(self._model, self._options, question)

    async def ask(self, question: Question) -> Answer:
        """Ask once; raises `ApiFailure`."""
        config = self._config(question.generation)
        return self._answer(await self._generate(question, config))

    async def check(self) -> Mapping[str, str]:
        """Ask for one token; raises `ApiFailure`."""
        config = self._config(Generation(max_new_tokens=1))
        response = await self._generate(Question("check", "Hi", (), Generation()), config)
        return check_facts(self._answer(response), server_clock(_headers(response)))

    async def submit(self, questions: Sequence[Question], tag: str) -> BatchState:
        """Not built: raises `ApiFailure`."""
        raise _no_batches()

    async def batch(self, batch_id: str) -> BatchState:
        """Not built: raises `ApiFailure`."""
        raise _no_batches()

    def results(self, batch_id: str) -> AsyncIterator[tuple[str, Answer | ApiFailure]]:
        """Not built: raises `ApiFailure`."""
        raise _no_batches()

    async def batches(self) -> Sequence[BatchState]:
        """Not built: raises `ApiFailure`."""
        raise _no_batches()

    async def close(self) -> None:
        """Close connections."""
        await self._client.aio.aclose()
        self._client.close()
        await self._http.aclose()

    async def _generate(
        self, question: Question, config: GenerateContentConfig
    ) -> GenerateContentResponse:
        from google.genai import types

        parts = [
            types.Part.from_bytes(data=image.data, mime_type=image.media_type)
            for image in question.images
        ]
        parts.append(types.Part.from_text(text=sendable(question.text)))
        contents = types.Content(role="user", parts=parts)
        with self._failures():
            async with asyncio.timeout(self._options.timeout_s):
                return await self._client.aio.models.generate_content(
                    model=self._model, contents=contents, config=config
                )

    def _config(self, generation: Generation) -> GenerateContentConfig:
        from google.genai import types

        resolution = self._options.media_resolution
        takes = {"temperature", "top_p", "seed", "stop"} - self._absent
        return types.GenerateContentConfig(
            system_instruction=sendable(self._options.system_prompt or "") or None,
            max_output_tokens=self._options.most_output(generation.max_new_tokens),
            temperature=generation.temperature if "temperature" in takes else None,
            top_p=generation.top_p if "top_p" in takes and generation.top_p != 1.0 else None,
            seed=generation.seed if "seed" in takes else None,
            stop_sequences=list(generation.stop) or None if "stop" in takes else None,
            media_resolution=(
                None
                if resolution is None
                else types.MediaResolution(f"MEDIA_RESOLUTION_{resolution.upper()}")
            ),
            thinking_config=_thinking(self._model, self._options),
            automatic_continuation=False,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )

    def _answer(self, response: GenerateContentResponse) -> Answer:
        blocked = response.prompt_feedback and response.prompt_feedback.block_reason
        if not response.candidates:
            if blocked:
                said = response.prompt_feedback and response.prompt_feedback.block_reason_message
                line = one_line(f"the prompt was blocked: {blocked.value} {said or ''}")
                raise ApiFailure(Kind.MODERATION, line)
            raise ApiFailure(Kind.MALFORMED, "the response has no candidate")
        candidate = response.candidates[0]
        reason = str(getattr(candidate.finish_reason, "value", None))
        if reason == "PUP_LIMITED_DISABLED":
            raise ApiFailure(Kind.KEY, "the account is limited for violations of Google's policy")
        if reason not in _FINISH:
            line = one_line(f"the answer ended by {reason} {candidate.finish_message or ''}")
            raise ApiFailure(Kind.MALFORMED, line)
        usage = response.usage_metadata
        out = None if usage is None else count_of(usage.candidates_token_count)
        thoughts = None if usage is None else count_of(usage.thoughts_token_count)
        return Answer(
            text=sendable(_text(candidate)),
            finish_reason=_FINISH[reason],
            served=sendable(response.model_version or self._model),
            tokens_in=None if usage is None else count_of(usage.prompt_token_count),
            tokens_out=None if out is None and thoughts is None else (out or 0) + (thoughts or 0),
            confidence=_confidence(candidate.avg_logprobs, out),
        )

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Whatever the SDK raises, as `ApiFailure` and without the request that it holds."""
        import httpx2
        from google.genai import errors

        try:
            yield
        except (TimeoutError, httpx2.TimeoutException):
            line = f"no answer within {self._options.timeout_s:g} s"
            raise ApiFailure(Kind.TIMEOUT, line) from None
        except errors.APIError as error:
            raise self._failure(error) from None
        except (httpx2.HTTPError, OSError) as error:
            line = one_line(f"{type(error).__name__} {error}")
            raise ApiFailure(Kind.CONNECTION, line) from None
        except (ValueError, TypeError, AttributeError):  # JSON that is broken, or not what it says
            raise ApiFailure(Kind.MALFORMED, "the response is no JSON of its type") from None

    def _failure(self, error: APIError) -> ApiFailure:
        details = _details(error.details)
        said = str(error.message or "")
        kind = kind_of(error.code, str(error.status or ""), said, details)
        headers = getattr(error.response, "headers", {})
        wait = next((duration(str(d["retryDelay"])) for d in details if "retryDelay" in d), None)
        line = one_line(f"{error.code} {error.status or ''}: {said}")
        return ApiFailure(kind, line, retry_after(headers) if wait is None else wait)


def _details(body: object) -> list[Mapping[str, object]]:
    error = body.get("error") if isinstance(body, Mapping) else None
    details = error.get("details") if isinstance(error, Mapping) else None
    return [d for d in details if isinstance(d, Mapping)] if isinstance(details, list) else []


def _headers(response: GenerateContentResponse) -> dict[str, str]:
    http = response.sdk_http_response
    said = http.headers if http is not None else None
    return {name.lower(): value for name, value in (said or {}).items()}


def _text(candidate: Candidate) -> str:
    parts = (candidate.content.parts if candidate.content else None) or []
    return "".join(part.text for part in parts if part.text and not part.thought)


def _confidence(average: float | None, tokens: int | None) -> float | None:
    """Probability of the answer, of the average log probability of its tokens."""
    return None if average is None or not tokens or not average <= 0 else exp(average * tokens)


def _version(model: str) -> tuple[int, int]:
    """Of ``gemini-2.5-flash`` (2, 5); of a name without a number, the newest."""
    found = _VERSION.search(model)
    return _NEWEST if found is None else (int(found[1]), int(found[2] or 0))


def _check_thinking(model: str, options: GeminiOptions) -> None:
    effort = options.reasoning_effort
    if effort is None:
        return
    if _version(model) < (3, 0):
        if effort != "none":
            raise UserError(
                f"{model}: reasoning_effort {effort!r}; models before Gemini 3 take 'none', or "
                "reasoning_tokens"
            )
    elif effort not in LEVELS:
        raise UserError(f"{model}: reasoning_effort {effort!r}; Gemini knows {', '.join(LEVELS)}")


def _thinking(model: str, options: GeminiOptions) -> types.ThinkingConfig | None:
    """How the model is told to think; nothing is said where the job says nothing.

    Models from Gemini 3 on take a level, those before a budget of tokens. Either way
    ``maxOutputTokens`` counts thinking and answer together.
    """
    from google.genai import types

    if _version(model) < (3, 0):
        if options.reasoning_effort == "none":
            return types.ThinkingConfig(thinking_budget=0)
        if options.reasoning_tokens:
            return types.ThinkingConfig(thinking_budget=options.reasoning_tokens)
    elif options.reasoning_effort is not None:
        level = types.ThinkingLevel(options.reasoning_effort.upper())
        return types.ThinkingConfig(thinking_level=level)
    return None


def _no_batches() -> ApiFailure:
    return ApiFailure(Kind.REQUEST, "mode: batch works with openai and anthropic, not with gemini")
