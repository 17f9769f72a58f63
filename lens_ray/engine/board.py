"""What the coordinator decides, without waiting for anything: `Board`.

It takes in what driver and replicas say, moves the ledgers, and says what each is to do. Plain
Python: neither Ray nor asyncio.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from lens_ray.engine import planner
from lens_ray.engine.desk import Desk
from lens_ray.engine.ledger import Lease
from lens_ray.engine.messages import (
    ROWS_BYTES,
    Directive,
    Hello,
    Observed,
    Report,
    Row,
    Trouble,
    row_bytes,
    within,
)
from lens_ray.engine.plan import EnginePlan
from lens_ray.engine.planner import Work
from lens_ray.engine.rooms import Room, Space
from lens_ray.engine.seats import Seated, Seating
from lens_ray.errors import EnvironmentFailure

#: When a replica without work calls again.
_IDLE_S = 0.05
#: When a replica calls again that cannot be told anything yet.
_LATER_S = 0.2
#: How long a restarted coordinator waits for the replicas that are there, before it leases.
_MEETING_S = 5.0
#: How often it is thought of what a replica hosts next.
_LOOK_S = 5.0
#: How often it is asked whether replicas are to make room: what it gains counts in such times, and
#: the answer takes 20 ms with 9 models on 16 GPUs.
_ROOM_S = 5.0
#: How often it is looked for samples that are late.
_LATE_S = 0.5
#: The smallest lease, as a part of the backend's batch.
_LEAST = 4


class Board:
    """The state of a job, but for what is on its way to the store.

    Attributes:
        desks: One a model.
        seating: The replicas.
        notes: Lines for the log.
        rooms: Machines on which a replica may start.
        settled: Whether they were told since the start.
    """

    def __init__(
        self, plan: EnginePlan, desks: Sequence[Desk], store: Callable[[str, Row], None]
    ) -> None:
        """Nobody is there yet.

        Args:
            plan: The job.
            desks: One a model, in its order.
            store: Takes a run id and a row that is to be written.
        """
        self.desks = tuple(desks)
        self.seating = Seating()
        self.notes: list[str] = []
        self.rooms = tuple(room for room in plan.rooms if not room.draining)
        self.settled = False
        self._plan = plan
        self._store = store
        self._by_run = {desk.plan.run_id: desk for desk in desks}
        self._awaited: set[int] = set()
        self._lease_from: float | None = None
        self._room_at = 0.0
        self._going: frozenset[str] = frozenset()
        self._homeless: dict[int, float] = {}
        self._parked = Counter(plan.parked)

    # What the driver says.

    def settle(self, rooms: Sequence[Room], now: float) -> None:
        """Take in the machines that are there now, those included that are about to go."""
        self.settled = True
        self.rooms = tuple(room for room in rooms if not room.draining)
        going = frozenset(room.node for room in rooms if room.draining)
        for name in sorted(going - self._going):
            self.notes.append(f"machine {name} is about to be taken away: its replicas leave it")
        self._going = going
        here = set(Space(self.rooms).names)
        for seat in list(self.seating.seats.values()):
            # It holds nothing; one that is ready and whose machine is gone is lost by its end.
            if not seat.ready and not here.issuperset(seat.places):
                del self.seating.seats[seat.number]
                self._awaited.discard(seat.number)
            elif not going.isdisjoint(seat.places):
                seat.leaving = True
        for desk in self.desks:
            number = desk.plan.number
            if desk.closed or not planner.impossible(desk.plan.need, self.rooms):
                self._homeless.pop(number, None)
            elif number not in self._homeless:
                self._homeless[number] = now
                self.notes.append(f"{desk.plan.spec.name}: waits for a machine that has room")

    def observe(self, observed: Sequence[Observed], now: float) -> None:
        """Take in every replica that the driver sees."""
        if self._lease_from is None:
            self._meet_the_rest(observed, now)
        for one in observed:
            seat = self.seating.seats.get(one.seat)
            if seat is not None and one.ended is not None:
                self._lose(seat, one.ended, now, machine=one.machine)

    def _meet_the_rest(self, observed: Sequence[Observed], now: float) -> None:
        """After a restart of the coordinator: count who is there, and let them speak first."""
        self._lease_from = now
        for one in observed:
            if one.ended is None:
                desk = self.desks[one.model]
                need = desk.plan.need
                self.seating.adopt(one.seat, one.model, desk.family, need, now, one.places)
                self._awaited.add(one.seat)
                self._lease_from = now + _MEETING_S
            else:
                self.seating.next_number = max(self.seating.next_number, one.seat + 1)
        if observed:
            self.notes.append("the coordinator was started again and goes on from the store")

    def kill_silent(self, now: float) -> None:
        """Lose the replicas of which nothing was heard for too long."""
        settings = self._plan.settings
        for desk in self.desks:
            for number in desk.ledger.expired(now):
                if number in self.seating.seats:
                    limit = desk.ledger.timeout_s
                    self._lose(
                        self.seating.seats[number], f"no answer for {limit:.0f} s (hung)", now
                    )
                else:  # it has left, and its lease with it
                    desk.ledger.give_back(number)
        for seat in list(self.seating.seats.values()):
            starting = seat.info is None or seat.loading
            limit = settings.start_timeout_s if starting else settings.lease_timeout_s
            if seat.checking:  # it does not call between the answers of the self-check
                limit *= settings.flip_samples
            quiet = now - max(seat.since, seat.last_call)
            if quiet > limit and not self.desks[seat.model].ledger.held(seat.number):
                what = "not ready" if starting else "no call"
                self._lose(seat, f"{what} for {limit:.0f} s", now)

    def grow(self, now: float) -> None:
        """Order the replicas that are worth their start; send away who stands in their way."""
        self._give_up_the_homeless(now)
        works, rooms, costs = self.works(), self.rooms, self.seating.costs()
        while True:
            start = planner.next_start(self.seating.planned(), works, rooms, costs)
            if start is None:
                break
            desk = self.desks[start.model]
            self.seating.open(start.model, desk.family, desk.plan.need, now, start.places)
            if self._parked[desk.family] > 0:
                self._parked[desk.family] -= 1
                works = self.works()
            if desk.state == "waiting":
                desk.state = "starting"
        if now >= self._room_at:
            self._room_at = now + _ROOM_S
            for number in planner.leavers(self.seating.planned(), works, rooms, costs):
                self.seating.seats[number].leaving = True

    def _give_up_the_homeless(self, now: float) -> None:
        for number, since in list(self._homeless.items()):
            limit, desk = self._plan.settings.start_timeout_s, self.desks[number]
            if now - since > limit:
                del self._homeless[number]
                if not desk.closed and not desk.finished:
                    why = f"no machine of the cluster had room for it for {limit:.0f} s"
                    desk.give_up(why, EnvironmentFailure.exit_code)

    # What a replica says.

    def report(self, report: Report, now: float) -> None:
        """Take in what a replica brings; its rows are welcome whoever it is."""
        for row in report.rows:
            desk = self._by_run[str(row["run_id"])]
            if not desk.closed and desk.take(report.seat, row, now):
                self._store(desk.plan.run_id, row)
        if len(report.rows) == 1 and row_bytes(report.rows[0]) > ROWS_BYTES:
            self._by_run[str(report.rows[0]["run_id"])].large += 1
        if report.note is not None:
            self.notes.append(report.note)
        for row in report.errors:
            desk = self._by_run[str(row["run_id"])]
            if not desk.closed and desk.fail(report.seat, row, now):
                self._store(desk.plan.run_id, row)
        seat = self.seating.seats.get(report.seat)
        if seat is None:
            return
        self._measure(seat, report, now)
        seat.last_call = now
        if report.hello is not None:
            self._meet(seat, report.hello, now)
        if report.checked is not None:
            seat.checking = False
            desk = self.desks[seat.model]
            desk.check.compare(report.checked)
            desk.tally.span(seat.number, "check", seat.since, now - seat.since)
        if report.trouble is not None:
            self._trouble(seat, report.trouble, now)

    def direct(self, number: int, want: int, now: float, *, leasing: bool = True) -> Directive:
        """What a replica is to do next.

        Args:
            number: The replica's.
            want: Samples that it has room for.
            now: The time.
            leasing: Whether work may be handed out.
        """
        seat = self.seating.seats.get(number)
        if self._lease_from is None:
            return Directive(wait_s=_LATER_S)
        if seat is None:
            return Directive(stop=True)
        if seat.info is None:
            return Directive(introduce=True)
        desk = self.desks[seat.model]
        drop = within(desk.ledger.drops(number))
        if not seat.hastened and not self._going.isdisjoint(seat.places):
            seat.leaving = seat.hastened = True
            return Directive(leave=True, drop=drop)
        if desk.closed:
            desk.ledger.give_back(number)
        elif want > 0 and leasing and not seat.leaving and self._all_met(now):
            desk.go_ahead()
            lease = self._rescue(seat, desk, now)
            if lease is None:
                lease = desk.ledger.lease(number, self._share(seat, desk, want), now)
            if lease is not None:
                desk.begin(now)
                seat.marked = seat.marked if seat.marked is not None else now
                ahead = self._ahead(seat, now)
                return Directive(
                    samples=lease.samples, alone=lease.alone, drop=drop, prefetch=ahead
                )
        if desk.ledger.held(number) or not leasing:
            return Directive(drop=drop, wait_s=_IDLE_S)
        just_now = seat.marked is not None
        seat.marked, seat.steady = None, False
        return self._idle(seat, desk, max(1, want), now, just_now=just_now)

    def _idle(
        self, seat: Seated, desk: Desk, want: int, now: float, *, just_now: bool
    ) -> Directive:
        """What a replica does that holds nothing and whose model has nothing waiting."""
        if just_now and desk.ledger.finished and self._waits_for(seat.model):
            return Directive(wait_s=_IDLE_S)  # who ends last is the slowest: others check
        free = not seat.hastened and not self._checking(seat.model)
        if not desk.closed and desk.ledger.finished and free:
            ids = desk.check.begin()
            if ids:
                seat.checking, seat.since = True, now
                return Directive(check=ids)
        seats, works, costs = self.seating.planned(), self.works(), self.seating.costs()
        me = next(one for one in seats if one.number == seat.number)
        rooms = self.rooms
        model = planner.next_model(me, seats, works, rooms, costs)
        if model is not None:
            seat.model, seat.loading, seat.since = model, True, now
            return Directive(load=model)
        if not desk.closed and not seat.leaving and self._all_met(now):
            lease = desk.ledger.duplicate(seat.number, min(want, desk.most), now)
            if lease is not None:
                return Directive(samples=lease.samples)
        if planner.should_retire(me, seats, works, rooms, costs):
            del self.seating.seats[seat.number]
            return Directive(stop=True)
        return Directive(wait_s=_IDLE_S)

    def works(self) -> list[Work]:
        """What the planner is to know of every model."""
        works = []
        for desk in self.desks:
            pace = self.seating.pace(desk.plan.family)
            work = desk.work(pace, self._checking(desk.plan.number))
            if self._parked[desk.family] > 0:  # the next one need not start: it is there
                work = replace(work, start_s=planner.swap_s(work, self.seating.costs()))
            works.append(work)
        return works

    def _share(self, seat: Seated, desk: Desk, want: int) -> int:
        """No more than its part of what is left, so that all who work on it end together."""
        assert seat.info is not None
        hosts = sum(other.model == seat.model for other in self.seating.seats.values())
        part = max(-(-desk.ledger.waiting // hosts), -(-seat.info.batch // _LEAST))
        return min(want, part, desk.most)

    def _ahead(self, seat: Seated, now: float) -> int | None:
        """The model whose checkpoint this replica is to bring to its node, where that is news."""
        if seat.looked is not None and now - seat.looked < _LOOK_S:
            return None
        seat.looked = now
        seats, works, costs = self.seating.planned(), self.works(), self.seating.costs()
        me = next(one for one in seats if one.number == seat.number)
        model = planner.likely_next(me, seats, works, self.rooms, costs)
        if model is None or model == seat.ahead or not self.desks[model].plan.remote:
            return None
        seat.ahead = model
        return model

    def _rescue(self, seat: Seated, desk: Desk, now: float) -> Lease | None:
        """What others have for too long; looked for once in a while, as it looks at all of it."""
        each = self.seating.pace(desk.plan.family).seconds_per_cost
        if each is None or now < desk.late_at:
            return None
        desk.late_at = now + _LATE_S
        assert seat.info is not None
        hosts = sum(other.model == seat.model for other in self.seating.seats.values())
        return desk.ledger.rescue(
            seat.number,
            1,
            now,
            each_s=each * seat.info.batch * seat.info.parallel,
            left_s=desk.ledger.waiting_cost * each / hosts,
        )

    def _all_met(self, now: float) -> bool:
        return not self._awaited or (self._lease_from is not None and now >= self._lease_from)

    def _checking(self, model: int) -> bool:
        return any(seat.checking and seat.model == model for seat in self.seating.seats.values())

    def _waits_for(self, model: int) -> bool:
        """Whether a model's self-check is to be made, and replicas of it are without work."""
        desk, seats = self.desks[model], self.seating.seats.values()
        if desk.closed or desk.check.done or self._checking(model):
            return False
        return sum(seat.idle and seat.model == model for seat in seats) > 1

    def _measure(self, seat: Seated, report: Report, now: float) -> None:
        if report.rows and seat.marked is not None:
            desk = self.desks[seat.model]
            pace = self.seating.pace(desk.plan.family)
            cost = sum(desk.cost(str(row["sample_id"])) for row in report.rows)
            pace.add(now - seat.marked, cost, steady=seat.steady)
            desk.replica_s += now - seat.marked
            seat.marked, seat.steady = now, True

    def _meet(self, seat: Seated, hello: Hello, now: float) -> None:
        desk = self.desks[hello.model]
        pace = self.seating.pace(desk.plan.family)
        how = None
        if hello.first and seat.info is None:
            how, pace.start_s = "start", now - seat.since
        elif seat.loading or (hello.warm and seat.info is None):
            how, pace.swap_s = "swap", now - seat.since
        seat.info, seat.model, seat.family = hello.info, hello.model, desk.family
        seat.loading = seat.checking = False
        if hello.node and desk.plan.need.parts == 1:  # Ray may have chosen another one
            seat.places = (hello.node,)
        desk.start_deaths = 0
        self._awaited.discard(seat.number)
        if not desk.closed:
            desk.meet(seat.number, hello.info, how, seat.since, now)
            desk.ledger.adopt(seat.number, hello.held, now)
        if hello.note is not None:
            self.notes.append(f"{desk.plan.spec.name}: {hello.note}")
        if not hello.info.can_load_weights:
            for other in self.desks:
                other.family = f"{other.plan.family}/{other.plan.number}"
            seat.family = desk.family

    def _trouble(self, seat: Seated, trouble: Trouble, now: float) -> None:
        desk = self.desks[trouble.model]
        desk.tally.failure(trouble.line)
        name = desk.plan.spec.name
        del self.seating.seats[seat.number]
        if trouble.ends:
            if not desk.closed:
                desk.give_up(trouble.line, trouble.exit_code)
        elif trouble.swap:
            self.notes.append(f"{name}: cold start instead of a swap: {trouble.line}")
            desk.family = f"{desk.plan.family}/{desk.plan.number}"
            need = desk.plan.need
            self.seating.open(trouble.model, desk.family, need, now, seat.places)
        elif desk.state == "running":  # it runs elsewhere: this machine is at fault
            self.notes.append(f"{name}: replica {seat.number} cannot load it: {trouble.line}")
            self._count_start_death(desk, trouble.line)
        else:
            desk.give_up(trouble.line, trouble.exit_code)

    def _lose(self, seat: Seated, cause: str, now: float, *, machine: bool = False) -> None:
        desk = self.desks[seat.model]
        del self.seating.seats[seat.number]
        self._awaited.discard(seat.number)
        self.notes.append(f"{desk.plan.spec.name}: replica {seat.number} is lost: {cause}")
        if desk.closed:
            return
        if machine:  # neither a sample nor the model has anything to do with that
            desk.ledger.interrupted(seat.number)
            return
        for row in desk.lose(seat.number, cause, now):
            self._store(desk.plan.run_id, row)
        if seat.info is None or seat.loading:
            self._count_start_death(desk, cause)
            return
        desk.deaths += 1
        if desk.deaths >= self._plan.settings.death_cap:
            why = f"its replicas died {desk.deaths} times in a row without an answer: {cause}"
            desk.give_up(why, EnvironmentFailure.exit_code)

    def _count_start_death(self, desk: Desk, cause: str) -> None:
        desk.start_deaths += 1
        if desk.start_deaths >= self._plan.settings.start_attempts:
            why = f"its replicas died {desk.start_deaths} times while they loaded it: {cause}"
            desk.give_up(why, EnvironmentFailure.exit_code)
