"""The loop of `lens-ray watch`: look, take, ask, tell. Read `watch` first."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from lens_ray.errors import ClusterError, LensError, RunBusy, StoreUnavailable, UserError
from lens_ray.online.assess import assess
from lens_ray.online.evaluator import Answered, Evaluator, Question
from lens_ray.online.findings import Findings
from lens_ray.online.keep import parse_keep
from lens_ray.online.looking import Looker, stamp, taken
from lens_ray.online.place import open_place
from lens_ray.online.queue import Wanted, decided, next_questions, recorded, waiting
from lens_ray.online.retention import delete_rest
from lens_ray.online.shelf import Shelf
from lens_ray.online.spec import RunSpec, WatchSpec
from lens_ray.online.stop_file import ask_to_stop
from lens_ray.online.stopping import reason_to_stop
from lens_ray.store import Store
from lens_ray.store.cell import Cell
from lens_ray.store.hold import Hold
from lens_ray.store.watch_log import Incident, Seen, WatchLog, WatchState


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a watcher stands with one training run.

    Attributes:
        run: Its name.
        state: What is known of its checkpoints.
        waiting: Questions that the policy wants asked and that have no answer.
        unsettled: Checkpoints that may still become whole.
        reachable: Whether its path could be listed at the last look.
    """

    run: str
    state: WatchState
    waiting: int
    unsettled: int
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How a watcher works; nothing here changes what is found.

    Attributes:
        ttl_s: Another watcher takes over when this one is silent for so long.
        at_once: Checkpoints, of different runs, that are asked together.
        tries: A checkpoint that cannot be asked so often has failed.
        pause_s: Longest pause between two tries of anything.
        outage_s: A store that is out of reach for so long ends the watch; None waits on.
    """

    ttl_s: float = 15.0
    at_once: int = 8
    tries: int = 3
    pause_s: float = 60.0
    outage_s: float | None = None


#: With a backlog, so many times as long as finding things takes is for asking.
_SHARE = 4.0
#: Ends a watch, asked after each round.
Until = Callable[[Sequence[Standing]], bool]


def never(standings: Sequence[Standing]) -> bool:
    """Watch on, until somebody stops it."""
    return False


def caught_up(standings: Sequence[Standing]) -> bool:
    """End when all that is there, and can be reached, was asked (``--once``)."""
    return not any(one.reachable and (one.waiting or one.unsettled) for one in standings)


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
        prune: What of the evaluated checkpoints is kept (`lens_ray.online.keep.parse_keep`); the
            others are deleted. None deletes nothing.
        settings: Of the loop.

    Returns:
        The last findings of each run, in the order of the file.

    Raises:
        UserError: The watch file asks for what cannot be.
        StoreUnavailable: The store cannot be used at the start; later it is waited for.
        KeyboardInterrupt: Stopped; nothing is lost.
    """
    settings = settings or WatchSettings()
    names = [run.name for run in spec.runs]
    store.register_watch(spec.name, names, spec.model_dump(mode="json"))
    log = store.watch(spec.name)
    watcher = _Watcher(spec, store, evaluator, on_findings, on_line, prune, settings)
    complain = None  # at the start, a store that cannot be used is an error
    while True:
        with _held(log, settings, on_line, complain) as hold:
            complain = watcher.complain
            if watcher.rounds(hold, until):
                return tuple(run.findings for run in watcher.runs if run.findings is not None)


class _Watched:
    """One training run of a watch, as a watcher remembers it between two rounds."""

    def __init__(self, run: RunSpec, spec: WatchSpec, log: WatchLog) -> None:
        self.spec = run
        self.cell: Cell[WatchState] = log.state(run.name)
        self.state = WatchState()
        self.findings: Findings | None = None
        self.unsettled = 0
        self.reachable = True
        self.looked = False
        self.told: tuple[tuple[Seen, ...], tuple[Incident, ...]] | None = None
        self.acted = True
        self.kept: set[str] = set()
        self.told_at = 0.0
        self.telling_s = 0.0
        self.looker = Looker(
            open_place(run.path), run.path, settle_s=spec.settle_s, never_whole_s=spec.never_whole_s
        )


