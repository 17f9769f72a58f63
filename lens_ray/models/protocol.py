"""What the engine asks of whatever hosts a model: `Backend`.

A backend is built inside a replica process by `lens_ray.models.create_backend` and is told which
requests to answer. It knows nothing of leases, rows or Ray.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Generation:
    """Effective generation parameters of one request."""

    max_new_tokens: int = 16
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One question, rendered.

    Attributes:
        request_id: The sample id.
        text: The user's turn, without image placeholders.
        images: Encoded images (PNG or JPEG bytes), placed before the text in order.
        generation: Effective parameters.
        expected_cost: Relative cost that the planner predicts (any unit, > 0).
        prompt_hash: Of text, images and parameters (`lens_ray.suites.templates.prompt_hash`).
    """

    request_id: str
    text: str
    images: tuple[bytes, ...]
    generation: Generation
    expected_cost: float = 1.0
    prompt_hash: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """The outcome of one request.

    Attributes:
        request_id: As in the request.
        text: Raw text, special tokens removed, otherwise untouched.
        finish_reason: ``stop``, ``length``, ``content_filter``, ``refusal``, ``moderation`` (the
            question was refused) or ``error``.
        tokens_in: Prompt tokens, image tokens included; None when unknown.
        tokens_out: Generated tokens; None when unknown.
        latency_s: Seconds from the call to the answer.
        confidence: Probability of the generated answer (product over its tokens), or None.
        weight_version: The weights that gave every token of this answer.
        error: One line when ``finish_reason`` is ``error``: the cause.
        cost_usd: Price paid, or None.
        served: Model id that a provider says answered; stored as the row's weight version.
        lasting: Whether another try cannot mend the error.
    """

    request_id: str
    text: str
    finish_reason: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_s: float = 0.0
    confidence: float | None = None
    weight_version: str = ""
    error: str | None = None
    cost_usd: float | None = None
    served: str | None = None
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What a started backend says of itself.

    Attributes:
        name: Backend name as in the job file.
        version: Version of the library that computes.
        batch: Requests that one `Backend.generate` call should carry.
        parallel: `Backend.generate` calls that may be in flight at once.
        can_load_weights: Whether `Backend.load_weights` works.
        paid: Whether answers cost money (never duplicated in the tail).
        facts: Further facts for the run header (dtype, device, threads, architecture, ...).
    """

    name: str
    version: str
    batch: int
    parallel: int
    can_load_weights: bool = False
    paid: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Backend(Protocol):
    """Hosts one model."""

    async def start(self) -> BackendInfo:
        """Load the model; raises `CheckpointError` where the checkpoint is at fault."""
        ...

    def generate(self, requests: Sequence[Request]) -> AsyncIterator[Completion]:
        """Answer requests, yielding each completion as it finishes, in any order."""
        ...

    async def load_weights(self, path: str, weight_version: str) -> None:
        """Take the weights of another checkpoint of the same architecture.

        Raises:
            CheckpointError: Its tensors, config, tokenizer, processor or template differ.
        """
        ...

    async def close(self) -> None:
        """Free the model; the backend is not used afterwards."""
        ...


@runtime_checkable
class Gathers(Backend, Protocol):
    """A backend that keeps questions for long, images and all, before it asks them."""

    async def room(self) -> None:
        """Wait until more questions may be made for `Backend.generate`."""
        ...
