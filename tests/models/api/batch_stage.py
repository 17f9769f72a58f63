"""What outlives a process that asks by batches, and how such a process dies at one step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from lens_ray.models.protocol import Completion, Generation, Request


class Died(BaseException):
    """The process is gone, as far as a test can tell."""


@dataclass
class Step:
    """Dies at one durable step: before it, or after it and before anybody hears."""

    at: int | None = None
    after: bool = False
    count: int = 0

    async def take(self, effect: Callable[[], Awaitable[object]]) -> object:
        self.count += 1
        dies = self.count == self.at
        if dies and not self.after:
            raise Died
        result = await effect()
        if dies:
            raise Died
        return result


@dataclass
class Kept:
    """What outlives every process on our side: answers and notes."""

    answers: dict[str, Completion] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)
    notes: dict[str, Mapping[str, object]] = field(default_factory=dict)


class Remembered:
    """The memory of paid answers."""

    def __init__(self, kept: Kept, step: Step) -> None:
        self._at = kept
        self._step = step

    async def served(self) -> str | None:
        return None

    async def recall(self, request: Request, served: str | None) -> Completion | None:
        known = self._at.answers.get(request.prompt_hash)
        return None if known is None else replace(known, request_id=request.request_id, cost_usd=0)

    async def keep(self, request: Request, completion: Completion) -> None:
        async def effect() -> None:
            self._at.times[request.prompt_hash] += 1
            self._at.answers[request.prompt_hash] = completion

        await self._step.take(effect)


class Noted:
    """The notes of a run."""

    def __init__(self, kept: Kept, step: Step) -> None:
        self._at = kept
        self._step = step

    async def read(self) -> Mapping[str, Mapping[str, object]]:
        return dict(self._at.notes)

    async def write(self, name: str, note: Mapping[str, object]) -> bool:
        async def effect() -> bool:
            return self._at.notes.setdefault(name, note) is note

        return bool(await self._step.take(effect))


def requests(count: int, *, image: bytes = b"png") -> list[Request]:
    return [
        Request(f"s{n}", f"q{n}", (image,), Generation(), prompt_hash=f"h{n}") for n in range(count)
    ]
