"""The interfaces that keep the contract, and how a test asks through one."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from PIL import Image

from lens_ray.models import ModelSpec
from lens_ray.models.api.adapter import Adapter, Answer, ApiFailure, EncodedImage, Question
from lens_ray.models.api.anthropic import AnthropicAdapter
from lens_ray.models.api.gemini import GeminiAdapter
from lens_ray.models.api.keys import Key
from lens_ray.models.api.openai import OpenAIAdapter
from lens_ray.models.api.redaction import SealedAdapter
from lens_ray.models.protocol import Generation
from lens_ray.testing.provider import ProviderServer

#: Whose letters appear nowhere but in the server's counts of keys.
SECRET = "contract-key-0123456789abcdefXYZ"
KEY = Key(SECRET, "CONTRACT_KEY")
T = TypeVar("T")


@dataclass(frozen=True)
class Case:
    """One interface of one provider.

    Attributes:
        name: Of the case.
        provider: Backend of a job file.
        make: The adapter's class.
        model: An id that takes what is asked of it.
        path: Of the base URL, behind the server's.
        options: Of the job.
        batches: Whether it has them.
        stops: Whether it takes stop texts.
        tells_limits: Whether its headers do.
        refuses: What a refused answer may end as.
        filters: What an answer that a filter stopped may end as.
    """

    name: str
    provider: str
    make: Callable[[str, Any, Key], Adapter]
    model: str
    path: str = ""
    options: dict[str, object] = field(default_factory=dict)
    batches: bool = False
    stops: bool = True
    tells_limits: bool = True
    refuses: tuple[str, ...] = ("refusal",)
    filters: tuple[str, ...] = ("content_filter",)

    def spec(self, server: ProviderServer | str, **options: object) -> ModelSpec:
        """The model as a job names it."""
        url = server if isinstance(server, str) else server.url
        given = {"base_url": url + self.path, "api_key_env": "CONTRACT_KEY"}
        return ModelSpec(
            name=self.name,
            backend=self.provider,
            path=self.model,
            options={**given, "timeout_s": 10.0, **self.options, **options},
        )

    def adapter(self, server: ProviderServer | str, key: Key = KEY, **options: object) -> Adapter:
        """What a replica asks through; inside a running loop."""
        spec = self.spec(server, **options)
        return SealedAdapter(self.make(spec.path, spec.parsed_options(), key))

    def use(
        self,
        server: ProviderServer | str,
        use: Callable[[Adapter], Awaitable[T]],
        key: Key = KEY,
        **options: object,
    ) -> T:
        """What a coroutine does with an adapter."""

        async def run() -> T:
            adapter = self.adapter(server, key, **options)
            try:
                return await use(adapter)
            finally:
                await adapter.close()

        return asyncio.run(run())

    def ask(
        self, server: ProviderServer | str, asked: Question, **options: object
    ) -> Answer | ApiFailure:
        """What one call gave."""

        async def once(adapter: Adapter) -> Answer | ApiFailure:
            try:
                return await adapter.ask(asked)
            except ApiFailure as failure:
                return failure

        return self.use(server, once, KEY, **options)

    def answer(self, server: ProviderServer, asked: Question, **options: object) -> Answer:
        """What one call gave, which must be an answer."""
        given = self.ask(server, asked, **options)
        assert isinstance(given, Answer), given
        return given

    def failure(
        self, server: ProviderServer | str, asked: Question, **options: object
    ) -> ApiFailure:
        """What one call gave, which must be a failure."""
        given = self.ask(server, asked, **options)
        assert isinstance(given, ApiFailure), given
        return given


CASES = (
    Case("responses", "openai", OpenAIAdapter, "gpt-4.1-2025-04-14", "/v1", batches=True,
         stops=False),
    Case(
        "chat", "openai", OpenAIAdapter, "gpt-4.1-2025-04-14", "/v1", {"api": "chat"}, batches=True
    ),
    Case(
        "azure", "openai", OpenAIAdapter, "gpt-4.1", "",
        {"api": "chat", "api_version": "2024-10-21"},
    ),
    Case("anthropic", "anthropic", AnthropicAdapter, "claude-opus-4-6", batches=True,
         filters=("content_filter", "refusal")),
    Case("gemini", "gemini", GeminiAdapter, "gemini-2.5-flash", tells_limits=False,
         refuses=("refusal", "content_filter")),
)  # fmt: skip


def question(
    text: str = "how many are there?",
    images: tuple[EncodedImage, ...] = (),
    most: int = 64,
    stop: tuple[str, ...] = (),
    name: str = "q-1",
) -> Question:
    """A question as `ApiBackend` makes it."""
    return Question(name, text, images, Generation(max_new_tokens=most, stop=stop))


def picture(number: int, size: tuple[int, int] = (96, 64), kind: str = "PNG") -> EncodedImage:
    """An image that no other number gives."""
    sink = io.BytesIO()
    colour = (40 * number % 256, 90, 200 - number)
    Image.new("RGB", size, colour).save(sink, kind)
    return EncodedImage(sink.getvalue(), f"image/{kind.lower()}", *size)
