"""Questions that wait to be handed in: `Gathered`."""

from __future__ import annotations

from dataclasses import dataclass

from lens_ray.models.api.adapter import Question
from lens_ray.models.api.ports import Load, Permit
from lens_ray.models.protocol import Request

#: What a question takes in a batch beside its text and its images, roughly.
_SHELL = 2048


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
