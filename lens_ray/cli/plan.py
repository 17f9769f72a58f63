"""``lens-ray plan``: what a job will take, before anything is spent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, StoreOverride
from lens_ray.cli.output import note, one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.engine.api_forecast import Likely
    from lens_ray.engine.forecast import Forecast, ModelForecast
    from lens_ray.engine.planner import Room

#: Cores of a machine that is not there, for each of its GPUs.
_CORES = 8.0


def plan(
    job: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job file.")],
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", min=0, metavar="N", help="Of a cluster that is not here."),
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option("--nodes", min=1, metavar="N", help="Its machines; left out, 8 GPUs each."),
    ] = None,
    accelerator: Annotated[
        str | None,
        typer.Option("--accelerator", metavar="NAME", help="What its GPUs are: H100, L4, ..."),
    ] = None,
    cpus: Annotated[
        int | None,
        typer.Option("--cpus", min=1, metavar="N", help="Cores of each machine."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="RAY", help="A running Ray; left out, this machine."),
    ] = None,
    store: StoreOverride = None,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help="A price table; wins over LENS_RAY_PRICES."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="At most N samples.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Samples, leases, makespan, GPU-hours and dollars, by simulation. Nothing is started."""
    from lens_ray.job import load_job

    spec = load_job(job, store=store)
    from lens_ray.engine.forecast import forecast
    from lens_ray.prices import load_prices

    rooms = _cluster(gpus, nodes, accelerator, cpus, address)
    table = load_prices(prices)
    told = forecast(spec, rooms=rooms, address=address, prices=table, limit=limit)
    if as_json:
        print_json({**_fields(told), "exit_code": told.exit_code})
    else:
        _print(told)
    if told.exit_code:
        first = next(model for model in told.models if model.problem)
        note(f"lens-ray: {first.problem}")
    raise typer.Exit(told.exit_code)


def _cluster(
    gpus: int | None,
    nodes: int | None,
    accelerator: str | None,
    cpus: int | None,
    address: str | None,
) -> tuple[Room, ...] | None:
    """The cluster that the options describe; None is the one that is there.

    Raises:
        UserError: They do not go together.
    """
    from lens_ray.errors import UserError

    if gpus is None:
        if nodes is not None or accelerator is not None or cpus is not None:
            raise UserError("--nodes, --cpus and --accelerator describe --gpus N; type that too")
        return None
    if address is not None:
        raise UserError("--gpus describes a cluster that is not here, and --address names one")
    from lens_ray.engine.rates import ACCELERATORS
    from lens_ray.engine.simulate import rooms_of

    if accelerator is not None and accelerator not in ACCELERATORS:
        note(f"lens-ray: nothing is known of the accelerator {accelerator}; its rate and memory")
    machines = nodes or max(1, -(-gpus // 8))
    cores = float(cpus) if cpus is not None else max(1.0, _CORES * -(-gpus // machines))
    return rooms_of(machines, gpus, cores, accelerator or "")


def _fields(told: Forecast) -> dict[str, object]:
    return {name: getattr(told, name) for name in told.__dataclass_fields__}


def _print(told: Forecast) -> None:
    columns = ("model", "todo", "resumed", "GPUs", "samples/s", "rate is", "replicas", "leases",
               "begins", "ends")  # fmt: skip
    print_table(columns, [_row(model) for model in told.models])
    print()
    for model in told.models:
        words = f"cannot run: {model.problem}" if model.problem else model.basis
        known = "" if model.api is not None and model.todo == 0 else f"{model.source}: "
        print(one_line(f"- {model.model}: {known}{words}"))
        for line in _of_provider(model):
            print(one_line(line))
    print()
    what = f"{told.gpus:g} GPUs{f' ({told.accelerator})' if told.accelerator else ''}, "
    print(f"cluster   {what}{told.cpus:g} CPUs, {told.nodes} machines")
    print(f"makespan  {_or_unknown(_time(told.makespan_s), told.reason)}")
    if told.known is not None:
        print(f"          {_time(told.known.makespan_s)} for the models whose rate is known")
    if told.idle is not None and told.loading is not None:
        print(f"idle      {told.idle:.1%} of the time, {told.loading:.1%} loading")
    if told.gpus:
        hours = f"{told.gpu_hours:.3g}" if told.gpu_hours is not None else None
        print(f"GPU-hours {_or_unknown(hours, told.reason)}")
    usd = f"{told.usd:{_form(told.usd)}} ({told.usd_basis})" if told.usd is not None else None
    print(f"dollars   {_or_unknown(usd, told.usd_reason)}")
    if told.budget is not None:
        print(f"budget    {told.budget:g}")
    for line in told.notes:
        print(one_line(f"- {line}"))


def _of_provider(model: ModelForecast) -> list[str]:
    """What a provider's model will take of it, in lines."""
    api = model.api
    if api is None or api.tokens_in is None or api.tokens_out is None:
        return []
    if not api.requests:
        return [] if model.budget is None else [_budget(model)]
    lines = [
        f"  {api.requests:,} requests; tokens in {_span(api.tokens_in, ',.0f')}: {api.in_basis}; "
        f"tokens out {_span(api.tokens_out, ',.0f')}: {api.out_basis}"
    ]
    if api.usd is None:
        return [*lines, f"  dollars unknown: {api.usd_reason}"]
    text = f"  ${_span(api.usd, '.4g')}; at most ${api.usd_most:.4g} is reserved"
    if api.usd_live is not None and api.usd_batch is not None:
        text += f"; one by one ${api.usd_live:.4g}, by batch ${api.usd_batch:.4g}"
    if model.budget is not None:
        text += f"; {_budget(model).strip()}"
    return [*lines, text]


def _budget(model: ModelForecast) -> str:
    return f"  budget ${model.budget:g}, ${model.spent_usd or 0:.4g} of it spent"


def _form(usd: float) -> str:
    return ".2f" if usd >= 1 else ".4f"


def _span(amount: Likely, form: str) -> str:
    return f"{amount.expected:{form}} ({amount.low:{form}} to {amount.high:{form}})"


def _row(model: ModelForecast) -> tuple[object, ...]:
    gpus = model.need.gpus if model.need is not None else None
    cells = (model.todo, model.resumed, gpus, model.rate, model.source)
    unknown = "unknown"
    begins, ends = _time(model.begins_s), _time(model.ends_s)
    shown = [unknown if cell is None else cell for cell in cells]
    return (model.model, *shown, model.replicas, model.leases, begins, ends)


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _or_unknown(text: str | None, reason: str | None) -> str:
    return one_line(text if text is not None else f"unknown: {reason}")
