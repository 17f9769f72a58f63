"""The main job, top-down: models x suite, into a store. Read `evaluate` first, then `run_job`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lens_ray.engine.budgets import Rates, budgets_of, check_budgets, with_price
from lens_ray.engine.cluster import Cluster
from lens_ray.engine.entries import Entry, identify_all, planned
from lens_ray.engine.finish import answered, asked, counted, scores_of
from lens_ray.engine.hold import hold_runs
from lens_ray.engine.interrupt import sigterm_interrupts
from lens_ray.engine.messages import Outcome
from lens_ray.engine.plan import EnginePlan, ModelPlan
from lens_ray.engine.planner import Room
from lens_ray.engine.progress import ModelProgress, Progress
from lens_ray.engine.settings import EngineSettings
from lens_ray.errors import Incomplete
from lens_ray.job import JobSpec, Until, load_job
from lens_ray.models import backend_entry
from lens_ray.prices import load_prices
from lens_ray.stats import AbilityScore
from lens_ray.store import RunLog, Store
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite, load_suite

if TYPE_CHECKING:
    from lens_ray.engine.parked import Pool  # imports ray

__all__ = ["ModelProgress", "ModelReport", "Progress", "RunReport", "evaluate", "run_job"]


@dataclass(frozen=True, slots=True)
class ModelReport:
    """How one model came out.

    Attributes:
        model: Its name in the job.
        run_id: Of its run; None where it has none.
        status: ``complete``, ``incomplete`` (some samples have no final row) or ``failed``.
        reason: Why it is not complete, in one line.
        expected: Samples that the job asked for.
        resumed: Of those, rows that were there.
        answered: Final rows made now; those that another start may supersede do not count.
        scores: One an ability, then ``overall``.
        flip_rate: Share of the self-check's answers whose text differed at batch 1.
        flip_n: Answers of the self-check.
        exit_code: Of the error that made it fail; 0 where none did.
        left_out: Samples that the adaptive stop (``until``) left out.
        spent_usd: What its run has cost so far; None where no budget limits it.
    """

    model: str
    run_id: str | None
    status: str
    reason: str | None
    expected: int
    resumed: int
    answered: int
    scores: tuple[AbilityScore, ...] = ()
    flip_rate: float | None = None
    flip_n: int = 0
    exit_code: int = 0
    left_out: int = 0
    spent_usd: float | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a job came out.

    Attributes:
        job: Its name.
        suite: Name of the suite.
        suite_digest: Its digest.
        store: URL of the store.
        models: In the order of the job.
        seconds: That it took.
        notes: What its budget does not count.
    """

    job: str
    suite: str
    suite_digest: str
    store: str
    models: tuple[ModelReport, ...]
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 where all is complete; the models' own error where all failed by one kind; else 6."""
        if all(model.status == "complete" for model in self.models):
            return 0
        codes = {model.exit_code for model in self.models}
        if all(model.status == "failed" for model in self.models) and len(codes) == 1:
            return codes.pop() or Incomplete.exit_code
        return Incomplete.exit_code


def evaluate(
    job: JobSpec | str | Path,
    *,
    store: str | None = None,
    address: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    limit: int | None = None,
    settings: EngineSettings | None = None,
    cache: bool = True,
) -> RunReport:
    """Evaluate the models of a job; started again, it goes on where it stopped.

    Args:
        job: A job, or the path of its file.
        store: In the place of the job's store.
        address: Of a running Ray; None starts a local one (see `lens_ray.engine.cluster`).
        on_progress: Called a few times a second.
        limit: In the place of the job's limit.
        settings: Of the engine.
        cache: Whether answers that another run of the same provider's model has paid for serve
            this one; what a run itself has paid for always does.

    Raises:
        UserError: The job, the suite or every model is at fault; nothing was written.
        StoreUnavailable: The store is out of reach, read-only or full.
        RunBusy: Another driver is at work on one of the runs.
        ClusterError: Ray is out of reach, or no model fits on it.
        KeyboardInterrupt: Ctrl-C or SIGTERM; what was answered is stored.
    """
    spec = job if isinstance(job, JobSpec) else load_job(job, store=store)
    suite = load_suite(spec.suite)
    limit = spec.limit if limit is None else limit
    suite.look_ahead(suite.select(spec.abilities, limit, spec.splits))
    place = Store(store or spec.store, create=True)
    with Cluster(address) as cluster:
        return run_job(
            spec, suite, place, cluster,
            limit=limit, on_progress=on_progress, cache=cache,
            settings=settings or EngineSettings(),
        )  # fmt: skip


