"""What a replica that asks a provider is given: `open_ports`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from lens_ray.engine.memory import StoreMemory, StoreNotes
from lens_ray.engine.plan import EnginePlan, ModelPlan
from lens_ray.models.api.access import api_options
from lens_ray.models.api.backend import alone
from lens_ray.models.api.ports import Alone, Attached, Ceilings, Permits, Ports, Scope
from lens_ray.store import Store

Permitting = Callable[[Scope, Ceilings], Permits]


@dataclass(frozen=True, slots=True)
class PaidPorts:
    """Ports, and what is to be closed behind them.

    Attributes:
        ports: As `Attached.attach` takes them.
        memory: Writes what it was given before it ends.
    """

    ports: Ports
    memory: StoreMemory

    async def close(self) -> None:
        """Write what is gathered; the permits are their backend's to give back."""
        await self.memory.close()


def permits_alone(scope: Scope, ceilings: Ceilings) -> Permits:
    """For one process, where there is no cluster."""
    return Alone(ceilings.concurrency)


async def open_ports(
    plan: EnginePlan, model: ModelPlan, backend: Attached, permits: Permitting
) -> PaidPorts:
    """Ports over this run's part of the store; what is read is read in a thread.

    Args:
        plan: The job.
        model: Whose run it is.
        backend: That will take them.
        permits: Gives it permits.

    Raises:
        ProviderUnavailable: There is no key.
        StoreError: The store is not on this machine.
        StoreUnavailable: It is out of reach or damaged.
    """
    access = backend.access()

    def open_memory() -> tuple[StoreMemory, StoreNotes]:
        store = Store(plan.store)
        log = store.run(model.run_id)
        return StoreMemory(store, log, model.spec.path, elsewhere=plan.recall), StoreNotes(log)

    memory, notes = await asyncio.to_thread(open_memory)
    options = api_options(model.spec)
    if options.mode == "batch":  # whose limits are others, and none of a minute
        return PaidPorts(Ports(alone(options), memory, notes), memory)
    return PaidPorts(Ports(permits(access.scope, access.ceilings), memory, notes), memory)
