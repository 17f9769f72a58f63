"""From the engine's request to the provider's question, and back to a completion: `Craft`."""

from __future__ import annotations

import asyncio
import hashlib
import json
from concurrent.futures import Executor
from dataclasses import asdict, replace

from lens_ray.errors import ProviderUnavailable
from lens_ray.models.api.adapter import (
    ENDING,
    LASTING,
    Adapter,
    Answer,
    ApiFailure,
    EncodedImage,
    Kind,
    Question,
)
from lens_ray.models.api.advice import advice
from lens_ray.models.api.images import encode_all, limits_for
from lens_ray.models.api.options import ApiOptions
from lens_ray.models.api.ports import Load, Memory, Notes, Settled
from lens_ray.models.api.pricing import TokenPrice
from lens_ray.models.protocol import Completion, Generation, Request

#: Name of the note that says which model answers this run.
_SERVED = "served"
#: These may have been answered, and paid, without our seeing it.
_DOUBTFUL = frozenset({Kind.TIMEOUT, Kind.CONNECTION, Kind.MALFORMED})
_LINE = 500


class Craft:
    """One model's questions and completions.

    Attributes:
        served: The model id that answers; None is not known yet.
    """

    def __init__(
        self,
        model: str,
        provider: str,
        options: ApiOptions,
        adapter: Adapter,
        *,
        absent: frozenset[str],
        price: TokenPrice | None,
        weight_version: str,
        threads: Executor,
        variable: str,
    ) -> None:
        """Nothing is known yet of who answers; see `meet`.

        Args:
            model: Its id at the provider.
            provider: ``openai``, ``anthropic`` or ``gemini``.
            options: Of the job.
            adapter: Counts tokens.
            absent: Generation parameters that the model does not take.
            price: Of a token; None is not known.
            weight_version: What the rows are to say of the weights.
            threads: Encode images.
            variable: Where the key was read.
        """
        self.served: str | None = None
        self._model = model
        self._provider = provider
        self._options = options
        self._adapter = adapter
        self._absent = absent
        self._price = price
        self._weight_version = weight_version
        self._threads = threads
        self._variable = variable
        self._notes: Notes | None = None
        self._meeting = asyncio.Lock()

    async def meet(self, memory: Memory, notes: Notes) -> None:
        """Learn which model gave the answers that this run has."""
        self._notes = notes
        note = (await notes.read()).get(_SERVED)
        self.served = str(note["model"]) if note is not None else await memory.served()

    async def question(self, request: Request) -> Question:
        """A request, ready to be sent; its images are encoded in a thread.

        Raises:
            ApiFailure: An image cannot be sent.
        """
        images: tuple[EncodedImage, ...] = ()
        if request.images:
            limits = limits_for(self._provider, self._options, len(request.images))
            loop = asyncio.get_running_loop()
            images = await loop.run_in_executor(self._threads, encode_all, request.images, limits)
        custom_id = (request.prompt_hash or hash_of(request))[:64]
        return Question(custom_id, request.text, images, self._generation(request.generation))

    def load(self, question: Question) -> Load:
        """What a call takes at most."""
        tokens_in = self._adapter.tokens(question)
        tokens_out = self._options.most_output(question.generation.max_new_tokens)
        images = len(question.images)
        usd = self._price.usd(tokens_in, tokens_out, images) if self._price is not None else None
        return Load(tokens_in + tokens_out, images, usd)

    def settled(self, outcome: Answer | ApiFailure, images: int = 0) -> Settled:
        """What a call was, for who gave the permit.

        Args:
            outcome: What came of it.
            images: Of its question.
        """
        if isinstance(outcome, Answer):
            known = outcome.tokens_in is not None and outcome.tokens_out is not None
            tokens = (outcome.tokens_in or 0) + (outcome.tokens_out or 0) if known else None
            return Settled("answered", tokens, self._usd(outcome, images), limits=outcome.limits)
        usd = None if outcome.kind in _DOUBTFUL else 0.0
        if outcome.kind is Kind.RATE_LIMIT:
            return Settled("throttled", None, usd, outcome.retry_after_s, outcome.limits)
        if outcome.kind in ENDING:
            return Settled("dead", None, usd, limits=outcome.limits, line=self._end(outcome))
        well = outcome.kind in LASTING or outcome.kind is Kind.MODERATION
        return Settled(
            "answered" if well else "failed", None, usd, outcome.retry_after_s, outcome.limits
        )

    async def completion(
        self, request: Request, outcome: Answer | ApiFailure, latency_s: float
    ) -> Completion:
        """What came of a question.

        Raises:
            ProviderUnavailable: Nobody can be asked any more, or another model answers.
        """
        if isinstance(outcome, Answer):
            served = outcome.served or self._model
            await self._check(served)
            return Completion(
                request_id=request.request_id,
                text=outcome.text,
                finish_reason=outcome.finish_reason,
                tokens_in=outcome.tokens_in,
                tokens_out=outcome.tokens_out,
                latency_s=latency_s,
                confidence=outcome.confidence,
                weight_version=self._weight_version,
                cost_usd=self._usd(outcome, len(request.images)),
                served=served,
            )
        if outcome.kind in ENDING:
            raise ProviderUnavailable(self._end(outcome))
        if outcome.kind is Kind.MODERATION:
            return Completion(
                request.request_id, outcome.line[:_LINE], "moderation", latency_s=latency_s,
                weight_version=self._weight_version, cost_usd=0.0, served=self.served,
            )  # fmt: skip
        return Completion(
            request.request_id, "", "error", latency_s=latency_s,
            error=f"{outcome.kind}: {outcome.line}"[:_LINE], lasting=outcome.kind in LASTING,
        )  # fmt: skip

    def again(self, request: Request, known: Completion) -> Completion:
        """A remembered answer as one of this backend."""
        return replace(
            known, request_id=request.request_id, weight_version=self._weight_version, error=None
        )

    def _usd(self, answer: Answer, images: int) -> float | None:
        if self._price is None:
            return None
        return self._price.usd(answer.tokens_in, answer.tokens_out, images)

    def _end(self, failure: ApiFailure) -> str:
        what = f"; next: {advice(failure.kind, self._variable)}"
        return f"{self._provider} {self._model}: {failure}"[: _LINE - len(what)] + what

    async def _check(self, served: str) -> None:
        """The first answer of a run says who answers; every other one must agree.

        Raises:
            ProviderUnavailable: It does not.
        """
        if self.served is None:
            async with self._meeting:
                if self.served is None:
                    self.served = await self._first(served)
        if served != self.served:
            pinned = self.served if self.served != self._model else served
            raise ProviderUnavailable(
                f"{self._provider} {self._model}: {served} answers now, and {self.served} gave the "
                f"answers that this run has; write path: {pinned} (or another snapshot's id), "
                "which is a run of its own"
            )

    async def _first(self, served: str) -> str:
        assert self._notes is not None
        if await self._notes.write(_SERVED, {"model": served}):
            return served
        note = (await self._notes.read())[_SERVED]  # another replica was first
        return str(note["model"])

    def _generation(self, given: Generation) -> Generation:
        seed = None if "seed" in self._absent else given.seed
        stop = () if "stop" in self._absent else given.stop
        return replace(given, seed=seed, stop=stop)


def hash_of(request: Request) -> str:
    """As `Request.prompt_hash`, for requests that nobody hashed."""
    images = [hashlib.sha256(image).hexdigest() for image in request.images]
    facts = [request.text, images, sorted(asdict(request.generation).items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
