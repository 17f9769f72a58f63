"""Before anything is spent: what a job will take, by simulation of the same planner: `forecast`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lens_ray.engine.api_forecast import (
    ApiForecast,
    Known,
    behaviour_of,
    forecast_api,
    known_of,
)
from lens_ray.engine.bill import bill, over_budget, paid_answers
from lens_ray.engine.budgets import check_price
from lens_ray.engine.cluster import Cluster
from lens_ray.engine.placement import check_fits, may_use_gpu, need_of
from lens_ray.engine.plan import EnginePlan, Expected, ModelPlan, family_of, run_id_of
from lens_ray.engine.planner import Need, Room
from lens_ray.engine.rates import ESTIMATED, UNKNOWN, Rate, check_weights, rate_of
from lens_ray.engine.rooms import accelerator_of
from lens_ray.engine.settings import EngineSettings
from lens_ray.engine.simulate import Behaviour, SimulatedModel, Simulation, simulate
from lens_ray.engine.till import spent_on
from lens_ray.errors import CheckpointError, LensError, StoreError, StoreUnavailable, UserError
from lens_ray.job import JobSpec
from lens_ray.models import backend_entry
from lens_ray.models.api.providers import check_parameters
from lens_ray.models.identity import Identity, identify
from lens_ray.models.spec import ModelSpec
from lens_ray.prices import Dollars, Prices
from lens_ray.store import RunHeader, Store
from lens_ray.store.fold import RunState
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite, load_suite

#: A job of more samples is simulated in steps of a second.
_FINE = 50_000


@dataclass(frozen=True, slots=True)
class ModelForecast:
    """What is known of one model of the job.

    Attributes:
        model: Its name.
        todo: Samples that it has to answer; None is unknown.
        resumed: Samples that have their answer already; None is unknown.
        need: What one replica occupies.
        rate: Samples a second of one replica; None is unknown.
        source: ``measured``, ``estimated`` or ``unknown``.
        basis: Of what the rate is known, or why it is not.
        leases: That will be handed out; None is unknown.
        begins_s: When its first sample is handed out.
        ends_s: When it is done.
        replicas: Most that host it at once.
        usd: Of paid answers; None where they are not paid, or the price is not known.
        usd_reason: Why the price is not known.
        problem: Why it cannot run at all.
        exit_code: Of that error.
        api: What it will take of its provider; None for other models.
        budget: The most that it may cost, where the job says so.
        spent_usd: What its run has cost so far, where there is a budget.
    """

    model: str
    todo: int | None
    resumed: int | None
    need: Need | None
    rate: float | None
    source: str
    basis: str
    leases: int | None = None
    begins_s: float | None = None
    ends_s: float | None = None
    replicas: int | None = None
    usd: float | None = None
    usd_reason: str | None = None
    problem: str | None = None
    exit_code: int = 0
    api: ApiForecast | None = None
    budget: float | None = None
    spent_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a job will take.

    Attributes:
        job: Its name.
        suite: Name of the suite.
        samples: That the job asks of each model.
        gpus: Of the cluster.
        cpus: Of the cluster.
        nodes: Machines of the cluster.
        accelerator: What its GPUs are; empty where that is not known, or it has none.
        models: In the order of the job.
        reason: Why there is no makespan; None where there is one.
        makespan_s: Until all is answered; None is unknown.
        idle: Share of the GPUs (else CPUs) that neither load nor generate.
        loading: Share of them that load.
        gpu_hours: Of the whole cluster over the makespan; None where it has no GPU.
        leases: Of all models.
        usd: Of the GPUs and of paid answers.
        usd_reason: Why that is not known.
        usd_basis: Whose price of which date.
        known: The figures of those models whose rate is known, where some are not.
        notes: What else is to be known.
        budget: The most that the job may cost; None is not limited.
    """

    job: str
    suite: str
    samples: int
    gpus: float
    cpus: float
    nodes: int
    accelerator: str
    models: tuple[ModelForecast, ...]
    reason: str | None
    makespan_s: float | None
    idle: float | None
    loading: float | None
    gpu_hours: float | None
    leases: int | None
    usd: float | None
    usd_reason: str | None
    usd_basis: str | None
    known: Simulation | None = None
    notes: tuple[str, ...] = ()
    budget: float | None = None

    @property
    def exit_code(self) -> int:
        """Of the first model that cannot run; 0 where all can."""
        return next((model.exit_code for model in self.models if model.problem), 0)


@dataclass(slots=True)
class _Line:
    spec: ModelSpec
    identity: Identity | None = None
    need: Need | None = None
    rate: Rate = field(default_factory=lambda: Rate(UNKNOWN, ""))
    todo: list[Sample] | None = None
    resumed: int | None = None
    error: LensError | None = None
    played: SimulatedModel | None = None
    api: ApiForecast | None = None
    spent: float | None = None

    @property
    def behaviour(self) -> Behaviour | None:
        return self.rate.behaviour if self.error is None else None


