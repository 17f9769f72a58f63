"""A job in simulated time: `simulate` drives the real board, desks, ledgers and planner.

Only replicas are pretended: they start, swap, answer and call after the seconds that they are said
to take. One process simulates a sweep of 48 models on 64 GPUs in a minute.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from lens_ray.engine.behaviour import Behaviour, Engine, work_of
from lens_ray.engine.board import Board
from lens_ray.engine.desk import Desk
from lens_ray.engine.messages import Directive, Hello, Observed, Report, Row
from lens_ray.engine.plan import EnginePlan
from lens_ray.engine.rooms import Room
from lens_ray.models.protocol import BackendInfo
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite

__all__ = ["Behaviour", "SimulatedModel", "Simulation", "rooms_of", "simulate"]

#: How often the driver asks, where nothing else makes it ask.
_POLL_S = 0.25
#: What a feeder holds beside its window lasts so long, and is no more than so many.
_AHEAD_S = 0.25
_MOST_AHEAD = 512


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """How one model of the job went.

    Attributes:
        first_s: When its first sample was handed out; None where none was.
        answered_s: When its last row came.
        end_s: When it was done, its self-check made.
        answers: Rows made.
        leases: Handed out.
        replicas: Most that hosted it at once.
    """

    first_s: float | None
    answered_s: float
    end_s: float
    answers: int
    leases: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """How a job would go.

    Attributes:
        makespan_s: From its begin until every model is done.
        answered_s: Until the last row came.
        models: In the order of the plan.
        leases: Handed out, those of the tail included.
        doubled: Answers that came when the sample had its row.
        starts: Replicas started.
        swaps: Of weights.
        units: GPUs of the cluster, or its CPUs where it has no GPU.
        loading: Share of the units' time in starts and swaps.
        generating: Share of it with samples in the engine.
        first_answering_s: When the first sample was handed out.
    """

    makespan_s: float
    answered_s: float
    models: tuple[SimulatedModel, ...]
    leases: int
    doubled: int
    starts: int
    swaps: int
    units: float
    loading: float
    generating: float
    first_answering_s: float

    @property
    def idle(self) -> float:
        """Share of the units' time that neither loads nor generates."""
        return max(0.0, 1.0 - self.loading - self.generating)

    @property
    def unit_hours(self) -> float:
        """GPU-hours (or CPU-hours) of the whole cluster over the makespan."""
        return self.units * self.makespan_s / 3600


def simulate(
    plan: EnginePlan,
    suite: Suite,
    samples: Sequence[Sequence[Sample]],
    behaviours: Sequence[Behaviour],
    *,
    speed: Callable[[int], float] = lambda seat: 1.0,
    start_s: Callable[[int, float], float] = lambda seat, seconds: seconds,
    work: Callable[[int, str], float] | None = None,
    seed: int = 0,
    call_s: float = 0.003,
    grain_s: float = 0.0,
    kills: Mapping[int, float] | None = None,
    limit_s: float = 1e8,
) -> Simulation:
    """Play a job.

    Args:
        plan: As the engine takes it; nothing of it is opened or read.
        suite: What is asked.
        samples: What each model still has to answer.
        behaviours: One a model.
        speed: Divides the times of a replica, by its number.
        start_s: Of a replica, by its number and what its model takes.
        work: Of a model's sample, 1 on average; None draws it around what the sample's cost says.
        seed: Of the times of samples; the time of a sample is the same on every replica.
        call_s: Of a call of the coordinator, there and back.
        grain_s: Replicas call no more often than that; larger is faster to simulate.
        kills: When replicas die, by their number.
        limit_s: Simulated seconds after which the planner is at fault.

    Raises:
        RuntimeError: The job does not come to its end.
    """
    desks = [
        Desk(model, plan.settings, suite, todo, None)
        for model, todo in zip(plan.models, samples, strict=True)
    ]
    theatre = _Theatre(plan, desks, behaviours, speed, start_s, call_s, grain_s)
    theatre.work = work or theatre.drawn(seed)
    for seat, at in (kills or {}).items():
        theatre.later(at, partial(theatre.kill, seat))
    theatre.play(limit_s)
    return theatre.result()


@dataclass(slots=True)
class _Player:
    """A replica: what it is at, and since when."""

    seat: int
    model: int
    units: float
    born: float
    engine: Engine
    version: int = 0
    loading_s: float = 0.0
    checked: Mapping[str, str] | None = None
    hello: Hello | None = None
    answered: int = 0
    began: float | None = None


