"""The loop of `lens-ray watch`: look, take, ask, tell. Read `watch` first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lens_ray.online.evaluator import Evaluator
from lens_ray.online.findings import Findings
from lens_ray.online.spec import WatchSpec
from lens_ray.store import Store
from lens_ray.store.watch_log import WatchState


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a watcher stands with one training run.

    Attributes:
        run: Its name.
        state: What is known of its checkpoints.
        waiting: Questions that the policy wants asked and that have no answer.
        unsettled: Checkpoints that may still become whole.
    """

    run: str
    state: WatchState
    waiting: int
    unsettled: int


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How a watcher works; nothing here changes what is found.

    Attributes:
        ttl_s: Another watcher takes over when this one is silent for so long.
        at_once: Checkpoints, of different runs, that are asked together.
        tries: A checkpoint that cannot be asked so often has failed.
        pause_s: Longest pause between two tries of anything.
    """

    ttl_s: float = 15.0
    at_once: int = 8
    tries: int = 3
    pause_s: float = 60.0


#: Ends a watch, asked after each round.
Until = Callable[[Sequence[Standing]], bool]


def never(standings: Sequence[Standing]) -> bool:
    """Watch on, until somebody stops it."""
    return False


def caught_up(standings: Sequence[Standing]) -> bool:
    """End when all that is there was asked (``--once``)."""
    return not any(one.waiting or one.unsettled for one in standings)


def watch(
    spec: WatchSpec,
    store: Store,
    evaluator: Evaluator,
    *,
    on_findings: Callable[[Findings], None] = lambda findings: None,
    on_line: Callable[[str], None] = lambda line: None,
    until: Until = never,
    prune: str | None = None,
    settings: WatchSettings | None = None,
) -> tuple[Findings, ...]:
    """Watch training runs; started again, or elsewhere, it goes on where it stopped.

    Args:
        spec: The watch.
        store: Where rows and state are kept.
        evaluator: Asks the checkpoints; it is not closed here.
        on_findings: Called with a run's findings whenever it has a new answer or alarm, and once
            at the start for each run that has answers.
        on_line: Called with each line for the log.
        until: When to end.
        prune: What of the evaluated checkpoints is kept (``best_per_ability``); the others are
            deleted. None deletes nothing.
        settings: Of the loop.

    Returns:
        The last findings of each run, in the order of the file.

    Raises:
        UserError: The watch file asks for what cannot be.
        StoreUnavailable: The store cannot be used at the start; later it is waited for.
        KeyboardInterrupt: Stopped; nothing is lost.
    """
    raise NotImplementedError
