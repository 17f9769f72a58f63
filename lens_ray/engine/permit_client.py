"""`ports.Permits` for a backend: `LocalPermits` in one process, `ClusterPermits` over a cluster.

Both are one thing: a `Holder` that talks to a `Limiter`, here or in an actor. A call costs no
message; a lease does, a few times a second.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import islice
from typing import Any

from lens_ray.engine.holder import Holder
from lens_ray.engine.lease import Ask, Lease
from lens_ray.engine.permits import Limiter
from lens_ray.errors import ProviderUnavailable
from lens_ray.models.api.ports import Ceilings, Load, Permit, Scope, Settled

#: The limiter is away where it does not answer for so long.
_AWAY_S = 5.0
#: So many of those that wait are looked at, to say what is needed.
_LOOK = 256

Exchange = Callable[[Ask], Awaitable[Lease]]


class LimiterAway(Exception):
    """The limiter did not answer; it may be starting again."""


class LeasedPermits:
    """Permits out of leases; first come, first served."""

    def __init__(self, scope: Scope, ceilings: Ceilings, exchange: Exchange) -> None:
        """Nothing is asked before the first call.

        Args:
            scope: Whose limits the calls fall under.
            ceilings: The most that the user permits.
            exchange: Tells the limiter; raises `LimiterAway`.
        """
        self._scope = scope
        self._exchange = exchange
        self._holder = Holder(uuid.uuid4().hex, scope, ceilings)
        self._queue: deque[tuple[Load, asyncio.Future[Permit]]] = deque()
        self._talk: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def acquire(self, load: Load) -> Permit:
        """Wait until a call may be made.

        Raises:
            ProviderUnavailable: The key is dead, or the model is none.
        """
        if self._holder.dead is not None:
            raise self._dead()
        if not self._queue:
            permit = self._holder.take(load, time.monotonic())
            if permit is not None:
                self._work()
                return permit
        future: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._queue.append((load, future))
        self._work()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._holder.unused(future.result())
            self._work()
            raise

    def settle(self, permit: Permit, settled: Settled) -> None:
        """A permitted call has ended.

        Raises:
            KeyError: It was settled before.
        """
        self._holder.settle(permit, settled, time.monotonic())
        self._work()

    async def close(self) -> None:
        """Give back what is held; who still waits is cancelled."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for _, future in self._queue:
            future.cancel()
        if self._talk is not None:
            await self._talk
        if self._holder.begun:
            # The last word: what nobody has heard, an end of the key among it, and goodbye.
            with suppress(LimiterAway):
                await self._exchange(self._holder.leave(time.monotonic()))

    def _work(self) -> None:
        """Hand out what there is, talk to the limiter if it is time, and say when to look again."""
        if self._closed:
            return
        now = time.monotonic()
        self._hand_out(now)
        loads = [load for load, _ in islice(self._queue, _LOOK)]
        ask_at = self._holder.ask_at(loads) if self._talk is None else math.inf
        loop = asyncio.get_running_loop()
        if ask_at <= now:
            self._talk = loop.create_task(self._tell(loads))
            ask_at = math.inf
        again = min(ask_at, self._holder.next_at(loads[0]) if loads else math.inf)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if again < math.inf:
            self._timer = loop.call_later(max(0.0, again - now), self._work)

    def _hand_out(self, now: float) -> None:
        while self._queue:
            load, future = self._queue[0]
            if future.done():  # nobody waits for it any more
                self._queue.popleft()
            elif self._holder.dead is not None:
                self._queue.popleft()
                future.set_exception(self._dead())
            elif (permit := self._holder.take(load, now)) is not None:
                self._queue.popleft()
                future.set_result(permit)
            else:
                return

    async def _tell(self, loads: list[Load]) -> None:
        try:
            lease = await self._exchange(self._holder.ask(loads, time.monotonic()))
        except LimiterAway:
            self._holder.unheard(time.monotonic())
        except Exception as error:  # a bug: who waits hears of it, and does not wait for ever
            waiting, self._queue = self._queue, deque()
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
        else:
            self._holder.hear(lease, time.monotonic())
        self._talk = None
        self._work()

    def _dead(self) -> ProviderUnavailable:
        line, model = str(self._holder.dead), self._scope.model
        return ProviderUnavailable(line if model in line else f"{model}: {line}")


class LocalPermits(LeasedPermits):
    """Permits of one process, without Ray."""

    def __init__(
        self, scope: Scope, ceilings: Ceilings, limiter: Limiter | None = None, seed: int = 0
    ) -> None:
        """Nothing is asked yet.

        Args:
            scope: Whose limits the calls fall under.
            ceilings: The most that the user permits.
            limiter: That of others in this process with the same key; None makes one.
            seed: Of the jitter of a new one.
        """
        shared = limiter or Limiter(seed)

        async def exchange(ask: Ask) -> Lease:
            return shared.tell(ask, time.monotonic())

        super().__init__(scope, ceilings, exchange)


class ClusterPermits(LeasedPermits):
    """Permits shared over a Ray cluster, through the limiter of the key.

    Ray is connected where it is made.
    """

    def __init__(self, scope: Scope, ceilings: Ceilings) -> None:
        """Nothing is asked yet; the limiter is found, or started, at the first call.

        Args:
            scope: Whose limits the calls fall under.
            ceilings: The most that the user permits.
        """
        self._actor: Any = None
        super().__init__(scope, ceilings, self._ask)

    async def _ask(self, ask: Ask) -> Lease:
        from ray.exceptions import ActorDiedError, RayError

        from lens_ray.engine.limiter import find_limiter

        try:
            if self._actor is None:
                self._actor = await asyncio.wait_for(
                    asyncio.to_thread(find_limiter, self._scope), _AWAY_S
                )
            lease: Lease = await asyncio.wait_for(self._actor.tell.remote(ask), _AWAY_S)
        except ActorDiedError as error:  # it ended for good; the next one is another
            self._actor = None
            raise LimiterAway(str(error)) from error
        except (RayError, TimeoutError, ValueError) as error:  # Ray finds no actor of the name
            raise LimiterAway(str(error)) from error
        return lease


def limiter_name(scope: Scope) -> str:
    """What the limiter of a key is called; the key cannot be found out from it."""
    text = "\n".join((scope.provider, scope.host, scope.key))
    return f"limiter:{scope.provider}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
