"""What one provider's file implements: `Adapter`; and what it says: `Answer`, `ApiFailure`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from lens_ray.models.api.ports import Limits
from lens_ray.models.protocol import Generation


class Kind(StrEnum):
    """Why a call gave no answer; the first word of the row's cause."""

    RATE_LIMIT = "rate_limit"  # 429, 529, overloaded: asked again, no attempt of the sample
    SERVER = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    MALFORMED = "malformed_response"
    IMAGE = "image_too_large"
    CONTEXT = "context_overflow"
    REQUEST = "invalid_request"
    MODERATION = "moderation"  # the question itself was refused: a refusal, not a failure
    EXPIRED = "batch_expired"
    KEY = "key_refused"
    CREDIT = "credit_exhausted"
    MODEL = "unknown_model"


#: Another try cannot mend these.
LASTING = frozenset({Kind.IMAGE, Kind.CONTEXT, Kind.REQUEST})
#: After these nobody can be asked with this key, or nobody of this model.
ENDING = frozenset({Kind.KEY, Kind.CREDIT, Kind.MODEL})


class ApiFailure(Exception):
    """A call gave no answer.

    Attributes:
        kind: Why.
        line: What the provider said, in one line, without secrets.
        retry_after_s: As the provider asks; None where it does not.
        limits: From the headers.
    """

    def __init__(
        self,
        kind: Kind,
        line: str,
        retry_after_s: float | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(f"{kind}: {line}")
        self.kind = kind
        self.line = line
        self.retry_after_s = retry_after_s
        self.limits = limits or Limits()

    def __reduce__(self) -> tuple[type[ApiFailure], tuple[object, ...]]:
        return ApiFailure, (self.kind, self.line, self.retry_after_s, self.limits)


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image as it is sent.

    Attributes:
        data: Its bytes.
        media_type: ``image/png`` or ``image/jpeg``.
        width: Pixels.
        height: Pixels.
    """

    data: bytes
    media_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question, ready to be sent.

    Attributes:
        custom_id: Names it in a batch: at most 64 of ``[A-Za-z0-9_-]``, the same for the same
            content in every process.
        text: The user's turn.
        images: Before the text, in order.
        generation: Effective parameters, those left out that the model does not take.
    """

    custom_id: str
    text: str
    images: tuple[EncodedImage, ...]
    generation: Generation


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered.

    Attributes:
        text: As it came.
        finish_reason: ``stop``, ``length``, ``content_filter`` or ``refusal``.
        served: The model id that the provider says answered.
        tokens_in: Of the prompt, images included; None is not said.
        tokens_out: Generated and paid, those of thinking included; None is not said.
        confidence: Probability of the answer, where the provider gives it.
        limits: From the headers.
    """

    text: str
    finish_reason: str
    served: str
    tokens_in: int | None
    tokens_out: int | None
    confidence: float | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class BatchState:
    """A batch at the provider.

    Attributes:
        batch_id: Its id there.
        over: Whether it has ended, one way or another.
        tag: What `Adapter.submit` was given, to find it again; None where it is not kept there.
        created: Seconds since 1970.
        size: Questions in it; None is not said.
        failure: Why it was not taken as a whole, so that there are no results; None where it was.
    """

    batch_id: str
    over: bool
    tag: str | None
    created: float
    size: int | None = None
    failure: ApiFailure | None = None


class Adapter(Protocol):
    """One provider's protocol, over its official SDK, whose own retries are off.

    Attributes:
        provider: Its name.
        version: Of the SDK.
        has_batches: Whether the four batch methods work.
    """

    provider: str
    version: str
    has_batches: bool

    def tokens(self, question: Question) -> int:
        """Prompt tokens by the provider's published rule, rather too many than too few."""
        ...

    async def ask(self, question: Question) -> Answer:
        """Ask once.

        Raises:
            ApiFailure: There is no answer.
        """
        ...

    async def submit(self, questions: Sequence[Question], tag: str) -> BatchState:
        """Hand in a batch; raises `ApiFailure`."""
        ...

    async def batch(self, batch_id: str) -> BatchState:
        """How a batch stands; raises `ApiFailure`."""
        ...

    def results(self, batch_id: str) -> AsyncIterator[tuple[str, Answer | ApiFailure]]:
        """What an ended batch gave, by custom id; raises `ApiFailure`."""
        ...

    async def batches(self) -> Sequence[BatchState]:
        """The newest batches of this key, as far as the provider lists them."""
        ...

    async def check(self) -> Mapping[str, str]:
        """The smallest call that shows key and model to be good; facts for `doctor`.

        Raises:
            ApiFailure: One is not.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...
