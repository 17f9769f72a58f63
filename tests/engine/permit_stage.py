"""A provider and its clients on a clock of their own, for the tests of permits."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from lens_ray.engine.holder import Holder
from lens_ray.engine.lease import Ask, Lease
from lens_ray.engine.permits import Limiter
from lens_ray.models.api.ports import Ceilings, Limits, Load, Scope, Settled

SCOPE = Scope("openai", "localhost", "0123456789ab", "model-1")


@dataclass
class Provider:
    """What it permits, as providers count it.

    Attributes:
        a_minute: Requests; infinite is no limit.
        burst: Of a bucket; None is a minute's worth.
        windows: Fixed minutes in the place of a bucket.
        at_once: Calls in flight; None is no limit.
        says: Whether headers tell the limit.
        retry_after: Whether a refusal says when to come again.
        chance: Of a refusal for no reason.
        dead_after: Calls until the key is dead.
    """

    a_minute: float = math.inf
    burst: float | None = None
    windows: bool = False
    at_once: int | None = None
    says: bool = False
    retry_after: bool = True
    chance: float = 0.0
    dead_after: float = math.inf
    offset: float = 17.0
    in_flight: int = 0
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    most: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(5)
        self._capacity = self.a_minute if self.burst is None else self.burst
        self._level, self._at, self._window = self._capacity, 0.0, -1

    def ask(self, now: float) -> Settled | None:
        """None is accepted."""
        rate = self.a_minute / 60
        if len(self.accepted) >= self.dead_after:
            return Settled("dead", line="credit_exhausted: no credit is left")
        window = int((now + self.offset) // 60)
        if self.windows:
            if window != self._window:
                self._level, self._window = self.a_minute, window
        elif rate < math.inf:
            self._level = min(self._capacity, self._level + rate * (now - self._at))
        self._at = now
        full = self.at_once is not None and self.in_flight >= self.at_once
        if full or self._level < 1 or self._random.random() < self.chance:
            self.refused.append(now)
            wait = 60 - (now + self.offset) % 60 if self.windows else (1 - self._level) / rate
            wait = 1.0 if full or self._level >= 1 else max(1.0, math.ceil(wait))
            return Settled("throttled", retry_after_s=wait if self.retry_after else None)
        self._level -= 1
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        self.accepted.append(now)
        return None

    def limits(self) -> Limits:
        if not self.says or self.a_minute == math.inf:
            return Limits()
        return Limits(requests=int(self.a_minute), requests_left=max(0, int(self._level)))


Event = tuple[float, int, Callable[[], None]]


class World:
    """Clients that want to ask as much as they may, over one limiter."""

    def __init__(self, provider: Provider, seed: int = 1) -> None:
        self.provider = provider
        self.limiter = Limiter(seed)
        self.now = 0.0
        self.random = random.Random(seed)
        self.clients: list[Client] = []
        self.reach = True
        self.tells = 0
        self._events: list[Event] = []
        self._order = itertools.count()

    def at(self, when: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), do))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, do = heapq.heappop(self._events)
            do()
        self.now = until

    def tell(self, ask: Ask) -> Lease:
        self.tells += 1
        return self.limiter.tell(ask, self.now)

    def rates(self, begin: float, end: float) -> tuple[float, float]:
        """Accepted a second, and the share of the calls that was refused."""
        accepted = sum(begin <= when < end for when in self.provider.accepted)
        refused = sum(begin <= when < end for when in self.provider.refused)
        return accepted / (end - begin), refused / max(1, accepted + refused)


class Client:
    """One replica, with as many that wait as its window is wide and a quarter more."""

    def __init__(
        self,
        world: World,
        ceilings: Ceilings,
        *,
        name: str | None = None,
        latency: Callable[[], float] = lambda: 0.5,
        rpc_s: float = 0.002,
        tokens: Callable[[], int] = lambda: 100,
        calls: float = math.inf,
        refusal_s: float = 0.01,
    ) -> None:
        self.world, self.latency, self.rpc_s, self.tokens = world, latency, rpc_s, tokens
        self.refusal_s = refusal_s
        self.holder = Holder(name or f"client-{len(world.clients)}", SCOPE, ceilings)
        self.left = calls
        self.answered = 0
        self.granted: list[float] = []
        self.waiting: deque[Load] = deque()
        self.parallel = ceilings.concurrency + ceilings.concurrency // 4 + 2
        self.dead: float | None = None
        self.stopped = False
        self._talking = False
        self._timer = -1.0
        world.clients.append(self)
        world.at(world.now, self.work)

    @property
    def refusals(self) -> int:
        return len(self.world.provider.refused)

    def work(self) -> None:
        world, holder = self.world, self.holder
        if self.stopped:
            return
        while self.left > 0 and len(self.waiting) + holder.in_flight < self.parallel:
            self.waiting.append(Load(self.tokens(), 1))
            self.left -= 1
        while self.waiting and (permit := holder.take(self.waiting[0], world.now)):
            load = self.waiting.popleft()
            self.granted.append(world.now)
            world.at(world.now + 0.001, partial(self.send, permit, load))
        if holder.dead is not None and self.dead is None:
            self.dead = world.now
        loads = list(self.waiting)
        ask_at = math.inf if self._talking else holder.ask_at(loads)
        if ask_at <= world.now:
            self._talking = True
            ask = holder.ask(loads, world.now)
            world.at(world.now + self.rpc_s, lambda: self.told(ask))
            ask_at = math.inf
        again = min(ask_at, holder.next_at(loads[0]) if loads else math.inf)
        if again < math.inf and not (world.now < self._timer <= again):
            self._timer = max(again, world.now + 1e-4)
            world.at(self._timer, self.work)

    def told(self, ask: Ask) -> None:
        world = self.world
        if not world.reach:
            world.at(world.now + 0.5, lambda: self.heard(None))
            return
        lease = world.tell(ask)
        world.at(world.now + self.rpc_s, lambda: self.heard(lease))

    def heard(self, lease: Lease | None) -> None:
        self._talking = False
        if lease is None:
            self.holder.unheard(self.world.now)
        else:
            self.holder.hear(lease, self.world.now)
        self.work()

    def send(self, permit: object, load: Load) -> None:
        world, provider = self.world, self.world.provider
        refusal = provider.ask(world.now)
        if refusal is None:
            world.at(world.now + self.latency(), lambda: self.answer(permit, load))
            return

        def back() -> None:
            self.holder.settle(permit, refusal, world.now)  # type: ignore[arg-type]
            self.waiting.appendleft(load)
            self.work()

        world.at(world.now + self.refusal_s, back)

    def answer(self, permit: object, load: Load) -> None:
        self.world.provider.in_flight -= 1
        limits = self.world.provider.limits()
        settled: Settled = Settled("answered", tokens=load.tokens, limits=limits)
        self.holder.settle(permit, settled, self.world.now)  # type: ignore[arg-type]
        self.answered += 1
        self.work()
