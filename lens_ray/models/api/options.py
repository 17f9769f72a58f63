"""What a job file may say of a model behind a provider's interface: `ApiOptions` and its kinds."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from lens_ray.job_secrets import secret_in
from lens_ray.models.spec import ClosedModel, ModelSpec, Options

#: In the place of a URL: a scripted server inside the replica, for trials without a provider.
SCRIPTED = "builtin:scripted"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
#: Of capital letters and digits alone; no name of a variable is so long without an underscore.
_KEYLIKE = re.compile(r"[A-Z0-9]{20,}")

#: The Responses interface refuses fewer ("integer below minimum value. Expected a value >= 16").
LEAST_OUTPUT = 16

_MILLION = 1_000_000

_Share = Annotated[float, Field(ge=0, le=1)]
Absent = Literal["temperature", "top_p", "seed", "stop"]


class TokenPrices(ClosedModel):
    """What a model costs, in US dollars a million tokens.

    A cheaper price of prompts that a provider has cached is not counted: what is said to be paid
    is then more than the bill.

    Attributes:
        input: Of the prompt, images included.
        output: Of the answer, thinking included.
        batch_input: Of the prompt in the provider's batch interface; None is unknown.
        batch_output: Of the answer in it; None is unknown.
        image: US dollars of one image, where images are billed by the piece beside the tokens.
    """

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    batch_input: float | None = Field(default=None, ge=0)
    batch_output: float | None = Field(default=None, ge=0)
    image: float | None = Field(default=None, ge=0)

    def cost(
        self, tokens_in: float, tokens_out: float, *, images: float = 0, batch: bool = False
    ) -> float | None:
        """US dollars; None where the price of batches is not known."""
        given = (self.batch_input, self.batch_output) if batch else (self.input, self.output)
        if given[0] is None or given[1] is None:
            return None
        tokens = (tokens_in * given[0] + tokens_out * given[1]) / _MILLION
        return tokens + images * (self.image or 0.0)


class Price(TokenPrices):
    """What a model costs where the price table does not name it.

    Attributes:
        source: Where it was read.
    """

    source: str | None = Field(default=None, min_length=1, max_length=400)


class Scripted(ClosedModel):
    """How the scripted server answers (``base_url: builtin:scripted``).

    Attributes:
        suite: Whose truth it knows.
        skill: Probability of the right answer; by ability where it is a mapping.
        seed: Of its mistakes.
        latency_s: Median seconds of an answer.
    """

    suite: str = "mini:quick"
    skill: _Share | dict[str, _Share] = 0.8
    seed: int = 0
    latency_s: float = Field(default=0.05, ge=0, le=600)


class ApiOptions(Options):
    """Options that every provider has.

    Attributes:
        base_url: Of another server that speaks the same protocol; None is the provider's own.
        api_key_env: Environment variable that holds the key (or, with ``_FILE`` behind its name,
            the path of a mounted file that does); None is the provider's usual one.
        mode: ``live`` asks one by one; ``batch`` hands the questions to the batch interface.
        concurrency: Calls in flight at once, over all replicas of the cluster.
        requests_per_minute: Permitted; None follows what the provider says and refuses.
        tokens_per_minute: Permitted; None as above.
        images_per_minute: Permitted; None is not counted.
        timeout_s: After which a call has failed.
        patience_s: How long a question waits for a provider that is overloaded.
        system_prompt: Before every question.
        reasoning_effort: Of models that think first; None leaves it to the model.
        reasoning_tokens: Tokens for that, beside ``max_new_tokens``.
        absent: Generation parameters that the model does not take; they are not sent, and one that
            the job asks for is an error. None is what is known of the model's name.
        image_max_side: Longer images are scaled down to this many pixels; None is the provider's
            own limit.
        image_format: ``auto`` sends PNG and JPEG as they are, where they are small enough.
        price: Where the price table does not know the model.
        scripted: Of the scripted server.
    """

    speed_only: ClassVar[frozenset[str]] = frozenset(
        {
            "api_key_env", "concurrency", "requests_per_minute", "tokens_per_minute",
            "images_per_minute", "timeout_s", "patience_s", "price", "mode",
        }
    )  # fmt: skip

    base_url: str | None = Field(default=None, max_length=2048)
    api_key_env: str | None = None
    mode: Literal["live", "batch"] = "live"
    concurrency: int = Field(default=64, ge=1, le=10_000)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    images_per_minute: int | None = Field(default=None, ge=1)
    timeout_s: float = Field(default=120.0, gt=0, le=3600)
    patience_s: float = Field(default=900.0, ge=0, le=86_400)
    system_prompt: str | None = Field(default=None, max_length=32_768)
    reasoning_effort: str | None = Field(default=None, pattern=r"^[a-z]{2,16}$")
    reasoning_tokens: int = Field(default=0, ge=0, le=1_000_000)
    absent: tuple[Absent, ...] | None = None
    image_max_side: int | None = Field(default=None, ge=16, le=16_384)
    image_format: Literal["auto", "png", "jpeg"] = "auto"
    price: Price | None = None
    scripted: Scripted | None = None

    def most_output(self, max_new_tokens: int) -> int:
        """Tokens that a call may generate and bill, as the provider is told."""
        return max_new_tokens + self.reasoning_tokens

    @field_validator("api_key_env", mode="before")
    @classmethod
    def _names_a_variable(cls, value: object) -> object:
        """Not by a pattern: its error would repeat a key that was written here."""
        if value is None:
            return None
        named = isinstance(value, str) and _VARIABLE.fullmatch(value)
        if not named or _KEYLIKE.fullmatch(str(value)):
            raise PydanticCustomError(
                "no_variable",
                "this is no name of an environment variable; write one such as OPENAI_API_KEY, "
                "and the key itself nowhere but in that variable",
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, value: str | None) -> str | None:
        if value is None or value == SCRIPTED:
            return value
        try:
            url = urlsplit(value)
            whole = url.scheme in ("http", "https") and url.hostname and (url.port or 1)
        except ValueError:
            whole = None
        if secret_in(value) or not whole or url.query or url.fragment or "@" in url.netloc:
            raise PydanticCustomError(
                "base_url",
                "a base_url is http:// or https:// with a host, perhaps a port and a path, and "
                "nothing else; credentials belong in the environment",
            )
        return value


#: A provider answers a batch within so long, or says that it does not.
_BATCH_S = 26 * 3600.0


def longest_wait_s(spec: ModelSpec) -> float:
    """How long a question may rightly stay without an answer, its provider being slow; else 0."""
    options = spec.parsed_options()
    if not isinstance(options, ApiOptions):
        return 0.0
    if options.mode == "batch":
        return _BATCH_S
    return options.patience_s + options.timeout_s


class OpenAIOptions(ApiOptions):
    """Options of the backend ``openai``.

    Attributes:
        api: ``responses``, or ``chat`` (Chat Completions), which compatible servers speak.
        image_detail: How closely images are looked at.
        api_version: Of Azure; with it, ``base_url`` is the resource's endpoint.
    """

    api: Literal["responses", "chat"] = "responses"
    image_detail: Literal["auto", "low", "high"] = "auto"
    api_version: str | None = Field(default=None, max_length=64)

    def model_post_init(self, context: object, /) -> None:
        """Refuse Azure without the resource's address: the SDK would find none at each call."""
        if self.api_version is not None and self.base_url is None:
            raise PydanticCustomError(
                "azure",
                "api_version is of Azure, which needs base_url: https://NAME.openai.azure.com too",
            )

    def most_output(self, max_new_tokens: int) -> int:
        """See `ApiOptions.most_output`."""
        least = LEAST_OUTPUT if self.api == "responses" else 1
        return max(least, super().most_output(max_new_tokens))


class AnthropicOptions(ApiOptions):
    """Options of the backend ``anthropic``."""


class GeminiOptions(ApiOptions):
    """Options of the backend ``gemini``.

    Attributes:
        media_resolution: How closely images are looked at; None leaves it to the model.
    """

    media_resolution: Literal["low", "medium", "high"] | None = None

    @field_validator("mode")
    @classmethod
    def _no_batches(cls, value: Literal["live", "batch"]) -> Literal["live", "batch"]:
        if value == "batch":
            raise PydanticCustomError(
                "mode",
                "batches are made with the backends openai and anthropic, not with gemini; "
                "write mode: live",
            )
        return value
