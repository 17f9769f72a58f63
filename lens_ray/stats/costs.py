"""What a model's answers cost and how long one takes: `costs_of`.

Dollars are those of the answers that were stored, never of a forecast:

* where the rows carry their price (paid backends), its sum over all rows;
* where a model was served by an API whose rows carry none, its tokens at the table's price;
* where it was hosted, the seconds that its replicas had work, times what they stood on
  (accelerators, or CPU cores where the table has a price of ``CPU``), at the table's price.

Starting, idle machines and storage are not in it. Unknown is None with a reason, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.prices import CPU, Dollars, Prices, load_prices
from lens_ray.stats.frames import Framed
from lens_ray.stats.marks import by_run
from lens_ray.stats.units import FINAL, Floats

if TYPE_CHECKING:
    from lens_ray.store import RunHeader, Store

#: Columns of the rows that are read.
COLUMNS = ("status", "latency_s", "cost_usd", "tokens_in", "tokens_out")
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Cost(Framed):
    """What one run's answers cost.

    Attributes:
        run_id: The run.
        model: Its model.
        answers: Rows with a final answer.
        usd_per_1000: US dollars for 1,000 answers; None with a reason.
        basis: Of what and at whose price; None where it is unknown.
        reason: Why ``usd_per_1000`` is None.
        latency_s: Median seconds from the call to the answer, as the backend was loaded then.
        latency_reason: Why ``latency_s`` is None.
    """

    run_id: str
    model: str
    answers: int
    usd_per_1000: float | None
    basis: str | None
    reason: str | None
    latency_s: float | None
    latency_reason: str | None


def costs_of(
    store: Store,
    runs: Sequence[RunHeader],
    *,
    prices: Prices | None = None,
    accelerator: str | None = None,
) -> dict[str, Cost]:
    """The cost of some runs.

    Args:
        store: Where their rows are.
        runs: Which.
        prices: What accelerators and tokens cost; None takes the usual table
            (`lens_ray.prices.load_prices`).
        accelerator: What the GPUs were, for runs that do not say it.

    Returns:
        By run id.

    Raises:
        UserError: The usual price table cannot be read.
        StoreError: There is no such run.
        StoreUnavailable: The store is out of reach or damaged.
    """
    if not runs:
        return {}
    table = load_prices() if prices is None else prices
    ids = [run.run_id for run in runs]
    rows = store.rows(ids, columns=("run_id", *COLUMNS))
    facts = store.facts(ids)
    return {
        run.run_id: cost_of(run, mine, facts.get(run.run_id, {}), table, accelerator)
        for run, mine in zip(runs, by_run(rows, ids), strict=True)
    }


def cost_of(
    run: RunHeader,
    rows: pa.Table,
    facts: Mapping[str, object],
    prices: Prices,
    accelerator: str | None = None,
) -> Cost:
    """The cost of one run.

    Args:
        run: The run.
        rows: Its rows (`COLUMNS`).
        facts: Of its latest commit.
        prices: See `costs_of`.
        accelerator: See `costs_of`.
    """
    final = rows.filter(pc.is_in(rows["status"], value_set=pa.array(FINAL)))
    answers = final.num_rows
    waits = _known(final["latency_s"])
    latency = float(np.median(waits)) if len(waits) else None
    spent = _spent(run, rows, final, facts, prices, accelerator)
    return Cost(
        run_id=run.run_id,
        model=run.model,
        answers=answers,
        usd_per_1000=None if spent.usd is None else 1000 * spent.usd,
        basis=spent.basis,
        reason=spent.reason,
        latency_s=latency,
        latency_reason=None if latency is not None else "no row says how long its answer took",
    )


def _spent(
    run: RunHeader,
    rows: pa.Table,
    final: pa.Table,
    facts: Mapping[str, object],
    prices: Prices,
    accelerator: str | None,
) -> Dollars:
    """Dollars of one answer."""
    answers = final.num_rows
    if not answers:
        return Dollars(None, "no sample has an answer")
    priced = len(_known(final["cost_usd"]))
    if priced == answers:
        # What failed was paid, too, where its row says so.
        total = float(_known(rows["cost_usd"]).sum())
        return Dollars(total / answers, basis="what the rows say was paid")
    if priced:
        return Dollars(None, f"{answers - priced:,} of {answers:,} answers have no price")
    if prices.api(run.backend_path) is not None:
        return _of_tokens(run.backend_path, final, prices)
    return _of_replicas(facts, prices, accelerator)


def _of_tokens(model: str, final: pa.Table, prices: Prices) -> Dollars:
    lacking = sum(final[name].null_count for name in ("tokens_in", "tokens_out"))
    if lacking:
        return Dollars(None, "rows without a price lack the number of their tokens")
    tokens = [pc.mean(final[name]).as_py() for name in ("tokens_in", "tokens_out")]
    found = prices.of_tokens(model, *tokens)
    return Dollars(found.usd, found.reason, found.basis and f"tokens at {found.basis}")


def _of_replicas(facts: Mapping[str, object], prices: Prices, accelerator: str | None) -> Dollars:
    """Of the seconds that replicas had work, on what they stood on."""
    answered, seconds = _number(facts, "answered"), _number(facts, "replica_s")
    if not answered or seconds is None:
        return Dollars(None, "the rows have no price and the run no measured replica seconds")
    gpus = _number(facts, "gpus")
    if gpus is None:  # runs of earlier versions
        on_gpu = str(facts.get("device", "")).startswith("cuda")
        gpus = _number(facts, "tensor_parallel") or 1.0 if on_gpu else 0.0
    hours = seconds / _HOUR / answered
    if not gpus:
        cores = _number(facts, "threads") or 1.0
        found = prices.of_hours(CPU, hours * cores)
        why = "no GPU was used; for CPU cores give a price table with an accelerator named CPU"
        return Dollars(found.usd, found.reason and why, _on(cores, CPU, found.basis))
    name = str(facts.get("accelerator") or accelerator or "")
    if not name:
        return Dollars(None, "what the GPUs are is not known; type --accelerator NAME")
    found = prices.of_hours(name, hours * gpus)
    return Dollars(found.usd, found.reason, _on(gpus, name, found.basis))


def _on(count: float, name: str, basis: str | None) -> str | None:
    return basis and f"measured replica seconds on {count:g} x {name} at {basis}"


def _known(column: pa.ChunkedArray) -> Floats:
    """The finite values of a column."""
    values: Floats = pc.drop_null(column).to_numpy()
    return values[np.isfinite(values)]


def _number(facts: Mapping[str, object], name: str) -> float | None:
    """A fact as a number; backends write some of theirs as text."""
    value = facts.get(name)
    try:
        found = float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None
    return found if found is not None and np.isfinite(found) and found >= 0 else None