def run_job(
    spec: JobSpec,
    suite: Suite,
    place: Store,
    cluster: Cluster,
    *,
    limit: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    settings: EngineSettings,
    cache: bool = True,
    pool: Pool | None = None,
) -> RunReport:
    """Bring the runs of a job to their end.

    Args:
        spec: The job.
        suite: Its suite.
        place: Its store.
        cluster: Open; it is left open.
        limit: At most so many samples.
        on_progress: Called a few times a second.
        settings: Of the engine.
        cache: Whether answers that another run of the same provider's model has paid for serve.
        pool: Replicas of earlier jobs, which this one takes over; it leaves its own there. None
            starts every replica, and ends it.

    Raises:
        LensError: As `lens_ray.evaluate.evaluate`; with a pool, that no model can be asked is
            said of each in the report.
        KeyboardInterrupt: Ctrl-C or SIGTERM; what was answered is stored.
    """
    began = time.monotonic()
    samples = suite.select(spec.abilities, limit, spec.splits)
    entries = identify_all(
        spec.models, samples, cluster.rooms(), here=cluster.here, any_may_fail=pool is not None
    )
    rates = _priced(spec, entries, cluster.rooms())
    place.put_suite(suite.info)
    for entry in entries:
        entry.open(place, suite, spec.name)
    todo = {
        e.run_id: e for e in entries if e.log and not answered(e.log, suite, samples, spec.until)
    }
    outcomes: dict[str, Outcome] = {}
    if todo:
        logs = [entry.opened for entry in todo.values()]
        with hold_runs(logs, ttl_s=settings.run_ttl_s) as hold:
            cluster.start()
            rooms = cluster.rooms()
            models = planned(list(todo.values()), samples, rooms)
            plan = _plan(spec, suite, limit, place, models, rooms, settings, recall=cache)
            if pool is not None:
                plan = replace(plan, keep=True, parked=pool.counts())
            if rates is not None:
                others = [entry for entry in entries if entry.run_id not in todo]
                budgets = budgets_of(spec, rates, list(todo.values()), others, place, suite)
                plan = replace(plan, budgets=budgets)
            outcomes = _drive(plan, on_progress, hold.check, cluster.rooms, pool)
    reports = tuple(
        _report(entry, outcomes, place, suite, samples, spec.until) for entry in entries
    )
    seconds = time.monotonic() - began
    notes = rates.notes if rates is not None else ()
    return RunReport(spec.name, suite.name, suite.digest, place.url, reports, seconds, notes)


def _priced(job: JobSpec, entries: Sequence[Entry], rooms: Sequence[Room]) -> Rates | None:
    """Give models of providers their prices; what the budgets of the job count, if it has any."""
    limited = job.budget is not None or any(entry.spec.budget for entry in entries)
    if not limited and not any(backend_entry(entry.spec.backend).attached for entry in entries):
        return None
    prices = load_prices()
    for entry in entries:
        entry.spec = with_price(entry.spec, prices)
    return check_budgets(job, entries, rooms, prices)


def _plan(
    job: JobSpec,
    suite: Suite,
    limit: int | None,
    store: Store,
    models: tuple[ModelPlan, ...],
    rooms: tuple[Room, ...],
    settings: EngineSettings,
    *,
    recall: bool,
) -> EnginePlan:
    location = suite.location
    return EnginePlan(
        store=store.url,
        suite=suite.name,
        suite_digest=suite.digest,
        suite_location=location if "://" in location else str(Path(location).resolve()),
        abilities=job.abilities,
        limit=limit,
        models=models,
        rooms=rooms,
        settings=settings,
        job=job.name,
        splits=job.splits,
        until=job.until,
        recall=recall,
    )


def _drive(
    plan: EnginePlan,
    on_progress: Callable[[Progress], None] | None,
    check: Callable[[], None],
    look: Callable[[], tuple[Room, ...]],
    pool: Pool | None,
) -> dict[str, Outcome]:
    from lens_ray.engine.driver import drive  # imports ray

    with sigterm_interrupts():
        outcomes = drive(plan, on_progress, check, look, pool)
    return {outcome.run_id: outcome for outcome in outcomes}


def _report(
    entry: Entry,
    outcomes: Mapping[str, Outcome],
    store: Store,
    suite: Suite,
    samples: Sequence[Sample],
    until: Until | None,
) -> ModelReport:
    name, expected = entry.spec.name, len(samples)
    if entry.error is not None or entry.run_id is None:
        error = entry.error
        line = " ".join(str(error).split())
        code = error.exit_code if error is not None else 1
        return ModelReport(name, None, "failed", line, expected, 0, 0, exit_code=code)
    state = entry.opened.refresh()
    samples = asked(entry.opened, samples, until)
    left_out, expected = expected - len(samples), len(samples)
    selected = {sample.sample_id for sample in samples}
    resumed = len(selected & entry.before)
    answered_now = len(selected & state.done) - resumed  # errors and over_budget are no answers
    outcome = outcomes.get(entry.run_id)
    if outcome is not None and outcome.status == "failed":
        return ModelReport(
            name, entry.run_id, "failed", outcome.reason, expected, resumed, answered_now,
            exit_code=outcome.exit_code, spent_usd=outcome.spent_usd,
        )  # fmt: skip
    facts = state.commit.facts if state.commit is not None else {}
    rate, compared = facts.get("flip_rate"), facts.get("flip_n")
    return ModelReport(
        model=name,
        run_id=entry.run_id,
        status=outcome.status if outcome is not None else "complete",
        reason=outcome.reason if outcome is not None else None,
        expected=expected,
        resumed=resumed,
        answered=answered_now,
        scores=_scores(entry.opened, store, suite, samples),
        flip_rate=rate if isinstance(rate, float) else None,
        flip_n=compared if isinstance(compared, int) else 0,
        left_out=left_out,
        spent_usd=outcome.spent_usd if outcome is not None else None,
    )


def _scores(
    log: RunLog, store: Store, suite: Suite, samples: Sequence[Sample]
) -> tuple[AbilityScore, ...]:
    """Of this job's samples: the commit's, where it is of the same ones."""
    if counted(log, suite) != {sample.sample_id for sample in samples}:
        return tuple(scores_of(log, suite, samples))
    names = [f.name for f in fields(AbilityScore)]
    stored = store.scores([log.header.run_id]).to_pylist()
    return tuple(AbilityScore(**{name: row[name] for name in names}) for row in stored)


class _CallableModule(ModuleType):
    """``lens_ray.evaluate`` names both this module and its function, whichever came first."""

    __call__ = staticmethod(evaluate)


sys.modules[__name__].__class__ = _CallableModule
