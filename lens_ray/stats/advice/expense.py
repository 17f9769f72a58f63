"""What each model costs to ask, and which are cheaper than another: `Expense`, `cheaper_than`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lens_ray.stats.advice.fit import memory_gb
from lens_ray.stats.costs import Cost

#: A saving of less than a tenth is none.
_CHEAPER = 0.9
#: Median latencies are taken for a difference of size only from this ratio on: they depend on how
#: loaded the backend was.
_SLOWER = 1.5


@dataclass(frozen=True, slots=True)
class Expense:
    """What is known of the effort of one model.

    Attributes:
        usd_per_1000: Dollars for 1,000 answers; None is unknown.
        latency_s: Median seconds of an answer; None is unknown.
        parameters: How many it has; None is unknown.
        memory_gb: What it needs of a GPU; None is unknown.
    """

    usd_per_1000: float | None = None
    latency_s: float | None = None
    parameters: float | None = None
    memory_gb: float | None = None


def expense_of(cost: Cost, facts: Mapping[str, object]) -> Expense:
    """From a run's costs and the facts of its commit."""
    given = facts.get("parameters")
    try:
        parameters = float(str(given)) if given is not None else None
    except ValueError:
        parameters = None
    return Expense(cost.usd_per_1000, cost.latency_s, parameters, memory_gb(facts)[0])


def cheaper_than(
    model: str, expenses: Mapping[str, Expense]
) -> tuple[str | None, dict[str, float]]:
    """The models that cost less than one, with the share of its cost that each takes.

    Args:
        model: The one.
        expenses: Of all.

    Returns:
        What was compared, the first of ``dollars``, ``parameters`` and ``latency`` by which one is
        cheaper, and the shares; None and nothing where no model is known to be cheaper.
    """
    for basis, name, most in (
        ("dollars", "usd_per_1000", _CHEAPER),
        ("parameters", "parameters", _CHEAPER),
        ("latency", "latency_s", 1 / _SLOWER),
    ):
        own: float | None = getattr(expenses[model], name)
        if not own:
            continue
        shares = {
            other: value / own
            for other, expense in expenses.items()
            if other != model and (value := getattr(expense, name)) is not None
        }
        less = {other: share for other, share in shares.items() if share < most}
        if less:
            return basis, less
        if shares:  # this is what they are compared by, and none is cheaper
            return None, {}
    return None, {}
