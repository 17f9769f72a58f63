"""What driver, replicas and coordinator say to each other.

A replica calls `Coordinator.pull` with a `Report` and gets a `Directive`; the driver calls
`Coordinator.poll` with all that it observes and gets all that it shall make true. Nothing depends
on what was said before, so a coordinator that starts again is told everything by the next calls.

No message is larger than 100 KB, beyond which Ray takes it through its object store. Samples go by
id, rows so many as fit into `ROWS_BYTES`; one row that is larger goes alone, whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lens_ray.engine.planner import Need
from lens_ray.engine.progress import Progress
from lens_ray.engine.purse import Allowance, Money
from lens_ray.engine.rooms import Places
from lens_ray.models.protocol import BackendInfo

Row = Mapping[str, object]

#: Most bytes, roughly, of the rows of one report.
ROWS_BYTES = 56 * 2**10
#: Most bytes, roughly, of the sample ids of one message.
IDS_BYTES = 28 * 2**10
#: What a row takes beside its texts, and an id beside its letters, pickled. Names of columns and
#: digests that rows share are there once, so a row of short texts takes 490 in all; with 500 here,
#: 64 answers took two calls.
_ROW = 150
_ID = 8


@dataclass(frozen=True, slots=True)
class Hello:
    """A replica says what it is: once it is ready, after a swap, and where it is asked.

    Attributes:
        model: Number of the model that it hosts.
        info: What its backend says.
        held: Samples that it works on, or whose rows it has, as far as `IDS_BYTES` go; what is
            missing is handed out again, which costs work and nothing else.
        first: Whether it has just started.
        warm: Whether it has just been taken over from an earlier job.
        note: A line for the log.
        node: Ray's id of the machine that it is on; empty where there is no Ray.
    """

    model: int
    info: BackendInfo
    held: tuple[str, ...] = ()
    first: bool = False
    note: str | None = None
    node: str = ""
    warm: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """A model cannot be hosted by this replica.

    Attributes:
        model: Its number.
        line: Why.
        exit_code: Of the error.
        swap: Whether a swap was refused, so that a cold start may help.
        ends: Whether no other replica can do any better: its provider answers nobody.
    """

    model: int
    line: str
    exit_code: int
    swap: bool = False
    ends: bool = False


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
        checked: Marks (`lens_ray.engine.flip.mark_of`) of the texts of the self-check at batch 1,
            by sample id.
        note: A line for the log.
        money: How it stands with its dollars, where they are limited.
    """

    seat: int
    want: int = 0
    rows: tuple[Row, ...] = ()
    errors: tuple[Row, ...] = ()
    hello: Hello | None = None
    trouble: Trouble | None = None
    checked: Mapping[str, str] | None = None
    note: str | None = None
    money: Money | None = None


@dataclass(frozen=True, slots=True)
class Directive:
    """What a replica is to do next.

    Attributes:
        samples: To work on: sample id and attempt.
        alone: Nothing else may be in the engine while it works on them.
        drop: Samples that it need not begin any more.
        check: Samples to ask again at batch 1.
        load: Number of the model to take by a swap.
        prefetch: Number of a model whose checkpoint is to be brought to the replica's node.
        introduce: Say `Hello` with the next call.
        leave: Give back what is not begun, and say `Hello` with the rest: the machine is about to
            be taken away.
        stop: End.
        wait_s: Where there is nothing to do: when to call again.
        allowance: What it may spend, where that is limited.
    """

    samples: tuple[tuple[str, int], ...] = ()
    alone: bool = False
    drop: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    load: int | None = None
    prefetch: int | None = None
    introduce: bool = False
    leave: bool = False
    stop: bool = False
    wait_s: float = 0.0
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """A replica as the driver sees it.

    Attributes:
        seat: Its number.
        model: The model that it was started for.
        ended: How it ended, in one line, or None.
        places: Where it was wanted.
        machine: Whether it ended because its machine did, which is nothing that it did itself.
    """

    seat: int
    model: int
    ended: str | None = None
    places: Places = ()
    machine: bool = False


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
        spent_usd: What the run has cost so far; None where that is not limited.
    """

    run_id: str
    status: str
    reason: str | None
    exit_code: int
    resumed: int
    answered: int
    flip_rate: float | None = None
    flip_n: int = 0
    spent_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Orders:
    """What the driver is to make true.

    Attributes:
        wanted: Every replica that there shall be; any other is killed.
        progress: For the user.
        notes: Lines for the log that are new.
        outcomes: One a run, once all have ended.
        knows_rooms: Whether the coordinator was told of the machines since it started.
    """

    wanted: tuple[Wanted, ...]
    progress: Progress
    notes: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] | None = field(default=None)
    knows_rooms: bool = False


def row_bytes(row: Row) -> int:
    """What a row takes in a message, roughly."""
    size = _ROW
    for value in row.values():  # a sum over a generator takes twice as long
        if isinstance(value, str):
            size += len(value) if value.isascii() else text_bytes(value)
    return size


def within(sample_ids: Iterable[str], limit: int = IDS_BYTES) -> tuple[str, ...]:
    """The first sample ids, as many as a message takes."""
    taken = []
    for sample_id in sample_ids:
        limit -= text_bytes(sample_id) + _ID
        if limit < 0:
            break
        taken.append(sample_id)
    return tuple(taken)


def text_bytes(text: str) -> int:
    """What a text takes in a message."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
