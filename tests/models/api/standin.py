"""An adapter without a provider: it says what a test tells it to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace

from lens_ray.models.api.adapter import Answer, ApiFailure, BatchState, Question
from lens_ray.models.spec import ModelSpec

#: What a call gives: by question, and how often it was asked before.
Says = Callable[[Question, int], Answer | ApiFailure]

SERVED = "model-2026-01-01"
THREE = Answer("3", "stop", SERVED, 10, 2)


def says(answer: Answer | ApiFailure = THREE) -> Says:
    """Always the same."""
    return lambda _question, _before: answer


class StandIn:
    """Keeps count.

    Attributes:
        asked: Calls by custom id.
        answered: Answers by custom id.
        most: Calls in flight at once, at most.
        questions: In the order in which they came.
        closed: Whether it was.
    """

    provider = "openai"
    version = "0"
    has_batches = False

    def __init__(self, say: Says | None = None, latency_s: float = 0.0) -> None:
        self.say = say or says()
        self.latency_s = latency_s
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.most = 0
        self.questions: list[Question] = []
        self.closed = False
        self._flying = 0

    def tokens(self, question: Question) -> int:
        return 10

    async def ask(self, question: Question) -> Answer:
        before = self.asked[question.custom_id]
        self.asked[question.custom_id] += 1
        self.questions.append(question)
        self._flying += 1
        self.most = max(self.most, self._flying)
        try:
            await asyncio.sleep(self.latency_s)
            outcome = self.say(question, before)
        finally:
            self._flying -= 1
        if isinstance(outcome, ApiFailure):
            raise outcome
        self.answered[question.custom_id] += 1
        return replace(outcome)

    async def submit(self, questions: Sequence[Question], tag: str) -> BatchState:
        raise NotImplementedError

    async def batch(self, batch_id: str) -> BatchState:
        raise NotImplementedError

    def results(self, batch_id: str) -> AsyncIterator[tuple[str, Answer | ApiFailure]]:
        raise NotImplementedError

    async def batches(self) -> Sequence[BatchState]:
        return ()

    async def check(self) -> Mapping[str, str]:
        return {}

    async def close(self) -> None:
        self.closed = True


def paid_model(name: str = "m", path: str = "model", **given: object) -> ModelSpec:
    """A model of a server of one's own, which asks for no key and costs a dollar a million tokens.

    Args:
        name: Of the model.
        path: Its id.
        given: Options; ``generation`` and ``replicas`` are the model's.
    """
    generation, replicas = given.pop("generation", {}), given.pop("replicas", 1)
    options = {"base_url": "http://127.0.0.1:9/v1", "price": {"input": 1, "output": 1}, **given}
    return ModelSpec.model_validate(
        {
            "name": name, "backend": "openai", "path": path, "access": "closed",
            "replicas": replicas,
            "generation": generation, "options": options,
        }
    )  # fmt: skip
