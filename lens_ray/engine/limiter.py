"""The actor that all who ask with one key share, whatever job they belong to: `LimiterActor`.

It has a name in a namespace of its own and belongs to no driver. Ray starts it again where it dies;
what it knew its clients tell it. It ends by itself when nobody has asked for some minutes.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import ray

from lens_ray.engine.lease import Ask, Lease
from lens_ray.engine.permit_client import limiter_name
from lens_ray.engine.permits import Limiter
from lens_ray.models.api.ports import Scope

NAMESPACE = "lens-ray"
#: Without a word for so long, it ends.
IDLE_S = 600.0


class LimiterActor:
    """`Limiter` as an actor."""

    def __init__(self, seed: int, idle_s: float = IDLE_S) -> None:
        """Nobody asks yet.

        Args:
            seed: Of the jitter.
            idle_s: Without a word for so long, it ends.
        """
        self._limiter = Limiter(seed)
        self._began = time.monotonic()
        me: Any = ray.get_runtime_context().current_actor
        threading.Thread(target=self._end_when_idle, args=(me, idle_s), daemon=True).start()

    async def tell(self, ask: Ask) -> Lease:
        """As `Limiter.tell`."""
        return self._limiter.tell(ask, time.monotonic())

    async def idle_s(self) -> float:
        """Seconds without a word."""
        now = time.monotonic()
        return min(now - self._began, self._limiter.idle_s(now))

    def _end_when_idle(self, me: Any, idle_s: float) -> None:
        while True:
            time.sleep(idle_s / 10)
            now = time.monotonic()
            if min(now - self._began, self._limiter.idle_s(now)) > idle_s:
                ray.kill(me, no_restart=True)
                return


def find_limiter(scope: Scope, idle_s: float = IDLE_S) -> Any:
    """The limiter of a key, started where there is none; blocks.

    Args:
        scope: Whose limits; one limiter serves all models of a key.
        idle_s: Of a new one.
    """
    name = limiter_name(scope)
    actor: Any = ray.remote(LimiterActor)
    options = actor.options(
        name=name,
        namespace=NAMESPACE,
        get_if_exists=True,
        lifetime="detached",
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=0,
    )
    return options.remote(int(name.rpartition(":")[2], 16), idle_s)
