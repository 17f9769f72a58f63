"""What a policy's rules read of a store: `Ground`, `load_ground`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.errors import UserError
from lens_ray.stats.choose import choose_runs, labels_of
from lens_ray.stats.costs import Cost, costs_of
from lens_ray.stats.gate.kept import kept_marks
from lens_ray.stats.gate.policy import Policy, Stability
from lens_ray.stats.marks import Marks, NotComparable, load_marks
from lens_ray.stats.pool import Pool
from lens_ray.stats.pool_making import choose_pool
from lens_ray.stats.units import FINAL

if TYPE_CHECKING:
    from lens_ray.store import RunHeader, Store

#: Columns of the rows that bounds on shares are counted in.
_COLUMNS = ("ability", "status", "cluster_id")


@dataclass(frozen=True)
class Ground:
    """The candidate, the baseline, and what is known of both.

    Attributes:
        candidate: Label of the candidate.
        baseline: Label of the baseline; None where no rule compares.
        runs: Their runs, the candidate's first; empty where the marks come from no store.
        abilities: Of the suite, in their usual order.
        marks: Of one or both; None with a reason.
        reason: Why there are no marks.
        unfinished: Why nothing can be counted yet, or None.
        rows: Final rows of the candidate: ability, status, cluster_id.
        coverage: Share of the expected samples with an answer, by ability and ``overall``.
        cost: What the candidate's answers cost; None where no rule asks.
        pool: Against which DVS and RES are measured.
        kept: How often both models kept their answers (`lens_ray.stats.gate.kept`), or why that is
            not known, by the variants that a rule names.
    """

    candidate: str
    baseline: str | None
    runs: tuple[RunHeader, ...]
    abilities: tuple[str, ...]
    marks: Marks | None
    reason: str | None = None
    unfinished: str | None = None
    rows: pa.Table | None = None
    coverage: Mapping[str, float | None] | None = None
    cost: Cost | None = None
    pool: Pool | None = None
    kept: Mapping[tuple[str, ...] | None, Marks | str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What seeds the bootstraps."""
        return "gate/" + "/".join(run.run_id for run in self.runs)


def load_ground(store: Store, policy: Policy) -> Ground:
    """Read what the rules of a policy need.

    Args:
        store: Where the runs are.
        policy: With its candidate, and its baseline where a rule compares.

    Raises:
        UserError: A model is not named or unknown, or the suite is not decided.
        StoreUnavailable: The store is out of reach or damaged.
    """
    names = _named(policy)
    runs = choose_runs(store, names, suite=policy.suite)
    labels = labels_of(runs)
    marks, reason = None, None
    try:
        marks = load_marks(store, names, suite=policy.suite, on=policy.on)
    except NotComparable as error:
        reason = str(error).replace("add --on common", "write on: common in the policy")
    first = runs[0]
    rows = store.rows([first.run_id], columns=_COLUMNS)
    scores = store.scores([first.run_id]).to_pylist()
    kinds = {rule.kind for rule in policy.rules}
    priced = kinds & {"max_usd_per_1000", "max_latency_s"}
    return Ground(
        candidate=labels[0],
        baseline=labels[1] if len(labels) > 1 else None,
        runs=tuple(runs),
        abilities=_abilities(store, first, marks),
        marks=marks,
        reason=reason,
        unfinished=_unfinished(store, first),
        rows=rows.filter(pc.is_in(rows["status"], value_set=pa.array(FINAL))),
        coverage={score["ability"]: score["coverage"] for score in scores},
        cost=costs_of(store, [first], accelerator=policy.accelerator)[first.run_id]
        if priced
        else None,
        pool=choose_pool(policy.pool, first.suite, first.suite_digest)
        if "stability" in kinds
        else None,
        kept={
            variants: kept_marks(store, runs, labels, variants)
            for variants in {
                rule.value.variants
                for rule in policy.rules
                if isinstance(rule.value, Stability) and rule.value.kind == "consistency"
            }
        },
    )


def _unfinished(store: Store, run: RunHeader) -> str | None:
    for header, state in store.states():
        if header.run_id == run.run_id and state.commit is None:
            return f"{run.model} is not finished: {state.rows:,} rows so far"
    return None


def _named(policy: Policy) -> list[str]:
    """The candidate and, where a rule compares, the baseline."""
    if policy.candidate is None:
        raise UserError(
            f"policy {policy.name} names no candidate; write candidate: MODEL or add --candidate"
        )
    comparing = [rule.kind for rule in policy.rules if rule.compares]
    if not comparing:
        return [policy.candidate]
    if policy.baseline is None:
        raise UserError(
            f"policy {policy.name} names no baseline, which its rule {comparing[0]} needs; write "
            "baseline: MODEL or add --baseline"
        )
    return [policy.candidate, policy.baseline]


def _abilities(store: Store, run: RunHeader, marks: Marks | None) -> tuple[str, ...]:
    """The abilities of a run's suite."""
    from lens_ray.stats.abilities import in_order

    found = {ability for ability, _ in marks.strata} if marks is not None else set()
    for facts in store.suites():
        weights = facts.get("weights")
        if facts.get("digest") == run.suite_digest and isinstance(weights, Mapping):
            found |= set(weights)
    return tuple(in_order(found))
