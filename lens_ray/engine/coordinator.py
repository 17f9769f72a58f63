"""The one actor that knows what is done: `Coordinator`.

Its state is rebuilt from the store alone: Ray starts it again after a crash (``max_restarts=-1``),
the next calls of driver and replicas tell it who is there, and answers that had not been written
are given again. Calls are not repeated by Ray (``max_task_retries=0``): each caller says with its
next call what is so by then, and a call that Ray repeats would say what is so no longer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial

from lens_ray.engine.board import Board
from lens_ray.engine.desk import Desk
from lens_ray.engine.finish import commit_run
from lens_ray.engine.gauges import Meter, Watch
from lens_ray.engine.messages import Directive, Observed, Orders, Outcome, Report, within
from lens_ray.engine.opening import open_suite
from lens_ray.engine.plan import EnginePlan
from lens_ray.engine.progress import Progress
from lens_ray.engine.rooms import Room, accelerator_of
from lens_ray.engine.sink import Sink
from lens_ray.engine.till import Till
from lens_ray.errors import LensError
from lens_ray.store import Store
from lens_ray.suites.suite import Suite

#: How long `Coordinator.poll` waits for news before it answers.
_POLL_S = 0.25
#: How often the meter is shown the numbers.
_LOOK_S = 1.0


class Coordinator:
    """Hands out work, takes in rows, ends runs. A plain class; the driver makes it an actor."""

    def __init__(
        self,
        plan: EnginePlan,
        clock: Callable[[], float] = time.monotonic,
        meter: Meter | None = None,
    ) -> None:
        """Remember the plan; the store is read at the first call, whose caller hears of errors.

        Args:
            plan: The job.
            clock: Seconds.
            meter: Shows its numbers, which count from 0 in a coordinator that was started again;
                the spans of the timeline are those since then, too.
        """
        self._plan = plan
        self._clock = clock
        self._began = clock()
        self._epoch = time.time() - self._began
        self._meter = meter
        self._watch = Watch()
        self._look_at = self._began
        self._opening = asyncio.Lock()
        self._open: _Opened | None = None
        self._outcomes: dict[int, Outcome] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None
        self._news = asyncio.Event()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="coordinator")

    async def poll(
        self, observed: tuple[Observed, ...], rooms: tuple[Room, ...] | None = None
    ) -> Orders:
        """Take in all that the driver sees, and say all that it is to make true.

        Args:
            observed: Every replica.
            rooms: Every machine; None where nothing has changed.
        """
        opened = await self._opened()
        board = opened.board
        now = self._clock()
        if rooms is not None:
            board.settle(rooms, now)
        board.observe(observed, now)
        board.kill_silent(now)
        self._count_money(opened, now)
        board.grow(now)
        self._finish(opened)
        if not self._over and not self._news.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _POLL_S)
        self._news.clear()
        self._raise(opened)
        self._look(opened)
        notes = within(board.notes)
        del board.notes[: len(notes)]
        outcomes = None
        if self._over:
            outcomes = tuple(self._outcomes[model.number] for model in self._plan.models)
        wanted, known = board.seating.wanted(), board.settled
        return Orders(wanted, self._progress(board), notes, outcomes, known)

    async def pull(self, report: Report) -> Directive:
        """Take in what a replica brings, and say what it is to do."""
        opened = await self._opened()
        self._raise(opened)
        board, now = opened.board, self._clock()
        before = set(board.seating.seats)
        board.report(report, now)
        if opened.till is not None:
            opened.till.answered((*report.rows, *report.errors))
            self._end_unpaid(opened, opened.till, now)
        directive = board.direct(report.seat, report.want, now, leasing=not opened.sink.full)
        if opened.till is not None:
            directive = await self._pay(opened, opened.till, report, directive)
        self._finish(opened)
        if self._over or set(board.seating.seats) != before:
            self._news.set()
        return directive

    async def stop(self) -> None:
        """Write what is gathered, before an early end."""
        if self._open is not None:
            await self._open.sink.flush_all()
            if self._open.till is not None:
                await self._open.till.write_all(self._threads)

    async def _pay(
        self, opened: _Opened, till: Till, report: Report, directive: Directive
    ) -> Directive:
        """Take in what a replica has spent, and say what it may spend."""
        seat = opened.board.seating.seats.get(report.seat)
        model = seat.model if seat is not None else opened.models.get(report.seat)
        if report.money is None or model is None:
            return directive
        opened.models[report.seat] = model
        run_id = self._plan.models[model].run_id
        if directive.stop:  # before anybody can find its seat empty and take it for dead
            till.leave(run_id, report.seat, report.money)
            return directive
        try:
            allowance = await till.exchange(run_id, report.seat, report.money, self._threads)
        except LensError as error:
            self._error = self._error or error
            self._news.set()
            raise
        return replace(directive, allowance=allowance)

    def _end_unpaid(self, opened: _Opened, till: Till, now: float) -> None:
        """End what an empty budget leaves unasked, of models that do not find out themselves."""
        for desk in opened.board.desks:
            why = till.ends(desk.plan.run_id)
            if why is not None and not desk.closed:
                for row in desk.out_of_money(why, now):
                    opened.sink.add(desk.plan.run_id, row)

    def _count_money(self, opened: _Opened, now: float) -> None:
        """Count the hours of hosts."""
        till, board = opened.till, opened.board
        if till is None:
            return
        till.tick(board.seating.seats, now)
        self._end_unpaid(opened, till, now)
        self._spawn(till.write_due(now, self._threads))

    @property
    def _over(self) -> bool:
        return len(self._outcomes) == len(self._plan.models)

    async def _opened(self) -> _Opened:
        async with self._opening:
            if self._open is None:
                loop = asyncio.get_running_loop()
                opened = await loop.run_in_executor(
                    self._threads, _Opened, self._plan, self._watch, self._clock
                )
                self._spawn(opened.sink.run())
                self._open = opened
        return self._open

    def _raise(self, opened: _Opened) -> None:
        """Losing rows is the end of the job: driver and replicas hear why."""
        error = self._error or opened.sink.error
        if error is not None:
            raise error

    def _finish(self, opened: _Opened) -> None:
        """Begin to end the runs that have nothing left to ask."""
        for desk in opened.board.desks:
            if desk.plan.number in opened.ending:
                continue
            if desk.state == "failed" or (desk.finished and not desk.closed):
                opened.ending.add(desk.plan.number)
                if desk.state != "failed":
                    desk.state = "finishing"
                self._spawn(self._end(opened, desk))

    async def _end(self, opened: _Opened, desk: Desk) -> None:
        await opened.sink.flush(desk.plan.run_id)
        outcome = Outcome(
            run_id=desk.plan.run_id,
            status="failed",
            reason=desk.reason,
            exit_code=desk.exit_code,
            resumed=desk.resumed,
            answered=desk.answered,
        )
        if opened.till is not None:
            failed = desk.state == "failed"
            await opened.till.close(desk.plan.run_id, self._threads, failed=failed)
            outcome = replace(outcome, spent_usd=opened.till.spent(desk.plan.run_id))
        if desk.state != "failed":
            loop = asyncio.get_running_loop()
            began = self._clock()
            outcome = await loop.run_in_executor(self._threads, _commit, opened, desk, self._epoch)
            self._watch.commit("run", self._clock() - began)
            desk.state = "done"
        self._outcomes[desk.plan.number] = outcome
        self._news.set()

    def _look(self, opened: _Opened) -> None:
        """Show the meter how it stands, once in a while and at the end."""
        now = self._clock()
        if self._meter is not None and (self._over or now >= self._look_at):
            self._look_at = now + _LOOK_S
            self._meter.show(self._watch.look(opened.board, opened.sink.unwritten, now))

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
            self._news.set()

    def _progress(self, board: Board) -> Progress:
        now = self._clock()
        models = tuple(desk.progress(now) for desk in board.desks)
        return Progress(now - self._began, len(board.seating.seats), models)


class _Opened:
    """What the coordinator reads from suite and store before its first answer; blocks."""

    def __init__(self, plan: EnginePlan, watch: Watch, clock: Callable[[], float]) -> None:
        self.suite: Suite = open_suite(plan)
        store = Store(plan.store)
        logs = {model.run_id: store.run(model.run_id) for model in plan.models}
        for log in logs.values():
            log.refresh()
        samples = self.suite.select(plan.abilities, plan.limit, plan.splits)
        desks = [
            Desk(model, plan.settings, self.suite, samples, logs[model.run_id], plan.until)
            for model in plan.models
        ]
        wrote = partial(watch.commit, "rows")
        self.sink = Sink(logs, plan.settings, clock, wrote)
        self.board = Board(plan, desks, self.sink.add)
        self.till = Till(plan, store) if plan.budgets is not None else None
        #: The model of each replica that was met, also when it has left.
        self.models: dict[int, int] = {}
        self.ending: set[int] = set()
        self.accelerator = accelerator_of(plan.rooms)


def _commit(opened: _Opened, desk: Desk, epoch: float) -> Outcome:
    """Blocks."""
    selected = desk.kept
    spent = opened.till.spent(desk.plan.run_id) if opened.till is not None else None
    facts = {**desk.commit_facts(epoch), "gpus": desk.plan.need.gpus}
    if desk.plan.need.gpus and opened.accelerator:
        facts["accelerator"] = opened.accelerator
    if spent is not None:
        facts["spent_usd"] = spent
    commit_run(desk.log, opened.suite, selected, facts)
    without = len(selected) - len(desk.log.state.done.intersection(selected))
    reason = f"{without} of {len(selected)} samples have no answer"
    return Outcome(
        run_id=desk.plan.run_id,
        status="incomplete" if without else "complete",
        reason=f"{reason}: {desk.cause}" if without else None,
        exit_code=0,
        resumed=desk.resumed,
        answered=desk.answered,
        flip_rate=desk.check.rate,
        flip_n=desk.check.asked,
        spent_usd=spent,
    )
