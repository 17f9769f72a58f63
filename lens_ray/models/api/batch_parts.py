"""What batches are made of: `Gathered` questions, and batches that are `Followed`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lens_ray.models.api.adapter import Answer, ApiFailure, Question
from lens_ray.models.api.batch_notes import Batch
from lens_ray.models.api.ports import Load, Permit
from lens_ray.models.protocol import Completion, Request

#: What a question takes in a batch beside its text and its images, roughly.
_SHELL = 2048


class Maker(Protocol):
    """How one model's questions and rows are made."""

    @property
    def served(self) -> str | None:
        """The model id that answers; None is not known yet."""
        ...

    async def question(self, request: Request) -> Question:
        """Raises `ApiFailure` where it cannot be asked."""
        ...

    def load(self, question: Question) -> Load:
        """What it will take, at the batch price."""
        ...

    def again(self, request: Request, known: Completion) -> Completion:
        """A remembered answer as one of this model."""
        ...

    async def completion(
        self, request: Request, outcome: Answer | ApiFailure, latency_s: float
    ) -> Completion:
        """What came of a question.

        Raises:
            ProviderUnavailable: Nobody can be asked any more, or another model answers.
        """
        ...


@dataclass(frozen=True, slots=True)
class Gathered:
    """A question that waits to be handed in.

    Attributes:
        request: Whose, without its images.
        question: As it is sent.
        load: What it will take.
        size: Bytes of it in a batch.
        permit: For its money, once there is one.
    """

    request: Request
    question: Question
    load: Load
    size: int
    permit: Permit | None = None


@dataclass(slots=True)
class Followed:
    """A batch that is with the provider.

    Attributes:
        batch: Which.
        permits: For its money, by custom id; none where an earlier start handed it in.
        left: Its questions that have no answer yet, by custom id.
        adopted: Whether an earlier start handed it in, and may have kept some of its answers.
        failures: What it gave instead of one.
    """

    batch: Batch
    permits: Mapping[str, Permit | None]
    left: dict[str, Request]
    adopted: bool
    failures: dict[str, ApiFailure] = field(default_factory=dict)


def halves(part: list[Gathered]) -> list[list[Gathered]]:
    """Two parts, the first one last, as from a stack."""
    middle = len(part) // 2
    return [part[middle:], part[:middle]]


def weight(request: Request) -> int:
    """Bytes that a request holds."""
    return _SHELL + sum(map(len, request.images))


def size(question: Question) -> int:
    """Bytes of a question as it is sent: images in base64."""
    images = sum(len(image.data) for image in question.images)
    return _SHELL + len(question.text.encode()) + images * 4 // 3
