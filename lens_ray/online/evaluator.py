"""What a watcher asks: `Evaluator`. The engine's is `lens_ray.warm.WarmEvaluator`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lens_ray.models.spec import ModelSpec
from lens_ray.online.checkpoint import Checkpoint, Depth


@dataclass(frozen=True, slots=True)
class Question:
    """One checkpoint that is to be asked.

    Attributes:
        checkpoint: Which.
        spec: How it is hosted; its path is the checkpoint's.
        depth: Which samples.
        splits: Which splits of the suite, where ``depth`` does not say it; None asks by ``depth``.
    """

    checkpoint: Checkpoint
    spec: ModelSpec
    depth: Depth
    splits: tuple[Literal["anchor", "search", "sealed"], ...] | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """How one question came out.

    Attributes:
        question: Which.
        run_id: Of its run in the store; None where it has none.
        status: ``complete``, ``incomplete`` (samples lack an answer) or ``failed`` (it cannot be
            hosted).
        reason: Why it is not complete, in one line.
        asked: Samples that were asked now.
        resumed: Samples that had a row.
        seconds: From the question to the last row in the store.
        swapped: Whether a warm replica took it by a hot swap; None where nobody was asked.
    """

    question: Question
    run_id: str | None
    status: Literal["complete", "incomplete", "failed"]
    reason: str | None = None
    asked: int = 0
    resumed: int = 0
    seconds: float = 0.0
    swapped: bool | None = None


class Evaluator(Protocol):
    """Asks checkpoints a suite, into a store; what was asked before is not asked again."""

    def evaluate(self, questions: Sequence[Question]) -> tuple[Answered, ...]:
        """Ask some checkpoints; one answer a question, in their order.

        Raises:
            StoreUnavailable: The store is out of reach or full.
            ClusterError: Nobody can be asked now.
            RunBusy: Another driver is at work on one of the runs.
            KeyboardInterrupt: Stopped; what was answered is stored.
        """
        ...

    def idle(self) -> None:
        """Called while there is nothing to ask: give back what others wait for."""
        ...

    def close(self) -> None:
        """End every replica."""
        ...