@dataclass(slots=True)
class _Tally:
    leases: Counter[int] = field(default_factory=Counter)
    first: dict[int, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    end: dict[int, float] = field(default_factory=dict)
    most: Counter[int] = field(default_factory=Counter)
    answers: int = 0
    starts: int = 0
    swaps: int = 0
    loading: float = 0.0
    generating: float = 0.0


class _Theatre:
    """Clock, driver and replicas around a board."""

    def __init__(
        self,
        plan: EnginePlan,
        desks: Sequence[Desk],
        behaviours: Sequence[Behaviour],
        speed: Callable[[int], float],
        start_s: Callable[[int, float], float],
        call_s: float,
        grain_s: float,
    ) -> None:
        self.plan = plan
        self.stored = 0
        self.board = Board(plan, desks, self._store)
        self._behaviours = behaviours
        self._speed, self._start_s = speed, start_s
        self._call_s, self._grain_s = call_s, grain_s
        self.work = self.drawn(0)
        self._gpu = any(room.gpus for room in plan.rooms)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._players: dict[int, _Player] = {}
        self._ended: dict[int, str] = {}
        self._tally = _Tally()
        self.now = 0.0

    def drawn(self, seed: int) -> Callable[[int, str], float]:
        """The work of samples around what their costs say."""

        def work(model: int, name: str) -> float:
            cost = self.board.desks[model].cost(name)
            return work_of(self._behaviours[model], cost, name, seed)

        return work

    def later(self, at: float, what: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._events, (at, next(self._order), what))

    def play(self, limit_s: float) -> None:
        """Until every model is done."""
        self.later(0.0, self._poll)
        while self._events and not self._over():
            self.now, _, what = heapq.heappop(self._events)
            if self.now > limit_s:
                raise RuntimeError(f"the job is not done after {limit_s:.0f} simulated seconds")
            what()
        for player in list(self._players.values()):
            self._leave(player)

    def kill(self, seat: int) -> None:
        """A replica dies."""
        player = self._players.get(seat)
        if player is not None:
            self._leave(player)
            self._ended[seat] = "killed"
            self._poll_once()

    def result(self) -> Simulation:
        """What came of it."""
        tally, desks = self._tally, self.board.desks
        makespan = max(tally.end.values(), default=0.0)
        units = sum(room.gpus if self._gpu else room.cpus for room in self.plan.rooms)
        whole = units * makespan or 1.0
        return Simulation(
            makespan_s=makespan,
            answered_s=max(tally.last.values(), default=0.0),
            models=tuple(
                SimulatedModel(
                    tally.first.get(number),
                    tally.last.get(desk.plan.run_id, 0.0),
                    tally.end.get(number, 0.0),
                    desk.answered,
                    tally.leases[number],
                    tally.most[number],
                )
                for number, desk in enumerate(desks)
            ),
            leases=tally.leases.total(),
            doubled=tally.answers - self.stored,
            starts=tally.starts,
            swaps=tally.swaps,
            units=units,
            loading=tally.loading / whole,
            generating=tally.generating / whole,
            first_answering_s=min(tally.first.values(), default=0.0),
        )

    # The driver.

    def _poll(self) -> None:
        self._poll_once()
        self.later(self.now + max(_POLL_S, self._grain_s), self._poll)

    def _poll_once(self) -> None:
        board = self.board
        models = {seat: one.model for seat, one in self._players.items()}
        observed = [Observed(seat, model) for seat, model in models.items()]
        observed += [Observed(seat, 0, how) for seat, how in self._ended.items()]
        board.observe(observed if self._ended else (), self.now)
        self._ended.clear()
        board.kill_silent(self.now)
        board.grow(self.now)
        self._finish()
        seats = board.seating.seats
        for number in [number for number in self._players if number not in seats]:
            self._leave(self._players[number])
        for wanted in board.seating.wanted():
            if wanted.seat not in self._players:
                self._start(wanted.seat, wanted.model)

    def _finish(self) -> None:
        for number, desk in enumerate(self.board.desks):
            if desk.finished and not desk.closed:
                desk.state = "done"
                self._tally.end[number] = self.now

    def _over(self) -> bool:
        return all(desk.closed for desk in self.board.desks)

    def _start(self, seat: int, model: int) -> None:
        need = self.plan.models[model].need
        behaviour = self._behaviours[model]
        engine = Engine(behaviour, self._speed(seat))
        units = need.gpus if self._gpu else need.cpus
        player = _Player(seat, model, units, self.now, engine)
        self._players[seat] = player
        self._tally.starts += 1
        seconds = self._start_s(seat, behaviour.start_s) / self._speed(seat)
        player.hello = Hello(model, self._info(model), first=True)
        self._load(player, seconds)

    def _load(self, player: _Player, seconds: float) -> None:
        player.loading_s += seconds
        self._call_at(player, self.now + seconds)

    def _leave(self, player: _Player) -> None:
        """Its GPUs are free."""
        player.version += 1
        del self._players[player.seat]
        here = self.now - player.born
        self._tally.loading += player.units * min(player.loading_s, here)
        player.engine.advance(self.now)
        self._tally.generating += player.units * player.engine.busy_s

    # The replicas.

    def _call_at(self, player: _Player, at: float) -> None:
        player.version += 1
        version = player.version

        def call() -> None:
            if player.version == version:
                self._call(player)

        self.later(at, call)

    def _call(self, player: _Player) -> None:
        engine, model = player.engine, player.model
        ended = engine.advance(self.now)
        player.answered += len(ended)
        self._tally.answers += len(ended)
        rows = tuple(self._row(model, name) for name in ended)
        want = self._room(player)
        report = Report(player.seat, want, rows, hello=player.hello, checked=player.checked)
        player.hello = player.checked = None
        board = self.board
        board.report(report, self.now)
        seated = set(board.seating.seats)
        directive = board.direct(player.seat, want, self.now)
        self._finish()
        self._obey(player, directive)
        if seated != set(board.seating.seats):
            self._poll_once()

    def _obey(self, player: _Player, directive: Directive) -> None:
        engine = player.engine
        engine.drop(directive.drop)
        if directive.stop:
            self._leave(player)
        elif directive.load is not None:
            player.model = directive.load
            busy = engine.busy_s
            player.engine = Engine(self._behaviours[player.model], self._speed(player.seat))
            player.engine.now, player.engine.busy_s = self.now, busy
            player.hello = Hello(player.model, self._info(player.model))
            self._tally.swaps += 1
            self._load(player, self._behaviours[player.model].swap_s)
        elif directive.check:
            player.checked = dict.fromkeys(directive.check, "")
            behaviour = self._behaviours[player.model]
            alone = behaviour.alone_s or behaviour.seconds_each * engine.window
            seconds = alone * len(directive.check) / self._speed(player.seat)
            engine.busy_s += seconds
            engine.now = self.now + seconds
            self._call_at(player, self.now + seconds)
        else:
            self._take(player, directive)

    def _take(self, player: _Player, directive: Directive) -> None:
        engine = player.engine
        if directive.samples:
            self._tally.leases[player.model] += 1
            self._tally.first.setdefault(player.model, self.now)
            hosts = sum(p.model == player.model for p in self._players.values())
            self._tally.most[player.model] = max(self._tally.most[player.model], hosts)
            player.began = player.began if player.began is not None else self.now
            engine.add((name, self.work(player.model, name)) for name, _ in directive.samples)
        settings = self.plan.settings
        keep = 0.0 if engine.window == 1 else settings.keep_answers_s
        following = engine.next_end() + keep
        if engine.working < engine.window:  # it is starving
            idle = max(directive.wait_s, self._call_s)
            following = min(following, self.now + idle) if engine.working else self.now + idle
        self._call_at(player, max(following, self.now + self._grain_s) + self._call_s)

    def _room(self, player: _Player) -> int:
        """As the feeder's."""
        behaviour = self._behaviours[player.model]
        fast = 0.0
        if player.began is not None:
            seconds = max(0.1, self.now - player.began)
            fast = player.answered / seconds * max(_AHEAD_S, 2 * self._grain_s)
        ahead = min(_MOST_AHEAD, behaviour.batch * max(1, math.ceil(fast / behaviour.batch)))
        return max(0, player.engine.window + ahead - len(player.engine.held))

    def _info(self, model: int) -> BackendInfo:
        behaviour = self._behaviours[model]
        return BackendInfo(
            name="simulated",
            version="1",
            batch=behaviour.batch,
            parallel=behaviour.parallel,
            can_load_weights=behaviour.can_load_weights,
        )

    def _row(self, model: int, name: str) -> Row:
        # Only what a board reads.
        plan = self.plan.models[model]
        return {
            "run_id": plan.run_id,
            "sample_id": name,
            "ability": "simulated",
            "status": "ok",
            "cause": None,
            "text": "",
            "latency_s": self._behaviours[model].seconds_each,
        }

    def _store(self, run_id: str, row: Row) -> None:
        self.stored += 1
        self._tally.last[run_id] = self.now


def rooms_of(nodes: int, gpus: int, cpus_each: float, accelerator: str = "") -> tuple[Room, ...]:
    """A cluster that is not there: GPUs spread over nodes as evenly as they can be.

    Args:
        nodes: How many machines.
        gpus: Of all of them together.
        cpus_each: Of each.
        accelerator: What the GPUs are.
    """
    shares = [gpus // nodes + (number < gpus % nodes) for number in range(nodes)]
    return tuple(Room(cpus_each, float(share), "", accelerator) for share in shares)
