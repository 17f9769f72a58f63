"""A job without Ray: the coordinator and its replicas as tasks of one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lens_ray.engine.coordinator import Coordinator
from lens_ray.engine.messages import Directive, Observed, Orders, Outcome, Report
from lens_ray.engine.plan import EnginePlan, ModelPlan, family_of, run_id_of
from lens_ray.engine.planner import Need, Room
from lens_ray.engine.replica import CoordinatorAway, Replica
from lens_ray.engine.settings import EngineSettings
from lens_ray.models.identity import identify
from lens_ray.models.spec import ModelSpec
from lens_ray.store import RunHeader, Store
from lens_ray.suites.suite import Suite, write_suite
from tests.suites.makers import suite_of

ROOMS = (Room(2.0),)


def small_suite(folder: Path, count: int = 40) -> Suite:
    """Open questions of one ability, each with its own image; the right answer is always 3."""
    samples, images = suite_of(count)
    return write_suite("small", samples, images, folder / "suite", licence="MIT", revision="1")


def fake(name: str = "m", **given: Any) -> ModelSpec:
    spec = {key: given.pop(key) for key in ("replicas", "template", "step") if key in given}
    path = given.pop("path", f"weights-{name}")
    return ModelSpec(name=name, backend="fake", path=path, options=given, **spec)


def make_plan(
    folder: Path,
    suite: Suite,
    *specs: ModelSpec,
    need: Need = Need(1.0),  # noqa: B008  frozen
    rooms: tuple[Room, ...] = ROOMS,
    **settings: Any,
) -> EnginePlan:
    """A plan whose runs are open in a store of the folder."""
    store = Store(str(folder / "store"), create=True)
    store.put_suite(suite.info)
    models = []
    for number, spec in enumerate(specs):
        identity = identify(spec)
        run_id = run_id_of(spec, identity, suite.digest)
        header = RunHeader(
            run_id, spec.name, identity.model_key, identity.weights_digest, suite.name,
            suite.digest, spec.template, spec.backend, spec.path, spec.access, spec.step,
            spec.generation, "2026-01-01T00:00:00+00:00", "test",
        )  # fmt: skip
        store.open_run(header)
        family = family_of(spec, identity)
        models.append(ModelPlan(number, run_id, spec.name, spec, identity, need, family))
    return EnginePlan(
        store=store.url,
        suite=suite.name,
        suite_digest=suite.digest,
        suite_location=suite.location,
        abilities=None,
        limit=None,
        models=tuple(models),
        rooms=rooms,
        settings=EngineSettings(**{"flush_s": 0.1, **settings}),
    )


class Stage:
    """Plays driver and Ray.

    Attributes:
        coordinator: The one that answers now; None while it is away.
        notes: Lines for the log so far.
        started: Models of the replicas that were started, by number.
        most: Replicas that were there at once, at most.
        reports: What replicas said so far.
        answered: Rows that replicas brought so far.
        rooms: Machines, where they are not those of the plan.
        places: Machine of each replica that was started, by number.
        ended: How those ended that did.
        dead: Machines that died.
        alone: Samples that were handed out alone.
    """

    def __init__(self, plan: EnginePlan, meddle: Callable[[Stage], None] | None = None) -> None:
        self.plan = plan
        self.answered = 0
        self._meddle = meddle
        self.coordinator: Coordinator | None = Coordinator(plan)
        self.notes: list[str] = []
        self.started: dict[int, int] = {}
        self.replicas: dict[int, asyncio.Task[None]] = {}
        self.most = 0
        self.reports: list[Report] = []
        self.rooms: tuple[Room, ...] | None = None
        self.places: dict[int, str] = {}
        self.ended: dict[int, str] = {}
        self.dead: set[str] = set()
        self.alone: list[str] = []

    async def pull(self, report: Report) -> Directive:
        """What a replica's call does."""
        if self.coordinator is None:
            raise CoordinatorAway("killed")
        self.reports.append(report)
        self.answered += len(report.rows)
        if self._meddle is not None:
            self._meddle(self)
        directive = await self.coordinator.pull(report)
        if directive.alone:
            self.alone += [name for name, _ in directive.samples]
        return directive

    async def step(self) -> Orders:
        """One exchange of the driver."""
        for number, task in self.replicas.items():
            if self.places[number] in self.dead and not task.done():
                await self.kill(number)
            if (how := _ended(task)) is not None:
                self.ended[number] = how
        observed = tuple(
            Observed(
                number, self.started[number], self.ended.get(number),
                machine=self.places[number] in self.dead,
            )
            for number in self.replicas
        )  # fmt: skip
        assert self.coordinator is not None
        orders = await self.coordinator.poll(observed, self.rooms)
        self.notes += orders.notes
        wanted = {one.seat: (one.model, "".join(one.places[:1])) for one in orders.wanted}
        for number in [number for number in self.replicas if number not in wanted]:
            await self.kill(number, forget=True)
        for number, (model, node) in wanted.items():
            if number not in self.replicas:
                replica = Replica(number, model, self.plan, self.pull, node.partition("#")[0])
                self.replicas[number] = asyncio.create_task(replica.run())
                self.started[number] = model
                self.places[number] = node
        self.most = max(self.most, len(self.replicas))
        return orders

    async def kill(self, number: int, *, forget: bool = False) -> None:
        """End a replica in the middle of whatever it does."""
        task = self.replicas[number]
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
        if forget:
            del self.replicas[number]

    async def play(self) -> list[Outcome]:
        """Until every run has ended."""
        try:
            while True:
                orders = await self.step()
                if orders.outcomes is not None:
                    return list(orders.outcomes)
        finally:
            for number in list(self.replicas):
                await self.kill(number, forget=True)


def play(
    plan: EnginePlan, meddle: Callable[[Stage], None] | None = None
) -> tuple[list[Outcome], Stage]:
    """Play a plan; returns outcomes and stage.

    Args:
        plan: The job.
        meddle: Called before each call of a replica, which dies of what it raises.
    """

    async def run() -> tuple[list[Outcome], Stage]:
        stage = Stage(plan, meddle)
        return await asyncio.wait_for(stage.play(), 60), stage

    return asyncio.run(run())


def rows_of(plan: EnginePlan, model: int = 0) -> Mapping[str, Mapping[str, Any]]:
    """The stored rows of a run by sample; each sample has one."""
    rows = Store(plan.store).rows([plan.models[model].run_id]).to_pylist()
    by_id = {row["sample_id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def _ended(task: asyncio.Task[None]) -> str | None:
    if not task.done():
        return None
    if task.cancelled():
        return "killed"
    error = task.exception()
    return f"{type(error).__name__}: {error}" if error is not None else "it ended"
