"""What is counted of one run while it goes on, for metrics and timeline: `Tally`. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

#: Spans that a commit keeps.
MOST_SPANS = 200
#: Durations that are kept until somebody looks; nobody looks in a simulation.
_MOST_TIMES = 1024
#: Longest cause in a span.
_CAUSE = 80
#: Kinds of failures, each with what its causes say; the first that fits counts.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "memory": ("outofmemory", "out of memory", "oom"),
    "silence": ("hung", "no call for", "not ready for", "timeout", "timed out"),
    "weights": ("weights", "checkpoint", "safetensors"),
    "image": ("image",),
    "context": ("context", "max_model_len", "too long"),
    "death": ("died", "worker exit", "killed", "enginedead", "it ended"),
    "no answer": ("no answer",),
}
OTHER = "other"
KINDS: tuple[str, ...] = (*_KINDS, OTHER)

#: Replica number, what it did, since when (seconds), how long.
Span = tuple[int, str, float, float]


class Tally:
    """Counts since the coordinator started.

    Attributes:
        rows: By ability and status.
        tokens: ``in`` and ``out``.
        failures: Error answers, lost replicas and failed loads, by one of `KINDS`.
        times: Durations that nobody has looked at, oldest first: what was done, and its seconds.
        spans: What replicas did for the run.
        spans_cut: Spans that were too many to keep.
    """

    def __init__(self) -> None:
        """Nothing was counted yet."""
        self.rows: Counter[tuple[str, str]] = Counter()
        self.tokens: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.times: deque[tuple[str, float]] = deque(maxlen=_MOST_TIMES)
        self.spans: list[Span] = []
        self.spans_cut = 0

    def row(self, row: Mapping[str, object]) -> None:
        """A row was taken."""
        self.rows[str(row["ability"]), str(row["status"])] += 1
        for way in ("in", "out"):
            count = row.get(f"tokens_{way}")
            if isinstance(count, int):
                self.tokens[way] += count

    def failure(self, cause: object) -> None:
        """Something failed."""
        self.failures[kind_of(str(cause))] += 1

    def span(self, replica: int, what: str, began: float, seconds: float) -> None:
        """A replica did something for the run, or was lost to it."""
        if len(self.spans) >= MOST_SPANS:
            self.spans_cut += 1
        else:
            self.spans.append((replica, what[:_CAUSE], began, seconds))

    def facts(self, epoch: float) -> Mapping[str, object]:
        """What a commit keeps.

        Args:
            epoch: When the clock of the spans was 0, in seconds since 1970.
        """
        if not self.spans:
            return {}
        spans = [[n, what, round(epoch + at, 3), round(s, 3)] for n, what, at, s in self.spans]
        cut = {"spans_cut": self.spans_cut} if self.spans_cut else {}
        return {"spans": spans, **cut}


def kind_of(cause: str) -> str:
    """One of `KINDS`: causes themselves are too many to be told apart in a metric."""
    text = cause.lower()
    for kind, signs in _KINDS.items():
        if any(sign in text for sign in signs):
            return kind
    return OTHER
