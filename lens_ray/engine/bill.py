"""The dollars of a plan: what its parts cost together, and which budgets that will reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lens_ray.engine.api_forecast import ApiForecast
from lens_ray.job import JobSpec
from lens_ray.models import backend_entry
from lens_ray.models.spec import FakeOptions, ModelSpec
from lens_ray.prices import Dollars, Prices

if TYPE_CHECKING:
    from lens_ray.engine.forecast import ModelForecast


def paid_answers(spec: ModelSpec, todo: int, api: ApiForecast | None) -> Dollars | None:
    """Of a model's answers that cost money; None where they do not.

    Args:
        spec: The model.
        todo: Samples that it has to answer.
        api: What it will take of its provider.
    """
    options = spec.parsed_options()
    if isinstance(options, FakeOptions):
        return Dollars(options.price_usd * todo, basis="script") if options.paid else None
    if backend_entry(spec.backend).needs_checkpoint:
        return None
    if api is None:
        return Dollars(None, f"what the backend {spec.backend} costs is not known here")
    if api.usd is None:
        return Dollars(None, api.usd_reason or api.problem or "it is not known")
    return Dollars(api.usd.expected, basis=api.usd_basis)


def bill(
    hours: float | None,
    gpus: float,
    accelerator: str,
    prices: Prices,
    paid: Sequence[Dollars | None],
    reason: str | None,
) -> Dollars:
    """All that a job costs; one unknown part makes the sum unknown.

    Args:
        hours: GPU-hours of the whole cluster; None is not known.
        gpus: Of the cluster.
        accelerator: What they are.
        prices: What they cost.
        paid: Of `paid_answers`, one a model.
        reason: Why the hours are not known.
    """
    parts = [one for one in paid if one is not None]
    if hours is None and (gpus or not parts):
        return Dollars(None, f"the makespan is not known: {reason}")
    if gpus and hours is not None:
        parts.append(prices.of_hours(accelerator, hours))
    if not parts:
        return Dollars(None, "no GPU and no paid model; machines without GPUs have no price here")
    unknown = next((part for part in parts if part.usd is None), None)
    if unknown is not None:
        return unknown
    bases = dict.fromkeys(part.basis for part in parts if part.basis)
    return Dollars(sum(part.usd or 0.0 for part in parts), basis="; ".join(bases))


def over_budget(job: JobSpec, models: Sequence[ModelForecast]) -> list[str]:
    """Lines about budgets that answers of providers will reach, or may."""
    lines = []
    low = high = 0.0
    for model in models:
        spent = model.spent_usd or 0.0
        usd = model.api.usd if model.api is not None else None
        least, most = (spent, spent) if usd is None else (spent + usd.low, spent + usd.high)
        low, high = low + least, high + most
        if model.budget is not None and most > model.budget:
            lines.append(_reached(f"{model.model}: its budget", model.budget, least, most))
    if job.budget is not None and high > job.budget.usd:
        lines.append(_reached("the budget of the job", job.budget.usd, low, high))
    return lines


def _reached(whose: str, budget: float, low: float, high: float) -> str:
    sure = "will" if low > budget else "may"
    return (
        f"{whose} of ${budget:g} {sure} be reached: ${low:.3g} to ${high:.3g} are expected, "
        "with what is spent already"
    )
