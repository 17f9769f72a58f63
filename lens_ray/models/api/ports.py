"""What the engine gives a backend that asks a provider: `Permits`, `Memory`, `Notes`.

The engine implements them over Ray and the store; `Alone` serves one process without either.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

from lens_ray.errors import ProviderUnavailable
from lens_ray.models.protocol import Completion, Request


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose limits a call falls under: they are shared by all who ask with the same key.

    Attributes:
        provider: ``openai``, ``anthropic`` or ``gemini``.
        host: Of the server.
        key: Fingerprint of the key (never the key).
        model: The model's id at the provider.
    """

    provider: str
    host: str
    key: str
    model: str


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The most that a user permits, or None where the provider is to be followed.

    Attributes:
        concurrency: Calls in flight at once.
        requests: A minute.
        tokens: A minute.
        images: A minute.
    """

    concurrency: int
    requests: int | None = None
    tokens: int | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What a call will take.

    Attributes:
        tokens: Of prompt and answer together, as far as they can be told.
        images: How many.
        usd: The most that it can cost; None where no price is known.
    """

    tokens: int
    images: int
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the headers of an answer say of the provider's limits; None is not said.

    Attributes:
        requests: Permitted a minute.
        requests_left: Of them.
        tokens: Permitted a minute.
        tokens_left: Of them.
        reset_s: Seconds until more are permitted.
    """

    requests: int | None = None
    requests_left: int | None = None
    tokens: int | None = None
    tokens_left: int | None = None
    reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one call.

    Attributes:
        number: Of the permit.
        load: What it was asked for.
    """

    number: int
    load: Load


@dataclass(frozen=True, slots=True)
class Settled:
    """How a permitted call ended.

    Attributes:
        how: ``answered``; ``throttled`` (429, 529, overloaded: ask again later); ``failed``
            (anything else that may pass); ``dead`` (the key or its credit is gone).
        tokens: That it took; None is not known.
        usd: That it cost; None is not known.
        retry_after_s: As the provider asks.
        limits: As the provider says.
        line: What the provider said, without secrets, where it is ``dead``.
    """

    how: Literal["answered", "throttled", "failed", "dead"]
    tokens: int | None = None
    usd: float | None = None
    retry_after_s: float | None = None
    limits: Limits = field(default_factory=Limits)
    line: str = ""


class Asker(Protocol):
    """Who asks, as far as permits are concerned."""

    @property
    def scope(self) -> Scope:
        """Whose limits its calls fall under."""
        ...

    @property
    def ceilings(self) -> Ceilings:
        """The most that the user permits."""
        ...


class Permits(Protocol):
    """Leave to ask, shared over the cluster."""

    async def acquire(self, load: Load) -> Permit:
        """Wait until a call may be made.

        Raises:
            BudgetReached: No money is left for it.
            ProviderUnavailable: The key is dead: nobody may ask with it any more.
        """
        ...

    def settle(self, permit: Permit, settled: Settled) -> None:
        """A permitted call has ended. Never waits; every permit is settled exactly once."""
        ...

    async def close(self) -> None:
        """Give back what is held."""
        ...


class Memory(Protocol):
    """Answers that were paid for."""

    async def recall(self, request: Request, served: str | None) -> Completion | None:
        """The answer to the same question by the same model, if one is known.

        What it costs is said only where this run has paid for it and has no row of it yet.

        Args:
            request: Its `Request.prompt_hash` is what is compared.
            served: The model id that answers now; None is not known yet.
        """
        ...

    async def served(self) -> str | None:
        """The model id that gave the stored answers of this run; None where there are none."""
        ...

    async def keep(self, request: Request, completion: Completion) -> None:
        """Keep an answer; it is durable when this returns."""
        ...


class Notes(Protocol):
    """Small durable notes of one run, such as the ids of its batches."""

    async def read(self) -> Mapping[str, Mapping[str, object]]:
        """All of them, by name."""
        ...

    async def write(self, name: str, note: Mapping[str, object]) -> bool:
        """Write one that is not there yet; False where it is. Durable when it returns."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All three, as `ApiBackend.attach` takes them."""

    permits: Permits
    memory: Memory
    notes: Notes


@runtime_checkable
class Attached(Protocol):
    """A backend that takes ports."""

    def access(self) -> Asker:
        """Whose permits it needs; raises `ProviderUnavailable` where there is no key."""
        ...

    def attach(self, ports: Ports) -> None:
        """Take them, before it is started."""
        ...


class Alone:
    """All three for one process: nothing outlives it, and nobody else is counted.

    Attributes:
        ports: Itself, as `ApiBackend.attach` takes it.
    """

    #: Seconds until a refused call is tried again, where the provider does not say; doubled.
    _FIRST_S = 0.5
    _LONGEST_S = 30.0

    def __init__(
        self,
        concurrency: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nobody asks yet.

        Args:
            concurrency: Calls in flight at once.
            clock: Seconds.
        """
        self.ports = Ports(self, self, self)
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrency)
        self._number = 0
        self._not_before = 0.0
        self._pause_s = self._FIRST_S
        self._dead: str | None = None
        self._answers: dict[str, Completion] = {}
        self._notes: dict[str, Mapping[str, object]] = {}

    async def acquire(self, load: Load) -> Permit:
        """See `Permits.acquire`."""
        await self._slots.acquire()
        try:
            while (wait_s := self._not_before - self._clock()) > 0 and self._dead is None:
                await asyncio.sleep(wait_s)
            if self._dead is not None:
                raise ProviderUnavailable(self._dead)
        except BaseException:  # cancelled, too
            self._slots.release()
            raise
        self._number += 1
        return Permit(self._number, load)

    def settle(self, permit: Permit, settled: Settled) -> None:
        """See `Permits.settle`."""
        self._slots.release()
        if settled.how == "dead":
            self._dead = settled.line
        elif settled.how == "throttled":
            pause = self._pause_s if settled.retry_after_s is None else settled.retry_after_s
            self._not_before = max(self._not_before, self._clock() + pause)
            self._pause_s = min(2 * self._pause_s, self._LONGEST_S)
        elif settled.how == "answered":
            self._pause_s = self._FIRST_S

    async def recall(self, request: Request, served: str | None) -> Completion | None:
        """See `Memory.recall`."""
        known = self._answers.get(request.prompt_hash)
        return replace(known, request_id=request.request_id, cost_usd=0.0) if known else None

    async def served(self) -> str | None:
        """See `Memory.served`."""
        return next((one.served for one in self._answers.values()), None)

    async def keep(self, request: Request, completion: Completion) -> None:
        """See `Memory.keep`."""
        if request.prompt_hash:
            self._answers[request.prompt_hash] = completion

    async def read(self) -> Mapping[str, Mapping[str, object]]:
        """See `Notes.read`."""
        return dict(self._notes)

    async def write(self, name: str, note: Mapping[str, object]) -> bool:
        """See `Notes.write`."""
        return self._notes.setdefault(name, note) is note

    async def close(self) -> None:
        """See `Permits.close`."""
