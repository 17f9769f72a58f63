"""What driver, replicas and coordinator say to each other.

A replica calls `Coordinator.pull` with a `Report` and gets a `Directive`; the driver calls
`Coordinator.poll` with all that it observes and gets all that it shall make true. Nothing depends
on what was said before, so a coordinator that starts again is told everything by the next calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lens_ray.engine.planner import Need
from lens_ray.engine.progress import Progress
from lens_ray.engine.rooms import Places
from lens_ray.models.protocol import BackendInfo

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Hello:
    """A replica says what it is: once it is ready, after a swap, and where it is asked.

    Attributes:
        model: Number of the model that it hosts.
        info: What its backend says.
        held: Samples that it works on, or whose rows it has.
        first: Whether it has just started.
        note: A line for the log.
    """

    model: int
    info: BackendInfo
    held: tuple[str, ...] = ()
    first: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """A model cannot be hosted by this replica.

    Attributes:
        model: Its number.
        line: Why.
        exit_code: Of the error.
        swap: Whether a swap was refused, so that a cold start may help.
    """

    model: int
    line: str
    exit_code: int
    swap: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What a replica says with each call.

    Attributes:
        seat: Its number.
        want: Samples that it has room for.
        rows: Marked answers.
        errors: Rows of error answers; the coordinator decides whether they are final.
        hello: Who it is, where that is news.
        trouble: Why it cannot host a model.
        checked: Texts of the self-check at batch 1, by sample id.
    """

    seat: int
    want: int = 0
    rows: tuple[Row, ...] = ()
    errors: tuple[Row, ...] = ()
    hello: Hello | None = None
    trouble: Trouble | None = None
    checked: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Directive:
    """What a replica is to do next.

    Attributes:
        samples: To work on: sample id and attempt.
        alone: Nothing else may be in the engine while it works on them.
        drop: Samples that it need not begin any more.
        check: Samples to ask again at batch 1.
        load: Number of the model to take by a swap.
        introduce: Say `Hello` with the next call.
        stop: End.
        wait_s: Where there is nothing to do: when to call again.
    """

    samples: tuple[tuple[str, int], ...] = ()
    alone: bool = False
    drop: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    load: int | None = None
    introduce: bool = False
    stop: bool = False
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Observed:
    """A replica as the driver sees it.

    Attributes:
        seat: Its number.
        model: The model that it was started for.
        ended: How it ended, in one line, or None.
        places: Where it was wanted.
    """

    seat: int
    model: int
    ended: str | None = None
    places: Places = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A replica that there shall be.

    Attributes:
        seat: Its number.
        model: Number of the model that it is started for.
        need: What it occupies.
        places: Node id of each of its parts; ``#N`` where Ray was not asked; empty is anywhere.
    """

    seat: int
    model: int
    need: Need
    places: Places = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended.

    Attributes:
        run_id: Which.
        status: ``complete``, ``incomplete`` or ``failed``.
        reason: Why it is not complete, in one line.
        exit_code: Of the error that made it fail; 0 where none did.
        resumed: Rows of the selected samples that were there at the start.
        answered: Rows made now.
        flip_rate: Share of the self-check's answers whose text differed at batch 1.
        flip_n: Answers of the self-check.
    """

    run_id: str
    status: str
    reason: str | None
    exit_code: int
    resumed: int
    answered: int
    flip_rate: float | None = None
    flip_n: int = 0


@dataclass(frozen=True, slots=True)
class Orders:
    """What the driver is to make true.

    Attributes:
        wanted: Every replica that there shall be; any other is killed.
        progress: For the user.
        notes: Lines for the log that are new.
        outcomes: One a run, once all have ended.
    """

    wanted: tuple[Wanted, ...]
    progress: Progress
    notes: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] | None = field(default=None)
