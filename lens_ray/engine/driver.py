"""Makes true what the coordinator wants: `drive` starts, watches and kills the actors.

The driver owns every actor, so that no replica dies with the coordinator, and all end with the
driver.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import (
    ActorUnavailableError,
    ActorUnschedulableError,
    GetTimeoutError,
    RayActorError,
    RayError,
    RayTaskError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lens_ray.engine.coordinator import Coordinator
from lens_ray.engine.groups import inside, make_group
from lens_ray.engine.messages import Directive, Observed, Orders, Outcome, Report, Wanted
from lens_ray.engine.parked import Pool, end
from lens_ray.engine.permit_client import ClusterPermits
from lens_ray.engine.plan import EnginePlan
from lens_ray.engine.progress import Progress
from lens_ray.engine.replica import CoordinatorAway, Pull, Replica
from lens_ray.engine.rooms import Places, Room
from lens_ray.errors import ClusterError
from lens_ray.models import backend_entry
from lens_ray.models.spec import ModelSpec
from lens_ray.suites.files import is_url

log = logging.getLogger("lens_ray.engine")

_AWAY_S = 0.2
_STOP_S = 15.0
_END_S = 2.0
_CAUSE = 300
#: How often the driver looks at the machines of the cluster.
_LOOK_S = 2.0
#: What Ray says of an actor that died with its node.
_NODE_DIED = "its node has died"
#: How a replica ended that was told to.
_IN_ORDER = "it ended"


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
        node = ray.get_runtime_context().get_node_id()
        pull = _puller(coordinator, plan)
        self._replica = Replica(seat, model, plan, pull, node, ClusterPermits)
        self._work: asyncio.Future[None] | None = None

    async def run(self, job: tuple[int, int, EnginePlan, Any] | None = None) -> None:
        """As `Replica.run`; called again, it waits for the same end.

        Args:
            job: Seat, model, plan and coordinator of another job, which it belongs to from now on.
                It comes with the call, since Ray may begin two calls in another order.
        """
        if job is not None:
            seat, model, plan, coordinator = job
            self._replica.rebind(seat, model, plan, _puller(coordinator, plan))
            self._work = None
        if self._work is None:
            self._work = asyncio.ensure_future(self._replica.run())
        await asyncio.shield(self._work)

    async def park(self, at_once: bool) -> bool:
        """End the work, and keep the model.

        Args:
            at_once: Whether the work is cancelled; else it was told to stop, and is waited for.

        Returns:
            Whether the model is there, and can be exchanged by a swap.
        """
        work = self._work
        if work is not None:
            if at_once:
                work.cancel()
            with suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(asyncio.shield(work), _STOP_S)
        if self._replica.parked:
            await self._replica.settle()
        return self._replica.parked

    async def parked(self) -> bool:
        """Whether it has a model and no job."""
        return self._replica.parked


def _puller(coordinator: Any, plan: EnginePlan) -> Pull:
    outage_s = plan.settings.outage_s

    async def pull(report: Report) -> Directive:
        return await _pull(coordinator, report, outage_s)

    return pull


async def _pull(coordinator: Any, report: Report, outage_s: float) -> Directive:
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
    group: Any = None
    machine: bool = False

    @property
    def parks(self) -> bool:
        """Whether its model may still be there for another job."""
        return self.ended is None or self.ended == _IN_ORDER


class Driver:
    """The actors of one job."""

    def __init__(
        self, plan: EnginePlan, look: Callable[[], tuple[Room, ...]], pool: Pool | None = None
    ) -> None:
        """Start the coordinator, beside the driver: the store may be a folder of this machine.

        Args:
            plan: The job.
            look: Says which machines there are now.
            pool: Where replicas come from, and are left at the end.
        """
        self._plan = plan
        self._pool = pool
        self._look = look
        self._looked = 0.0
        self._rooms = plan.rooms
        self._told: tuple[Room, ...] | None = None
        node = ray.get_runtime_context().get_node_id()
        self._here = NodeAffinitySchedulingStrategy(node, soft=False)
        actor: Any = ray.remote(CoordinatorActor)
        options = actor.options(
            num_cpus=0, max_restarts=-1, max_task_retries=0, scheduling_strategy=self._here
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
            Observed(seat, one.model, one.ended, one.places, one.machine)
            for seat, one in self.replicas.items()
        )
        news = None if self._told == self._rooms else self._rooms
        try:
            orders: Orders = ray.get(
                self.coordinator.poll.remote(observed, news), timeout=self._plan.settings.outage_s
            )
        except RayTaskError as error:
            raise error.cause from None
        except (RayActorError, GetTimeoutError) as error:
            log.info("the coordinator is away: %s", one_line(error))
            return None
        self._told = self._rooms if orders.knows_rooms else None
        for note in orders.notes:
            log.warning("%s", note)
        self._make_true(orders.wanted)
        return orders

    def stop(self) -> None:
        """Let the coordinator write what it has."""
        with suppress(RayError):
            ray.get(self.coordinator.stop.remote(), timeout=_STOP_S)

    def close(self) -> None:
        """End every actor, but for the replicas that a later job may want."""
        for one in self.replicas.values():
            self._give_up(one, at_once=True)
        self.replicas.clear()
        _end_in_order(self.coordinator)

    def _watch(self) -> None:
        """Note which replicas have ended and how, and which machines there are."""
        lost = self._ended()
        if lost or time.monotonic() - self._looked > _LOOK_S:
            self._rooms, self._looked = self._look(), time.monotonic()

    def _ended(self) -> bool:
        """Note which replicas have ended; whether one did with its machine."""
        refs = {one.ended_ref: one for one in self.replicas.values() if one.ended is None}
        if not refs:
            return False
        ready, _ = ray.wait(list(refs), num_returns=len(refs), timeout=0)
        for ref in ready:
            one = refs[ref]
            try:
                ray.get(ref)
                one.ended = _IN_ORDER
            except ActorUnavailableError:
                # Out of reach. It may come back, or its machine is dead and Ray does not know yet.
                one.ended_ref = one.actor.run.remote()
            except RayError as error:
                one.ended, one.machine = one_line(error), _died_with_its_machine(error)
        return any(refs[ref].machine for ref in ready)

    def _make_true(self, wanted: tuple[Wanted, ...]) -> None:
        numbers = {one.seat for one in wanted}
        for seat in [seat for seat in self.replicas if seat not in numbers]:
            self._give_up(self.replicas.pop(seat), at_once=False)
        for one in wanted:
            if one.seat not in self.replicas:
                self.replicas[one.seat] = self._start(one)

    def _give_up(self, one: _Running, *, at_once: bool) -> None:
        if self._pool is None or not one.parks:
            end(one.actor, one.group)
            return
        model = self._plan.models[one.model]
        self._pool.keep(one.actor, model.family, model.need, one.places, one.group, at_once=at_once)

    def _take_over(self, wanted: Wanted, pool: Pool) -> _Running | None:
        """A replica of an earlier job, or None; then nobody is in the way of a start."""
        model = self._plan.models[wanted.model]
        parked = pool.take(model.family, wanted.need, wanted.places)
        if parked is not None:
            job = wanted.seat, wanted.model, self._plan, self.coordinator
            ended = parked.actor.run.remote(job)
            return _Running(
                parked.actor, ended, wanted.model, places=parked.places, group=parked.group
            )
        if len(pool):
            taken = [(self._plan.models[r.model].need, r.places) for r in self.replicas.values()]
            ended = pool.make_room(wanted.need, wanted.places, self._rooms, taken)
            log.warning(
                "%s: cold start: the warm replicas are of another architecture, tokenizer or "
                "options%s", model.spec.name, f"; {ended} of them made room" if ended else "",
            )  # fmt: skip
        return None

    def _start(self, wanted: Wanted) -> _Running:
        if self._pool is not None and (warm := self._take_over(wanted, self._pool)) is not None:
            return warm
        need = wanted.need
        group = make_group(need, wanted.seat) if need.parts > 1 else None
        spec = self._plan.models[wanted.model].spec
        strategy = _strategy(wanted.places) if group is None else inside(group)
        cpus = need.cpus if group is None else 0
        if backend_entry(spec.backend).attached and not is_url(self._plan.store):
            strategy, cpus = self._here, 0  # it writes into the store's folder itself
        actor: Any = ray.remote(ReplicaActor)
        options = actor.options(
            # The group holds what a replica in it takes, and what the workers take that it starts.
            num_cpus=cpus,
            num_gpus=need.gpus if group is None else 0,
            max_restarts=0,
            max_task_retries=0,
            runtime_env=_runtime_env(spec),
            scheduling_strategy=strategy,
        )
        replica = options.remote(wanted.seat, wanted.model, self._plan, self.coordinator)
        ended = replica.run.remote()
        return _Running(replica, ended, wanted.model, places=wanted.places, group=group)


def drive(
    plan: EnginePlan,
    on_progress: Callable[[Progress], None] | None,
    check: Callable[[], None],
    look: Callable[[], tuple[Room, ...]],
    pool: Pool | None = None,
) -> tuple[Outcome, ...]:
    """Bring every run of a plan to its end.

    Args:
        plan: The job.
        on_progress: Called a few times a second.
        check: Raises where the driver is to end.
        look: Says which machines there are now.
        pool: Where replicas come from, and are left at the end; None starts and ends them.

    Returns:
        One outcome a model, in the plan's order.

    Raises:
        ClusterError: The coordinator stays away.
        LensError: The store fails, or what `check` raises.
    """
    began = time.monotonic()
    driver = Driver(plan, look, pool)
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
    if _died_with_its_machine(cause):
        text = "its machine is gone"
    elif isinstance(cause, RayActorError):
        text = text.rpartition("Worker exit detail: ")[2].partition(" Some common causes")[0]
    return f"{type(cause).__name__}: {text[:_CAUSE]}"


def _died_with_its_machine(error: BaseException) -> bool:
    if isinstance(error, ActorUnschedulableError):  # it was gone before the actor could start
        return True
    return isinstance(error, RayActorError) and (error.preempted or _NODE_DIED in str(error))


def _strategy(places: Places) -> Any:
    """The machine that the planner has chosen; where it is gone, the planner chooses again.

    ``soft=True`` is no preference in Ray 2.60: of six actors on three idle nodes three were
    started elsewhere.
    """
    if len(places) != 1 or places[0].startswith("#"):
        return "DEFAULT"
    return NodeAffinitySchedulingStrategy(places[0], soft=False)


def _end_in_order(actor: Any) -> None:
    """End an actor in order, so that its last metrics are sent; kill it where it is not quick."""
    with suppress(RayError):  # its own end is the answer
        ray.get(actor.__ray_terminate__.remote(), timeout=_END_S)
    end(actor)
