"""Makes true what the coordinator wants: `drive` starts, watches and kills the actors.

The driver owns every actor, so that no replica dies with the coordinator, and all end with the
driver.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import (
    GetTimeoutError,
    RayActorError,
    RayError,
    RayTaskError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lens_ray.engine.coordinator import Coordinator
from lens_ray.engine.messages import Directive, Observed, Orders, Outcome, Report, Wanted
from lens_ray.engine.plan import EnginePlan
from lens_ray.engine.progress import Progress
from lens_ray.engine.replica import CoordinatorAway, Replica
from lens_ray.engine.rooms import Places
from lens_ray.errors import ClusterError
from lens_ray.models.spec import ModelSpec

log = logging.getLogger("lens_ray.engine")

_AWAY_S = 0.2
_STOP_S = 15.0
_END_S = 2.0
_CAUSE = 300


class CoordinatorActor(Coordinator):
    """`Coordinator` as an actor, with Ray's metrics."""

    def __init__(self, plan: EnginePlan) -> None:
        """As `Coordinator`; the meter speaks for the process that it is made in."""
        from lens_ray.engine.meter import RayMeter

        super().__init__(plan, meter=RayMeter(plan.job))


class ReplicaActor:
    """`Replica` as an actor: it reaches the coordinator through Ray."""

    def __init__(self, seat: int, model: int, plan: EnginePlan, coordinator: Any) -> None:
        """As `Replica`."""
        outage_s = plan.settings.outage_s

        async def pull(report: Report) -> Directive:
            return await _pull(coordinator, report, outage_s)

        self._replica = Replica(seat, model, plan, pull)

    async def run(self) -> None:
        """As `Replica.run`."""
        await self._replica.run()


async def _pull(coordinator: Any, report: Report, outage_s: float) -> Directive:
    import asyncio

    try:
        directive: Directive = await asyncio.wait_for(coordinator.pull.remote(report), outage_s)
    except RayTaskError:
        raise
    except (RayActorError, TimeoutError) as error:
        raise CoordinatorAway(one_line(error)) from error
    return directive


@dataclass(slots=True)
class _Running:
    actor: Any
    ended_ref: Any
    model: int
    ended: str | None = None
    places: Places = ()


class Driver:
    """The actors of one job."""

    def __init__(self, plan: EnginePlan) -> None:
        """Start the coordinator, beside the driver: the store may be a folder of this machine."""
        self._plan = plan
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        actor: Any = ray.remote(CoordinatorActor)
        options = actor.options(
            num_cpus=0, max_restarts=-1, max_task_retries=0, scheduling_strategy=here
        )
        self.coordinator = options.remote(plan)
        self.replicas: dict[int, _Running] = {}

    def step(self) -> Orders | None:
        """One exchange with the coordinator; None while it is away.

        Raises:
            LensError: What the coordinator met.
        """
        self._watch()
        observed = tuple(
            Observed(seat, one.model, one.ended, one.places) for seat, one in self.replicas.items()
        )
        try:
            orders: Orders = ray.get(
                self.coordinator.poll.remote(observed), timeout=self._plan.settings.outage_s
            )
        except RayTaskError as error:
            raise error.cause from None
        except (RayActorError, GetTimeoutError) as error:
            log.info("the coordinator is away: %s", one_line(error))
            return None
        for note in orders.notes:
            log.warning("%s", note)
        self._make_true(orders.wanted)
        return orders

    def stop(self) -> None:
        """Let the coordinator write what it has."""
        with suppress(RayError):
            ray.get(self.coordinator.stop.remote(), timeout=_STOP_S)

    def close(self) -> None:
        """End every actor."""
        for one in self.replicas.values():
            _kill(one.actor)
        self.replicas.clear()
        _end(self.coordinator)

    def _watch(self) -> None:
        """Note which replicas have ended, and how."""
        refs = {one.ended_ref: one for one in self.replicas.values() if one.ended is None}
        if not refs:
            return
        ready, _ = ray.wait(list(refs), num_returns=len(refs), timeout=0)
        for ref in ready:
            try:
                ray.get(ref)
                refs[ref].ended = "it ended"
            except RayError as error:
                refs[ref].ended = one_line(error)

    def _make_true(self, wanted: tuple[Wanted, ...]) -> None:
        numbers = {one.seat for one in wanted}
        for seat in [seat for seat in self.replicas if seat not in numbers]:
            _kill(self.replicas.pop(seat).actor)
        for one in wanted:
            if one.seat not in self.replicas:
                self.replicas[one.seat] = self._start(one)

    def _start(self, wanted: Wanted) -> _Running:
        actor: Any = ray.remote(ReplicaActor)
        options = actor.options(
            num_cpus=wanted.need.cpus,
            num_gpus=wanted.need.gpus,
            max_restarts=0,
            max_task_retries=0,
            runtime_env=_runtime_env(self._plan.models[wanted.model].spec),
            scheduling_strategy=_strategy(wanted.places),
        )
        replica = options.remote(wanted.seat, wanted.model, self._plan, self.coordinator)
        return _Running(replica, replica.run.remote(), wanted.model, places=wanted.places)


def drive(
    plan: EnginePlan,
    on_progress: Callable[[Progress], None] | None,
    check: Callable[[], None],
) -> tuple[Outcome, ...]:
    """Bring every run of a plan to its end.

    Args:
        plan: The job.
        on_progress: Called a few times a second.
        check: Raises where the driver is to end.

    Returns:
        One outcome a model, in the plan's order.

    Raises:
        ClusterError: The coordinator stays away.
        LensError: The store fails, or what `check` raises.
    """
    began = time.monotonic()
    driver = Driver(plan)
    away_since: float | None = None
    try:
        while True:
            check()
            orders = driver.step()
            if orders is None:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > plan.settings.outage_s:
                    raise ClusterError("the coordinator cannot be started again; see Ray's logs")
                time.sleep(_AWAY_S)
                continue
            away_since = None
            if on_progress is not None:
                # The coordinator may be younger than the job.
                on_progress(replace(orders.progress, seconds=time.monotonic() - began))
            if orders.outcomes is not None:
                return orders.outcomes
    except BaseException:  # whatever ends the driver, what was answered is written first
        driver.stop()
        raise
    finally:
        driver.close()


def _runtime_env(spec: ModelSpec) -> dict[str, Any] | None:
    """As Ray takes it: only what was given."""
    if spec.runtime_env is None:
        return None
    return {key: value for key, value in spec.runtime_env.model_dump().items() if value}


def one_line(error: BaseException) -> str:
    """What a Ray error says, in one line; of a process that died, how it ended."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    text = " ".join(str(cause).split())
    if isinstance(cause, RayActorError):
        text = text.rpartition("Worker exit detail: ")[2].partition(" Some common causes")[0]
    return f"{type(cause).__name__}: {text[:_CAUSE]}"


def _strategy(places: Places) -> Any:
    """The machine that the planner has chosen; any other where that one is gone."""
    if len(places) != 1 or places[0].startswith("#"):
        return "DEFAULT"
    return NodeAffinitySchedulingStrategy(places[0], soft=True)


def _end(actor: Any) -> None:
    """End an actor in order, so that its last metrics are sent; kill it where it is not quick."""
    with suppress(RayError):  # its own end is the answer
        ray.get(actor.__ray_terminate__.remote(), timeout=_END_S)
    _kill(actor)


def _kill(actor: Any) -> None:
    with suppress(RayError):
        ray.kill(actor, no_restart=True)
