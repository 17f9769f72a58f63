"""Questions that wait to be handed in: `Gathered`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lens_ray.models.api.adapter import Question
from lens_ray.models.api.ports import Load
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
    """

    request: Request
    question: Question
    load: Load
    size: int


def together(part: Sequence[Gathered]) -> Load:
    """Batches have limits of their own, so that only their money counts; None is not known."""
    costs = [one.load.usd for one in part]
    known = [usd for usd in costs if usd is not None]
    return Load(0, 0, math.fsum(known) if len(known) == len(costs) else None)


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
