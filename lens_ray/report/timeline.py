"""A run as a Chrome trace: who answered which sample when, and how each replica came to be.

The format is the Trace Event Format (JSON object form), which Perfetto and ``chrome://tracing``
open. Everything is told by the rows and the commit; nothing else is stored for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

#: Columns of the rows that are needed.
COLUMNS = (
    "run_id", "model", "sample_id", "ability", "status", "cause", "tokens_in", "tokens_out",
    "latency_s", "attempt", "replica", "created_at",
)  # fmt: skip
_MICRO = 1_000_000


def chrome_trace(
    rows: Iterable[Mapping[str, Any]], spans: Mapping[str, Sequence[Sequence[Any]]]
) -> dict[str, Any]:
    """Make the trace.

    Args:
        rows: With `COLUMNS`.
        spans: By model: replica number, what it did (``start``, ``swap``, ``lost: ...``), when
            that began (seconds since 1970) and how many seconds it took.

    Returns:
        ``traceEvents``: a process a replica; answers in as many lanes as overlap.
    """
    answers = [row for row in rows if row["replica"] and row["latency_s"] is not None]
    moments = [_began(row) for row in answers]
    moments += [span[2] for some in spans.values() for span in some]
    origin = min(moments, default=0.0)
    events: list[dict[str, object]] = []
    by_replica: dict[int, list[Mapping[str, Any]]] = {}
    for row in answers:
        by_replica.setdefault(_number(row["replica"]), []).append(row)
    for number in sorted({*by_replica, *(span[0] for some in spans.values() for span in some)}):
        events.append(_named("process_name", number, 0, f"replica-{number}"))
        events.append(_named("thread_name", number, 0, "start, swap, loss"))
        events += _answers(number, by_replica.get(number, []), origin)
    for model, some in spans.items():
        for number, what, began, seconds in some:
            kind = str(what).partition(":")[0]
            args = {"model": model, "what": what}
            events.append(_slice(f"{kind} {model}", number, 0, began - origin, seconds, args))
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _answers(
    number: int, rows: Iterable[Mapping[str, Any]], origin: float
) -> Iterable[dict[str, object]]:
    """One slice an answer, in the first lane that is free by then."""
    free: list[float] = []
    for row in sorted(rows, key=_began):
        began = _began(row) - origin
        lane = next((at for at, until in enumerate(free) if until <= began), len(free))
        if lane == len(free):
            free.append(0.0)
            yield _named("thread_name", number, lane + 1, f"answers {lane + 1}")
        free[lane] = began + row["latency_s"]
        args = {name: row[name] for name in COLUMNS if name not in ("created_at", "run_id")}
        name = f"{row['model']} {row['ability']}"
        yield _slice(name, number, lane + 1, began, row["latency_s"], args)


def _began(row: Mapping[str, Any]) -> float:
    created: datetime = row["created_at"]
    return created.timestamp() - float(row["latency_s"])


def _number(replica: str) -> int:
    return int(replica.rpartition("-")[2])


def _named(what: str, process: int, thread: int, name: str) -> dict[str, object]:
    return {"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name}}


def _slice(
    name: str, process: int, thread: int, began: float, seconds: float, args: Mapping[str, object]
) -> dict[str, object]:
    return {
        "ph": "X", "name": name, "pid": process, "tid": thread, "ts": round(began * _MICRO),
        "dur": max(1, round(seconds * _MICRO)), "args": dict(args),
    }  # fmt: skip