class _Watcher:
    """The work of `watch` while it holds the lease."""

    def __init__(
        self,
        spec: WatchSpec,
        store: Store,
        evaluator: Evaluator,
        on_findings: Callable[[Findings], None],
        on_line: Callable[[str], None],
        prune: str | None,
        settings: WatchSettings,
    ) -> None:
        self._spec = spec
        self._store = store
        self._evaluator = evaluator
        self._on_findings = on_findings
        self._say = on_line
        self._keep = parse_keep(prune) if prune is not None else None
        self._shelf = Shelf(store, spec.name)
        self._settings = settings
        self._served: dict[str, int] = {}
        self._turn = 0
        self._hold: Hold | None = None
        self._not_before: dict[tuple[str, int], float] = {}
        self._troubles: set[str] = set()
        log = store.watch(spec.name)
        self.runs = [_Watched(run, spec, log) for run in spec.runs]

    def rounds(self, hold: Hold, until: Until) -> bool:
        """Go round until the end, which is True, or until the lease is lost."""
        self._hold = hold
        failing_since: float | None = None
        while hold.error is None:
            try:
                worked = self._once()
                failing_since = None
                if until([self._standing(run) for run in self.runs]):
                    return True
            except StoreUnavailable as error:
                failing_since = failing_since or time.monotonic()
                outage_s = self._settings.outage_s
                if outage_s is not None and time.monotonic() - failing_since >= outage_s:
                    raise
                self.complain(_away(error))
                worked = False
            if not worked:
                time.sleep(self._spec.poll_s)
        if isinstance(hold.error, RunBusy):
            self._say(str(hold.error))
        else:
            self.complain(_away(hold.error))
        return False

    def complain(self, line: str) -> None:
        """Say a trouble once, until somebody was asked again."""
        if line not in self._troubles:
            self._troubles.add(line)
            self._say(line)

    def _once(self) -> bool:
        """One round: look, ask, tell; whether anybody was asked."""
        for run in self.runs:
            self._look(run)
        with suppress(StoreUnavailable):  # told again below: nobody who is asked waits for it
            self._tell()  # before the next question, which may take long
        questions = self._next()
        answers = self._ask(questions) if questions else ()
        if not questions:
            self._evaluator.idle()
        for answer in answers:
            self._record(answer)
        self._tell()
        if answers:
            self._troubles.clear()  # whatever it was, it has passed
        return any(answer.status == "complete" for answer in answers)

    def _look(self, run: _Watched) -> None:
        """See what is new, and what the policy leaves out of it."""
        before = run.cell.read()
        look = run.looker.look(before)
        now = stamp(time.time())
        run.state = run.cell.update(
            lambda state: decided(self._spec, run.spec, taken(state, look), now)
        )
        run.unsettled = look.unsettled
        for line in _news(before, run.state):
            self._say(f"{run.spec.name}: {line}")
        if not look.reachable and run.reachable and before.incidents == run.state.incidents:
            self._say(f"{run.spec.name}: {look.incidents[0].line}")  # not for the first time
        if look.reachable and not run.reachable:
            self._say(f"{run.spec.name}: {run.spec.path} is there again")
        nothing = not (run.state.seen or run.state.incidents or look.unsettled)
        if nothing and not run.looked:
            self._say(f"{run.spec.name}: no checkpoint is there so far")
        run.reachable, run.looked = look.reachable, True

    def _wanted(self, run: _Watched) -> tuple[Wanted, ...]:
        return waiting(self._spec, run.spec, run.state)

    def _next(self) -> tuple[Question, ...]:
        """What is asked now; what failed a moment ago waits."""
        now = time.monotonic()
        wanted = {
            run.spec.name: [
                one
                for one in self._wanted(run)
                if self._not_before.get((run.spec.name, one.seen.step), now) <= now
            ]
            for run in self.runs
            if run.reachable
        }
        return next_questions(wanted, self._served, self._spec.model, self._settings.at_once)

    def _ask(self, questions: Sequence[Question]) -> tuple[Answered, ...]:
        for question in questions:
            self._turn += 1
            self._served[question.checkpoint.run] = self._turn
        try:
            answers = self._evaluator.evaluate(questions)
        except (ClusterError, RunBusy) as error:
            self.complain(f"{error}; it is tried again")
            return ()
        return answers

    def _record(self, answer: Answered) -> None:
        checkpoint = answer.question.checkpoint
        run = next(run for run in self.runs if run.spec.name == checkpoint.run)
        now = stamp(time.time())
        run.state = run.cell.update(
            lambda state: recorded(state, answer, self._settings.tries, now)
        )
        self._say(f"{checkpoint.run}: {_outcome(answer)}")
        seen = run.state.at(checkpoint.step)
        if seen is not None and seen.tries:
            pause = min(self._settings.pause_s, self._spec.poll_s * 2**seen.tries)
            self._not_before[(checkpoint.run, checkpoint.step)] = time.monotonic() + pause

    def _tell(self) -> None:
        """Say what is found where there is a new answer or incident, and act on it."""
        if self._hold is not None and self._hold.error is not None:
            return  # another watcher tells, stops and deletes; an answer counts whoever noted it
        trouble: StoreUnavailable | None = None
        for run in self.runs:
            try:
                self._tell_of(run)
            except StoreUnavailable as error:  # of one run; the others are told
                trouble = error
        if trouble is not None:
            raise trouble

    def _tell_of(self, run: _Watched) -> None:
        ground = (run.state.asked, run.state.incidents)
        if run.told != ground and any(ground) and not self._can_wait(run):
            began = time.monotonic()
            try:
                run.findings = assess(
                    self._spec, self._store, run.spec, state=run.state, shelf=self._shelf
                )
            except UserError as error:
                self.complain(f"{run.spec.name}: {error}")
                run.told = ground
                return
            run.told_at = time.monotonic()
            run.telling_s = run.told_at - began
            self._on_findings(run.findings)
            run.told, run.acted = ground, False
        if not run.acted and run.findings is not None:
            # What fails on the way is done again.
            run.acted = self._stop(run, run.findings) and self._delete(run)

    def _can_wait(self, run: _Watched) -> bool:
        """Whether more is about to be known: with a backlog, most of the time is for asking."""
        if run.told is None or run.told[1] != run.state.incidents:
            return False  # an alarm is told at once
        spent = time.monotonic() - run.told_at
        return bool(self._wanted(run)) and spent < _SHARE * run.telling_s

    def _stop(self, run: _Watched, findings: Findings) -> bool:
        """Tell the trainer to stop, once, where the watch file says so; False is to try again."""
        reason = reason_to_stop(self._spec, findings)
        if reason is None or run.state.stopped_at is not None:
            return True
        try:
            ask_to_stop(run.spec.path, reason, file=self._spec.stop.file)
        except StoreUnavailable as error:  # of the run's folder, which may be read-only
            self.complain(f"{run.spec.name}: {error}")
            return False
        now = stamp(time.time())
        run.state = run.cell.update(lambda state: state.stopped(now))
        self._say(f"{run.spec.name}: the trainer is told to stop ({reason})")
        return True

    def _delete(self, run: _Watched) -> bool:
        """Delete what is not kept, where that was asked for; False is to try again."""
        if self._keep is None:
            return True
        if not run.reachable:
            return False
        for one in delete_rest(self._spec, self._store, run.spec, self._keep):
            outcome = "deleted" if one.deleted else f"not deleted: {one.reason}"
            line = f"{run.spec.name}: step {one.step} is {outcome} (--prune)"
            if one.deleted or line not in run.kept:
                run.kept.add(line)
                self._say(line)
        return True

    def _standing(self, run: _Watched) -> Standing:
        return Standing(
            run.spec.name, run.state, len(self._wanted(run)), run.unsettled, run.reachable
        )


