"""A pretended provider of batches, and processes that ask it and die."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lens_ray.errors import BudgetReached, ProviderUnavailable
from lens_ray.models.api.adapter import (
    LASTING,
    Answer,
    ApiFailure,
    BatchState,
    EncodedImage,
    Kind,
    Question,
)
from lens_ray.models.api.batch_calls import BatchPace
from lens_ray.models.api.batching import Batching
from lens_ray.models.api.ports import Load, Permit, Ports, Settled
from lens_ray.models.protocol import Completion, Request
from tests.models.api.batch_stage import Died, Kept, Noted, Remembered, Step

QUICK = BatchPace(quiet_s=0.01, poll_s=0.004, longest_poll_s=0.02, grace_s=0.03, patience_s=0.5)


@dataclass
class There:
    """A batch at the pretended provider."""

    state: BatchState
    asked: dict[str, Question]
    over_at: float


@dataclass
class Provider:
    """What outlives every process: batches, and what was paid."""

    tags: bool = True
    takes_s: float = 0.01
    paid: Counter[str] = field(default_factory=Counter)
    batches: list[There] = field(default_factory=list)
    kept: Kept = field(default_factory=Kept)
    #: Outcomes of a text in turn, instead of an answer.
    script: dict[str, list[Kind]] = field(default_factory=dict)
    submit_script: list[tuple[Kind, bool]] = field(default_factory=list)
    results_script: list[Kind] = field(default_factory=list)
    forgotten: bool = False
    twice: bool = False
    refuses: str | None = None
    most_usd: float = float("inf")
    reserved: float = 0.0
    spent: float = 0.0
    settled: list[Settled] = field(default_factory=list)

    def take(self, questions: Sequence[Question], tag: str) -> BatchState:
        names = [question.custom_id for question in questions]
        assert len(set(names)) == len(names)
        number = len(self.batches)
        state = BatchState(
            f"b{number}", False, tag if self.tags else None, time.time(), len(questions)
        )
        asked = {question.custom_id: question for question in questions}
        self.batches.append(There(state, asked, time.monotonic() + self.takes_s))
        for question in questions:
            if not self.script.get(question.text):
                self.paid[question.text] += 1
        return state

    def now(self, there: There) -> BatchState:
        return replace(there.state, over=time.monotonic() >= there.over_at)


class Process:
    """One process: `Batching` with the adapter, the ports and the craft that it is given."""

    def __init__(self, provider: Provider, step: Step | None = None, pace: BatchPace = QUICK):
        self.provider = "pretended"
        self.version = "1"
        self.has_batches = True
        self.served: str | None = None
        self._at = provider
        self._step = step or Step()
        self._results_asked = 0
        kept = provider.kept
        ports = Ports(self, Remembered(kept, self._step), Noted(kept, self._step))
        self.batching = Batching(self, ports, self, pace)

    # The adapter.

    def tokens(self, question: Question) -> int:
        return len(question.text)

    async def ask(self, question: Question) -> Answer:
        raise AssertionError("a batch asks nothing live")

    async def submit(self, questions: Sequence[Question], tag: str) -> BatchState:
        if self._at.refuses is not None and any(q.text == self._at.refuses for q in questions):
            raise ApiFailure(Kind.REQUEST, "a line is wrong")

        async def effect() -> BatchState:
            kind, took = self._at.submit_script.pop(0) if self._at.submit_script else (None, True)
            state = self._at.take(questions, tag) if took else None
            if kind is not None:
                raise ApiFailure(kind, "scripted")
            assert state is not None
            return state

        state = await self._step.take(effect)
        assert isinstance(state, BatchState)
        return state

    async def batch(self, batch_id: str) -> BatchState:
        if self._at.forgotten:
            raise ApiFailure(Kind.REQUEST, "no such batch")
        return self._at.now(self._at.batches[int(batch_id[1:])])

    async def results(self, batch_id: str) -> AsyncIterator[tuple[str, Answer | ApiFailure]]:
        there = self._at.batches[int(batch_id[1:])]
        assert self._at.now(there).over
        for number, (custom_id, question) in enumerate(reversed(there.asked.items())):
            if number == 2 and self._at.results_script:
                raise ApiFailure(self._at.results_script.pop(0), "the stream broke")
            planned = self._at.script.get(question.text)
            if planned:
                yield custom_id, ApiFailure(planned.pop(0), "scripted")
            else:
                answer = Answer(f"re {question.text}", "stop", "model-1", 10, 1)
                yield custom_id, answer
                if self._at.twice:
                    yield custom_id, answer

    async def batches(self) -> Sequence[BatchState]:
        return [self._at.now(there) for there in self._at.batches]

    async def check(self) -> Mapping[str, str]:
        return {}

    async def close(self) -> None:
        await self.batching.close()

    # Permits.

    async def acquire(self, load: Load) -> Permit:
        assert load.usd is not None
        while self._at.spent + self._at.reserved + load.usd > self._at.most_usd + 1e-9:
            if not self._at.reserved:
                raise BudgetReached("no money left")
            await asyncio.sleep(0.005)  # what is reserved may come back
        self._at.reserved += load.usd
        return Permit(0, load)

    def settle(self, permit: Permit, settled: Settled) -> None:
        assert permit.load.usd is not None
        self._at.reserved -= permit.load.usd
        self._at.spent += settled.usd or 0.0
        self._at.settled.append(settled)

    # The craft.

    async def question(self, request: Request) -> Question:
        if b"huge" in request.images:
            raise ApiFailure(Kind.IMAGE, "larger than any")
        images = tuple(EncodedImage(data, "image/png", 1, 1) for data in request.images)
        return Question(request.prompt_hash, request.text, images, request.generation)

    def load(self, question: Question) -> Load:
        return Load(10, len(question.images), 1.0)

    def again(self, request: Request, known: Completion) -> Completion:
        return replace(known, request_id=request.request_id)

    async def completion(
        self, request: Request, outcome: Answer | ApiFailure, latency_s: float
    ) -> Completion:
        if isinstance(outcome, ApiFailure):
            if outcome.kind is Kind.KEY:
                raise ProviderUnavailable(outcome.line)
            return Completion(
                request.request_id, "", "error", error=str(outcome), lasting=outcome.kind in LASTING
            )
        return Completion(request.request_id, outcome.text, "stop", cost_usd=0.25, served="model-1")


async def answered(process: Process, asked: Sequence[Request], call: int = 4) -> list[Completion]:
    """As the engine asks: several calls at once."""

    async def one(part: Sequence[Request]) -> list[Completion]:
        return [completion async for completion in process.batching.generate(part)]

    parts = [asked[at : at + call] for at in range(0, len(asked), call)]
    return [c for part in await asyncio.gather(*map(one, parts)) for c in part]


async def lives(provider: Provider, asked: Sequence[Request], step: Step) -> bool:
    """A process that may die; whether it lived to the end."""
    process = Process(provider, step)
    try:
        await answered(process, asked)
    except Died:
        return False
    finally:
        await process.close()
    return True
