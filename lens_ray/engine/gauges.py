"""What a job looks like at one moment, as numbers: `METRICS`, `Gauges` and `Watch`. No Ray.

`Watch.look` adds up board and sink about once a second; who shows the numbers (`Meter`) turns the
totals into increments. All totals are of this coordinator: one that was started again counts from
0, which Prometheus' ``rate`` and ``increase`` take for what it is.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lens_ray.engine.board import Board
from lens_ray.engine.seats import Seated

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

#: States of a replica.
STATES: tuple[str, ...] = ("starting", "swapping", "checking", "busy", "idle")

#: A metric and the values of its tags, but for the job.
Series = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: As it is registered; Ray puts ``ray_`` before it, and ``_total`` after a counter.
        kind: ``counter``, ``gauge`` or ``histogram``.
        tags: Beside ``job``.
        text: What it says.
        bounds: Of the buckets of a histogram.
    """

    name: str
    kind: str
    tags: tuple[str, ...]
    text: str
    bounds: tuple[float, ...] = ()

    @property
    def exported(self) -> str:
        """Its name for Prometheus; of a histogram, without ``_bucket``, ``_sum``, ``_count``."""
        return f"ray_{self.name}" + ("_total" if self.kind == COUNTER else "")


METRICS: Mapping[str, Metric] = {
    metric.name.removeprefix("lens_ray_"): metric
    for metric in (
        Metric("lens_ray_samples", COUNTER, ("model", "ability", "status"), "Rows taken"),
        Metric("lens_ray_tokens", COUNTER, ("model", "direction"), "Tokens of those rows"),
        Metric(
            "lens_ray_failures", COUNTER, ("model", "kind"),
            "Error answers (each attempt), lost replicas, failed loads",
        ),
        Metric("lens_ray_queued", GAUGE, ("model",), "Samples that nobody works on"),
        Metric("lens_ray_in_flight", GAUGE, ("model",), "Samples leased to replicas"),
        Metric("lens_ray_replicas", GAUGE, ("model", "state"), "Replicas by state"),
        Metric(
            "lens_ray_replica_seconds", COUNTER, ("model", "state"),
            "Seconds that replicas spent in a state, seen once a second",
        ),
        Metric(
            "lens_ray_busy_share", GAUGE, ("model",),
            "Share of the replicas that have work; over time, see replica_seconds",
        ),
        Metric("lens_ray_unwritten_rows", GAUGE, (), "Rows taken and not yet in the store"),
        Metric("lens_ray_start_seconds", HISTOGRAM, ("model",), "Cold starts", _SECONDS),
        Metric("lens_ray_swap_seconds", HISTOGRAM, ("model",), "Hot swaps", _SECONDS),
        Metric(
            "lens_ray_commit_seconds", HISTOGRAM, ("what",),
            "Writes to the store: what is rows (one append) or run (scores and commit)", _SHORT,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gauges:
    """The numbers at one moment.

    Attributes:
        totals: Of every counter, since the coordinator started.
        levels: Of every gauge.
        times: Of the histograms: what was new since the last look.
    """

    totals: Mapping[Series, float] = field(default_factory=dict)
    levels: Mapping[Series, float] = field(default_factory=dict)
    times: tuple[tuple[Series, float], ...] = ()


class Meter(Protocol):
    """Shows numbers somewhere."""

    def show(self, gauges: Gauges) -> None:
        """Take in what there is now; called about once a second, and at the end."""
        ...


class Watch:
    """Looks at a job once in a while."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._looked: float | None = None
        self._spent: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._commits: deque[tuple[str, float]] = deque()

    def commit(self, what: str, seconds: float) -> None:
        """Something was written to the store; callable from any thread.

        Args:
            what: ``rows`` or ``run``.
            seconds: That it took.
        """
        self._commits.append((what, seconds))

    def look(self, board: Board, unwritten: int, now: float) -> Gauges:
        """The numbers of this moment.

        Args:
            board: Of the job.
            unwritten: Rows that are not in the store yet.
            now: On the board's clock.
        """
        passed = 0.0 if self._looked is None else max(0.0, now - self._looked)
        self._looked = now
        names = [desk.plan.spec.name for desk in board.desks]
        seats = list(board.seating.seats.values())
        there = Counter((names[seat.model], state_of(seat)) for seat in seats)
        for key, count in there.items():
            self._spent[key] += count * passed
        totals: dict[Series, float] = {
            ("replica_seconds", key): seconds for key, seconds in self._spent.items()
        }
        levels: dict[Series, float] = {("unwritten_rows", ()): unwritten}
        times: list[tuple[Series, float]] = []
        for desk, name in zip(board.desks, names, strict=True):
            ledger, tally = desk.ledger, desk.tally
            totals |= {("samples", (name, *key)): n for key, n in tally.rows.items()}
            totals |= {("tokens", (name, way)): n for way, n in tally.tokens.items()}
            totals |= {("failures", (name, kind)): n for kind, n in tally.failures.items()}
            levels["queued", (name,)] = ledger.waiting
            levels["in_flight", (name,)] = ledger.unfinished - ledger.waiting
            levels |= {("replicas", (name, state)): there[name, state] for state in STATES}
            levels["busy_share", (name,)] = _share(there, name)
            times += [((f"{what}_seconds", (name,)), s) for what, s in _drained(tally.times)]
        times += [(("commit_seconds", (what,)), s) for what, s in _drained(self._commits)]
        return Gauges(totals, levels, tuple(times))


def state_of(seat: Seated) -> str:
    """What a replica is at: one of `STATES`."""
    if seat.info is None:
        return "starting"
    if seat.loading:
        return "swapping"
    if seat.checking:
        return "checking"
    return "idle" if seat.marked is None else "busy"


def _share(there: Mapping[tuple[str, str], int], name: str) -> float:
    """Of a model's replicas, those that answer; 0 where it has none."""
    count = sum(there[name, state] for state in STATES)
    return (there[name, "busy"] + there[name, "checking"]) / count if count else 0.0


def _drained(times: deque[tuple[str, float]]) -> Iterable[tuple[str, float]]:
    while times:
        yield times.popleft()