def _away(error: LensError) -> str:
    return f"{error}; the watch goes on when it can"


@contextmanager
def _held(
    log: WatchLog,
    settings: WatchSettings,
    say: Callable[[str], None],
    complain: Callable[[str], None] | None,
) -> Iterator[Hold]:
    """Be the watcher; while another one lives, wait for it.

    A store that is out of reach is an error without ``complain``, and else waited for.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
    waits = False
    away_since: float | None = None
    while True:
        try:
            lease = log.acquire(owner, ttl_s=settings.ttl_s, wait_s=4 * settings.ttl_s)
            break
        except RunBusy as error:
            if not waits:
                say(f"{error}; this one waits to take over")
            waits = True
            time.sleep(settings.ttl_s / 4)
        except StoreUnavailable as error:
            away_since = away_since or time.monotonic()
            limit = settings.outage_s
            over = limit is not None and time.monotonic() - away_since >= limit
            if complain is None or over:
                raise
            complain(_away(error))
            time.sleep(settings.ttl_s / 4)
    hold = Hold([lease], settings.ttl_s)
    try:
        yield hold
    finally:
        hold.release()


def _news(before: WatchState, after: WatchState) -> Iterator[str]:
    """What changed between two states, for the log; incidents are alarms of the findings."""
    old = {one.step: one for one in before.seen}
    for seen in after.seen:
        known = old.get(seen.step)
        if seen.status == "whole" and (known is None or known.mark != seen.mark):
            yield f"step {seen.step} is whole"
        elif seen.status == "skipped" and (known is None or known.status != "skipped"):
            yield f"step {seen.step} is skipped ({seen.reason})"


def _outcome(answer: Answered) -> str:
    step, depth = answer.question.checkpoint.step, answer.question.depth
    if answer.status == "failed":
        return f"step {step} could not be asked: {answer.reason}"
    how = {True: ", hot swap", False: ", cold start", None: ""}[answer.swapped]
    rest = f"; {answer.reason}" if answer.reason else ""
    return (
        f"step {step} answered ({depth}: {answer.asked} asked, {answer.resumed} were there, "
        f"{answer.seconds:.1f} s{how}){rest}"
    )