def forecast(
    job: JobSpec,
    *,
    rooms: Sequence[Room] | None = None,
    address: str | None = None,
    prices: Prices,
    limit: int | None = None,
) -> Forecast:
    """Say what a job will take; nothing is started and nothing is written.

    Args:
        job: The job.
        rooms: A cluster that is not there; None asks the one that is.
        address: Of a running Ray; None takes this machine.
        prices: What things cost.
        limit: In the place of the job's limit.

    Raises:
        UserError: The job or the suite is at fault, or it is not known how many GPUs there are.
        ClusterError: Ray is out of reach.
    """
    suite = load_suite(job.suite)
    samples = suite.select(job.abilities, job.limit if limit is None else limit, job.splits)
    if rooms is None:
        with Cluster(address) as cluster:
            rooms = cluster.rooms()
        _require_gpus(job, rooms)
    states, notes = _stored(job.store)
    lines = [_line(spec, suite, samples, rooms, states) for spec in job.models]
    _check_providers(job, lines, prices)
    _ask_nobody(lines, job.store, suite, states, prices)
    _spent(job, lines, suite, states)
    simulation = _play(lines, suite, rooms)
    if job.until is not None:
        notes += (
            f"at most: until a half-width of {job.until.halfwidth:g} is reached, which may be "
            "after fewer samples of an ability",
        )
    return _summed(job, suite, samples, rooms, lines, simulation, prices, notes)


def _require_gpus(job: JobSpec, rooms: Sequence[Room]) -> None:
    if any(room.gpus for room in rooms):
        return
    for spec in job.models:
        insists = getattr(spec.parsed_options(), "device", "auto") == "cuda"
        if may_use_gpu(spec) and (insists or spec.tensor_parallel > 1):
            raise UserError(
                f"model {spec.name} needs GPUs and none are here; say which cluster is meant: "
                "--gpus N --nodes N --accelerator NAME, or --address HOST:PORT of a running Ray"
            )


def _stored(url: str) -> tuple[list[tuple[RunHeader, RunState]], tuple[str, ...]]:
    """Every run of the store; none where there is no store yet."""
    try:
        return Store(url).states(), ()
    except StoreError:
        return [], ()
    except StoreUnavailable as error:
        return [], (f"what is answered already is not counted: {error}",)


def _line(
    spec: ModelSpec,
    suite: Suite,
    samples: Sequence[Sample],
    rooms: Sequence[Room],
    states: Sequence[tuple[RunHeader, RunState]],
) -> _Line:
    line = _Line(spec)
    gpu = any(room.gpus for room in rooms)
    try:
        line.need = need_of(spec, gpu=gpu, rooms=rooms)
        check_fits(spec, line.need, rooms)
    except LensError as error:
        line.error = error
        return line
    try:
        line.identity = identify(spec, gpu=gpu)
    except (CheckpointError, StoreUnavailable) as error:
        line.rate = Rate(UNKNOWN, str(error))
        return line
    accelerator = accelerator_of(rooms)
    try:
        check_weights(spec, line.identity, line.need, accelerator)
    except UserError as error:
        line.error = error
        return line
    run_id = run_id_of(spec, line.identity, suite.digest)
    done = next((state.done for header, state in states if header.run_id == run_id), frozenset())
    line.todo = [sample for sample in samples if sample.sample_id not in done]
    line.resumed = len(samples) - len(line.todo)
    line.rate = rate_of(spec, line.identity, line.need, samples, accelerator, states)
    return line


def _check_providers(job: JobSpec, lines: Sequence[_Line], prices: Prices) -> None:
    """Find what `evaluate` would refuse; the key is not looked at, it may be on other machines."""
    for line in lines:
        if line.error is not None or not backend_entry(line.spec.backend).attached:
            continue
        try:
            check_parameters(line.spec)
            if job.budget is not None or line.spec.budget is not None:
                check_price(line.spec, prices)
        except UserError as error:
            line.error = error


def _ask_nobody(
    lines: Sequence[_Line],
    url: str,
    suite: Suite,
    states: Sequence[tuple[RunHeader, RunState]],
    prices: Prices,
) -> None:
    """What the models of providers will take of them."""
    attached = [line for line in lines if backend_entry(line.spec.backend).attached]
    if not attached:
        return
    known: list[Known] = []
    if states:
        known = known_of(Store(url), [header for header, _ in states], suite)
    for line in attached:
        if line.error is not None or line.todo is None:
            continue
        line.api = told = forecast_api(line.spec, suite, line.todo, known, prices)
        if told.problem is not None:
            line.rate = Rate(UNKNOWN, told.problem)
        elif (behaviour := behaviour_of(line.spec, told)) is not None:
            line.rate = Rate(ESTIMATED, told.minutes_basis, behaviour)
        else:
            line.rate = Rate(UNKNOWN, told.minutes_basis)


