"""One model of the job, as the coordinator sees it: `Desk`."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence

from lens_ray.engine.asking import Asking
from lens_ray.engine.flip import FlipCheck
from lens_ray.engine.ledger import Ledger
from lens_ray.engine.messages import IDS_BYTES, Row, text_bytes
from lens_ray.engine.plan import ModelPlan, expected_costs
from lens_ray.engine.planner import Work
from lens_ray.engine.progress import ModelProgress
from lens_ray.engine.seats import Pace
from lens_ray.engine.settings import EngineSettings
from lens_ray.engine.stopping import Stopping
from lens_ray.engine.tally import Tally
from lens_ray.job import Until
from lens_ray.models import backend_entry
from lens_ray.models.api.options import longest_wait_s
from lens_ray.models.protocol import BackendInfo
from lens_ray.scoring.mark import OVER_BUDGET
from lens_ray.store import RunLog
from lens_ray.store.schema import SUPERSEDABLE
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite

#: Expected seconds of a sample of mean cost before any was answered.
GUESS_S = 0.05
#: A lease waits for this many times the slowest answer seen.
_PATIENCE = 10.0
#: The rate that is shown is of so many seconds.
_RATE_WINDOW_S = 10.0
#: What a sample takes in a message beside the letters of its id.
_ID = 16
#: Error answers of a provider after which a sample ends: they pass, and others do not wait for it.
_PROVIDER_ATTEMPTS = 8
#: Replicas that may be lost with a sample whose answer comes from a provider.
_TOLERATED = 2
#: Expected seconds of the self-check, so that a replica is found for it.
_CHECK_S = 0.5


class Desk:
    """Counts what comes in for one run, and knows what it still needs.

    Attributes:
        plan: The model.
        ledger: The samples that need a row.
        check: The self-check at batch 1.
        family: Its family; its own, once a swap to it was refused.
        state: ``waiting``, ``starting``, ``running``, ``finishing``, ``done`` or ``failed``.
        reason: Why it failed.
        exit_code: Of the error that made it fail.
        cause: Of the first sample that ended without an answer.
        resumed: Selected samples that had their row at the start.
        answered: Rows made since.
        replica_s: Seconds that replicas had work of it, added up over them.
        late_at: When it is looked for late samples again.
        start_deaths: Replicas that died while they loaded it.
        deaths: Replicas that died in a row without an answer.
        most: Samples that one message can name.
        large: Rows that came alone, since they are more than a message shall hold.
        tally: What is counted of it for metrics and timeline.
    """

    def __init__(
        self,
        model: ModelPlan,
        settings: EngineSettings,
        suite: Suite,
        samples: Sequence[Sample],
        log: RunLog | None,
        until: Until | None = None,
    ) -> None:
        """Queue what has no final row; rows that may be superseded are tried again.

        Args:
            model: Whose run it is.
            settings: Of the engine.
            suite: What is asked.
            samples: Those of it that this job asks for.
            log: The run, refreshed; None where nothing is stored (a simulation).
            until: When an ability has been asked enough; None asks all.
        """
        self.plan = model
        self._log = log
        self.family = model.family
        self.state = "waiting"
        self.reason: str | None = None
        self.exit_code = 0
        self.cause: str | None = None
        self.start_deaths = 0
        self.deaths = 0
        self.answered = 0
        self.replica_s = 0.0
        self.tally = Tally()
        self.late_at = 0.0
        self._asking = Asking(model, suite)
        self._patience_s = settings.lease_timeout_s + longest_wait_s(model.spec)
        done = frozenset() if log is None else log.state.done
        todo = [sample for sample in samples if sample.sample_id not in done]
        self.resumed = len(samples) - len(todo)
        costs = expected_costs(samples, model.spec)
        self._costs = {sample.sample_id: costs[sample.sample_id] for sample in todo}
        self._samples = samples
        self._stopping: Stopping | None = None
        if until is not None and log is not None:
            state = log.state
            stored = state.done | state.open.keys()
            self._stopping = Stopping(samples, suite, until, stored)
        self.ledger = self._make_ledger(settings.attempt_cap)
        longest = max((text_bytes(name) for name in self._costs), default=1)
        self.most = max(1, IDS_BYTES // (longest + _ID))
        self.large = 0
        self._expected = Counter(sample.ability for sample in samples)
        self._done = self._expected - Counter(sample.ability for sample in todo)
        self._failures = 0
        self._slowest = 0.0
        self._facts: dict[str, object] = {}
        self._recent: deque[float] = deque()
        self._first: float | None = None
        self._last: float | None = None
        names = [sample.sample_id for sample in samples]
        sure = self._stopping.first if self._stopping else names
        self.check = FlipCheck(model.run_id, sure, settings.flip_samples)
        if self.resumed:
            self._remember_texts()
        if self._stopping is not None:
            self._stopping.resume(self.log)
            self._move(self._stopping.abilities)
            self._look()

    def _make_ledger(self, attempts: int) -> Ledger:
        """A provider's failures pass, and say little of the sample or of the replica."""
        asks_provider = backend_entry(self.plan.spec.backend).attached
        ledger = Ledger(
            self._costs,
            timeout_s=self._patience_s,
            attempt_cap=max(attempts, _PROVIDER_ATTEMPTS) if asks_provider else attempts,
            held_back=self._stopping.held_back if self._stopping else None,
        )
        if asks_provider:
            ledger.retry_last, ledger.tolerated = True, _TOLERATED
        return ledger

    def _remember_texts(self) -> None:
        """What the self-check compares with, from rows of an earlier start."""
        rows = self.log.rows(columns=["sample_id", "status", "text"]).to_pylist()
        for row in rows:
            if row["status"] not in SUPERSEDABLE:
                self.check.note(row["sample_id"], row["text"])

    @property
    def kept(self) -> list[str]:
        """The samples that are asked: all, but for what an adaptive stop leaves out."""
        if self._stopping is not None:
            return self._stopping.kept
        return [sample.sample_id for sample in self._samples]

    @property
    def log(self) -> RunLog:
        """Its run in the store."""
        assert self._log is not None
        return self._log

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be asked."""
        return self.ledger.finished and self.check.done

    @property
    def closed(self) -> bool:
        """Whether no replica has anything to do for it any more."""
        return self.state in ("finishing", "done", "failed")

    def meet(self, seat: int, info: BackendInfo, how: str | None, since: float, now: float) -> None:
        """A replica is ready for this model.

        Args:
            seat: Its number.
            info: What its backend says.
            how: ``start`` or ``swap``; None where it was ready before.
            since: When it was ordered.
            now: When it said so.
        """
        seconds = now - since
        if how is not None:
            self.tally.times.append((how, seconds))
            self.tally.span(seat, how, since, seconds)
        loaded: dict[str, object]
        loaded = {key: self._facts[key] for key in ("loaded_by", "load_s") if key in self._facts}
        if not loaded and how is not None:
            loaded = {"loaded_by": how, "load_s": round(seconds, 3)}
        self._facts = {"backend": info.name, "version": info.version, **info.facts, **loaded}
        self._facts["weights_digest"] = self.plan.identity.weights_digest
        if self.state in ("waiting", "starting"):
            self.state = "running"
        if info.paid:
            self.ledger.duplicates = False
            self.check.done = True  # asking again would cost money again

    def go_ahead(self) -> None:
        """Where nothing waits but what an adaptive stop holds back: queue the next of it.

        What is asked before its look may turn out to be more than was needed; that is better than
        an engine that waits, and worse than one that costs money.
        """
        if self._stopping is not None and not self.ledger.waiting and self.ledger.duplicates:
            self._move(self._stopping.ahead())

    def begin(self, now: float) -> None:
        """Work is handed out."""
        if self._first is None:
            self._first = now

    def take(self, seat: int, row: Row, now: float) -> bool:
        """An answer came; whether its row is to be stored."""
        self.deaths = 0
        latency = row["latency_s"]
        if isinstance(latency, float) and latency > self._slowest:
            self._slowest = latency
            self.ledger.timeout_s = max(self._patience_s, _PATIENCE * latency)
        if not self.ledger.complete(seat, str(row["sample_id"]), now):
            return False
        if row["status"] in SUPERSEDABLE:  # another try cannot mend it
            self.tally.failure(row["cause"])
        self._count(row, now)
        return True

    def fail(self, seat: int, row: Row, now: float) -> bool:
        """An error answer came; whether its row is final and to be stored."""
        self.tally.failure(row["cause"])
        if not self.ledger.fail(seat, str(row["sample_id"]), now):
            return False
        self._count(row, now)
        return True

    def lose(self, seat: int, cause: str, now: float) -> list[Row]:
        """A replica died; the rows of the samples that end by this."""
        self.tally.failure(cause)
        self.tally.span(seat, f"lost: {cause}", now, 0.0)
        rows: list[Row] = [
            self._asking.unanswered(ended.sample_id, ended.cause, attempt=ended.attempt)
            for ended in self.ledger.lost(seat, cause)
        ]
        for row in rows:
            self._count(row, now)
        return rows

    def out_of_money(self, why: str, now: float) -> list[Row]:
        """Nothing more is to be asked; the rows of the samples that end by this."""
        rows: list[Row] = [
            self._asking.unanswered(name, why, attempt=attempt, status=OVER_BUDGET)
            for name, attempt in self.ledger.end_waiting()
        ]
        for row in rows:
            self._count(row, now)
        self.check.done = True  # it would cost more
        return rows

    def give_up(self, reason: str, exit_code: int) -> None:
        """The model has failed."""
        self.state, self.reason, self.exit_code = "failed", reason, exit_code

    def work(self, pace: Pace, checking: bool) -> Work:
        """What the planner is to know.

        Args:
            pace: What was measured of the family.
            checking: Whether a replica is at the self-check.
        """
        waiting_s = 0.0
        if self.ledger.waiting:
            each = pace.seconds_per_cost or self.plan.expected.seconds_each or GUESS_S
            waiting_s = max(1e-6, self.ledger.waiting_cost * each)
        elif self.ledger.finished and not self.check.done and not checking:
            waiting_s = _CHECK_S
        replicas = self.plan.spec.replicas
        if replicas == "auto" and backend_entry(self.plan.spec.backend).attached:
            replicas = 1  # more of them ask a provider no faster, and share its limits
        return Work(
            model=self.plan.number,
            family=self.family,
            need=self.plan.need,
            replicas=None if replicas == "auto" else replicas,
            waiting_s=0.0 if self.closed else waiting_s,
            unfinished=not self.closed and not self.finished,
            measured=pace.seconds_per_cost is not None,
            priority=self.plan.spec.priority,
            start_s=self.plan.expected.start_s if pace.start_s is None else pace.start_s,
            swap_s=pace.swap_s,
        )

    def cost(self, sample_id: str) -> float:
        """What a sample was expected to cost."""
        return self._costs.get(sample_id, 1.0)

    def progress(self, now: float) -> ModelProgress:
        """For the user."""
        while self._recent and self._recent[0] < now - _RATE_WINDOW_S:
            self._recent.popleft()
        spanned = min(now - self._first, _RATE_WINDOW_S) if self._first is not None else 0.0
        rate = len(self._recent) / spanned if spanned > 0 else 0.0
        left = self.ledger.unfinished
        return ModelProgress(
            model=self.plan.spec.name,
            state="running" if self.state == "finishing" else self.state,
            abilities={name: (self._done[name], total) for name, total in self._expected.items()},
            failures=self._failures,
            rate=rate,
            eta_s=0.0 if not left else left / rate if rate else None,
        )

    def commit_facts(self, epoch: float) -> Mapping[str, object]:
        """What is kept with the commit.

        Args:
            epoch: When the clock of this desk was 0, in seconds since 1970.
        """
        facts = {**self._facts, "flip_n": self.check.asked, "flip_rate": self.check.rate}
        if self.answered and self._first is not None and self._last is not None:
            facts["answered"] = self.answered
            facts["large_rows"] = self.large
            facts["answering_s"] = round(self._last - self._first, 3)
            facts["replica_s"] = round(self.replica_s, 3)
        if self._stopping is not None:
            facts["until"] = self._stopping.facts()
        return {**facts, **self.tally.facts(epoch)}

    def _count(self, row: Row, now: float) -> None:
        self.answered += 1
        self._last = now
        self._recent.append(now)
        self.tally.row(row)
        self._done[str(row["ability"])] += 1
        if row["status"] in SUPERSEDABLE:
            self._failures += 1
            # What an empty budget lacks is easily mended, and said first.
            if self.cause is None or row["status"] == OVER_BUDGET:
                self.cause = str(row["cause"])
        else:
            self.check.note(str(row["sample_id"]), str(row["text"]))
        if self._stopping is not None:
            self._stopping.note(row)
            self._look()

    def _look(self) -> None:
        """Whether what has ended decides an ability."""
        if self._stopping is not None:
            self._move(self._stopping.look(self.ledger.begun))

    def _move(self, abilities: Sequence[str]) -> None:
        """Queue what may be asked now, end what is not to be."""
        assert self._stopping is not None
        for ability in abilities:
            self.ledger.release(self._stopping.released(ability))
            left_out = self._stopping.left_out(ability)
            if left_out:
                self.ledger.leave_out(left_out)
                self._expected[ability] = self._stopping.size(ability) - len(left_out)
