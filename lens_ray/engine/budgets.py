"""What a job's budgets mean for its models: prices that are known, hours that count.

A budget without a price is an error: what nobody can count, nobody can limit.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lens_ray.engine.api_forecast import token_dollars
from lens_ray.engine.entries import Entry
from lens_ray.engine.plan import Budgets, run_id_of
from lens_ray.engine.planner import Room
from lens_ray.engine.rooms import accelerator_of
from lens_ray.engine.till import spent_on
from lens_ray.errors import LensError, UserError
from lens_ray.job import JobSpec
from lens_ray.models import backend_entry
from lens_ray.models.api.options import ApiOptions, TokenPrices
from lens_ray.models.identity import identify
from lens_ray.models.spec import ModelSpec
from lens_ray.prices import CPU, Dollars, Prices
from lens_ray.store import Store
from lens_ray.suites.suite import Suite


@dataclass(frozen=True, slots=True)
class Rates:
    """What the replicas of a job's models cost by the hour.

    Attributes:
        hourly: US dollars an hour of one replica, by the name of the model.
        notes: What is not counted, in lines.
    """

    hourly: Mapping[str, float]
    notes: tuple[str, ...] = ()


def with_price(spec: ModelSpec, prices: Prices) -> ModelSpec:
    """A model of a provider with its price in its options, so that every node counts alike."""
    options = spec.parsed_options()
    known = prices.api(spec.path)
    if not isinstance(options, ApiOptions) or options.price is not None or known is None:
        return spec
    price = {name: getattr(known, name) for name in TokenPrices.model_fields}
    price["source"] = f"{prices.file}, {known.date.isoformat()}"
    return spec.model_copy(update={"options": {**spec.options, "price": price}})


def check_budgets(
    job: JobSpec, entries: Sequence[Entry], rooms: Sequence[Room], prices: Prices
) -> Rates | None:
    """Prices of all that a job's budgets limit; None where it has no budget.

    Args:
        job: The job.
        entries: Its models.
        rooms: Machines of the cluster.
        prices: What things cost.

    Raises:
        UserError: Something that is limited has no price.
    """
    if job.budget is None and all(entry.spec.budget is None for entry in entries):
        return None
    named = job.budget.accelerator if job.budget is not None else None
    accelerator = named or accelerator_of(rooms)
    hourly: dict[str, float] = {}
    notes = []
    counted = False
    for entry in entries:
        spec = entry.spec
        if entry.error is not None or (job.budget is None and spec.budget is None):
            continue
        if not backend_entry(spec.backend).needs_checkpoint:
            check_price(spec, prices)
            counted = True
            continue
        found = _hour(entry, accelerator, prices)
        if found.usd is not None:
            hourly[spec.name], counted = found.usd, True
        elif spec.budget is not None or (entry.need is not None and entry.need.gpus):
            raise UserError(
                f"model {spec.name} has no price for its budget: {found.reason}; write budget: "
                "{usd: ..., accelerator: NAME}, or give a price table by LENS_RAY_PRICES=FILE"
            )
        else:
            notes.append(
                f"{spec.name}: the price table has no {CPU}, so that its CPU hours are not in "
                "the budget"
            )
    if not counted:
        raise UserError(
            f"job {job.name} has a budget, and nothing in it has a price: {notes[0]}"
            if notes
            else f"job {job.name} has a budget, and none of its models can be asked"
        )
    return Rates(hourly, tuple(notes))


def budgets_of(
    job: JobSpec,
    rates: Rates,
    todo: Sequence[Entry],
    others: Sequence[Entry],
    store: Store,
    suite: Suite,
) -> Budgets:
    """The budgets as the engine takes them.

    Args:
        job: The job.
        rates: Of `check_budgets`.
        todo: Models that are to be asked, in the order of the plan.
        others: Models of which nothing is to be asked now.
        store: Where their runs are.
        suite: What is asked.
    """
    numbers = {entry.spec.name: number for number, entry in enumerate(todo)}
    before = 0.0
    if job.budget is not None:
        before = sum(spent_on(entry.log) for entry in others if entry.log is not None)
        before += _spent_elsewhere(job, store, suite)
    return Budgets(
        session=uuid.uuid4().hex[:12],
        job=job.budget.usd if job.budget is not None else None,
        models={
            number: entry.spec.budget.usd
            for number, entry in enumerate(todo)
            if entry.spec.budget is not None
        },
        hourly={numbers[name]: usd for name, usd in rates.hourly.items() if name in numbers},
        before=before,
    )


def _spent_elsewhere(job: JobSpec, store: Store, suite: Suite) -> float:
    """By models of the job's file that are not asked in this start (``--only``)."""
    known = {header.run_id for header in store.runs()}
    total = 0.0
    for spec in job.rest:
        try:
            run_id = run_id_of(spec, identify(spec), suite.digest)
        except LensError:  # its checkpoint is gone, and with it the name of its run
            continue
        if run_id in known:
            total += spent_on(store.run(run_id))
    return total


def check_price(spec: ModelSpec, prices: Prices) -> None:
    """Refuse a budget for answers whose price is not known.

    Args:
        spec: A model without a checkpoint.
        prices: What things cost.

    Raises:
        UserError: There is no price.
    """
    options = spec.parsed_options()
    if not isinstance(options, ApiOptions):
        return  # its rows say what they cost
    batch = options.mode == "batch"
    found = token_dollars(spec, prices, 0, 0, batch=batch)
    if found.usd is None:
        raise UserError(
            f"model {spec.name} has no price for its budget: {found.reason}; write options: "
            "{price: {input: ..., output: ...}} in US dollars a million tokens"
            + (", batch_input and batch_output too" if batch else "")
        )


def _hour(entry: Entry, accelerator: str, prices: Prices) -> Dollars:
    """Of one replica that hosts a model."""
    if entry.need is None:
        return Dollars(None, "what it needs is not known")
    if entry.need.gpus:
        if not accelerator:
            return Dollars(None, "what the GPUs are is not known")
        return prices.of_hours(accelerator, entry.need.gpus)
    return prices.of_hours(CPU, entry.need.cpus)