def _spent(
    job: JobSpec,
    lines: Sequence[_Line],
    suite: Suite,
    states: Sequence[tuple[RunHeader, RunState]],
) -> None:
    """What budgets have paid for already."""
    known = {header.run_id for header, _ in states}
    for line in lines:
        if line.identity is None or (job.budget is None and line.spec.budget is None):
            continue
        run_id = run_id_of(line.spec, line.identity, suite.digest)
        line.spent = spent_on(Store(job.store).run(run_id)) if run_id in known else 0.0


def _play(lines: Sequence[_Line], suite: Suite, rooms: Sequence[Room]) -> Simulation | None:
    """The models whose rate is known, as the engine would play them."""
    known = [line for line in lines if line.behaviour is not None and line.todo]
    if not known:
        return None
    plan = EnginePlan(
        store="",
        suite=suite.name,
        suite_digest=suite.digest,
        suite_location="",
        abilities=None,
        limit=None,
        models=tuple(_planned(number, line, suite) for number, line in enumerate(known)),
        rooms=tuple(rooms),
        settings=EngineSettings(),
    )
    total = sum(len(line.todo or ()) for line in known)
    behaviours = [line.behaviour for line in known if line.behaviour is not None]
    todo = [line.todo or [] for line in known]
    simulation = simulate(plan, suite, todo, behaviours, grain_s=1.0 if total > _FINE else 0.0)
    for line, played in zip(known, simulation.models, strict=True):
        line.played = played
    return simulation


def _planned(number: int, line: _Line, suite: Suite) -> ModelPlan:
    assert line.identity is not None
    assert line.need is not None
    assert line.behaviour is not None
    spec, behaviour = line.spec, line.behaviour
    return ModelPlan(
        number=number,
        run_id=run_id_of(spec, line.identity, suite.digest),
        stored_name=spec.name,
        spec=spec,
        identity=replace(line.identity, facts=None),
        need=line.need,
        family=family_of(spec, line.identity),
        expected=Expected(behaviour.seconds_each, behaviour.start_s),
    )


def _summed(
    job: JobSpec,
    suite: Suite,
    samples: Sequence[Sample],
    rooms: Sequence[Room],
    lines: Sequence[_Line],
    simulation: Simulation | None,
    prices: Prices,
    notes: tuple[str, ...],
) -> Forecast:
    gpus, accelerator = sum(room.gpus for room in rooms), accelerator_of(rooms)
    paid = [paid_answers(line.spec, len(line.todo or []), line.api) for line in lines]
    models = tuple(_told(line, cost) for line, cost in zip(lines, paid, strict=True))
    missing = [model for model in models if model.source == UNKNOWN and model.todo != 0]
    reason = None
    if missing:
        more = f" (and {len(missing) - 1} more models)" if len(missing) > 1 else ""
        reason = f"model {missing[0].model}: {missing[0].problem or missing[0].basis}{more}"
    if simulation is None and reason is None:  # all is answered
        simulation = Simulation(0.0, 0.0, (), 0, 0, 0, 0, gpus, 0.0, 0.0, 0.0)
    whole = simulation if reason is None else None
    hours = whole.makespan_s * gpus / 3600 if whole is not None else None
    whole_bill = bill(hours, gpus, accelerator, prices, paid, reason)
    return Forecast(
        job=job.name,
        suite=suite.name,
        samples=len(samples),
        gpus=gpus,
        cpus=sum(room.cpus for room in rooms),
        nodes=len(rooms),
        accelerator=accelerator,
        models=models,
        reason=reason,
        makespan_s=whole.makespan_s if whole is not None else None,
        idle=whole.idle if whole is not None and whole.makespan_s else None,
        loading=whole.loading if whole is not None and whole.makespan_s else None,
        gpu_hours=hours if gpus else None,
        leases=whole.leases if whole is not None else None,
        usd=whole_bill.usd,
        usd_reason=whole_bill.reason,
        usd_basis=whole_bill.basis,
        known=simulation if reason is not None else None,
        notes=(*notes, *over_budget(job, models)),
        budget=job.budget.usd if job.budget is not None else None,
    )


def _told(line: _Line, cost: Dollars | None) -> ModelForecast:
    behaviour, played = line.behaviour, line.played
    return ModelForecast(
        model=line.spec.name,
        todo=None if line.todo is None else len(line.todo),
        resumed=line.resumed,
        need=line.need,
        rate=None if behaviour is None else 1 / behaviour.seconds_each,
        source=UNKNOWN if behaviour is None else line.rate.source,
        basis=" ".join(line.rate.basis.split()),
        leases=played.leases if played is not None else None,
        begins_s=played.first_s if played is not None else None,
        ends_s=played.end_s if played is not None else None,
        replicas=played.replicas if played is not None else None,
        usd=cost.usd if cost is not None else None,
        usd_reason=cost.reason if cost is not None else None,
        problem=" ".join(str(line.error).split()) if line.error is not None else None,
        exit_code=line.error.exit_code if line.error is not None else 0,
        api=line.api,
        budget=line.spec.budget.usd if line.spec.budget is not None else None,
        spent_usd=line.spent,
    )
