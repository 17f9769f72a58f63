"""Which model to take: `advise`.

The score is a weighted sum of the abilities' corrected scores; hard needs exclude models; what is
left is ranked with the probability of being best. See the modules beside this one for each step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lens_ray.stats.advice.best import Judged, judge
from lens_ray.stats.advice.combine import Combination, cascade, route
from lens_ray.stats.advice.expense import Expense, expense_of
from lens_ray.stats.advice.fit import (
    Check,
    at_most,
    fit_of,
    static_checks,
)
from lens_ray.stats.advice.grounds import Grounds
from lens_ray.stats.advice.more_samples import Evaluation
from lens_ray.stats.advice.needs import Needs
from lens_ray.stats.advice.options import first, in_rank, option_of, why_none, with_front
from lens_ray.stats.advice.result import Advice, Option
from lens_ray.stats.advice.undecided import could_gain, evaluations
from lens_ray.stats.clustered import FEW_CLUSTERS
from lens_ray.stats.costs import Cost, costs_of
from lens_ray.stats.joint import REPLICATES
from lens_ray.stats.marks import COLUMNS, Marks
from lens_ray.stats.side_by_side import marks_side_by_side

if TYPE_CHECKING:
    import pyarrow as pa

    from lens_ray.prices import Prices
    from lens_ray.store import Store

#: Rows of some models, by name.
RowsOf = Callable[[Sequence[str]], Mapping[str, "pa.Table"]]


def advise(
    store: Store | str,
    needs: Needs | None = None,
    *,
    models: Sequence[str] | None = None,
    suite: str | None = None,
    on: str = "all",
    prices: Prices | None = None,
    level: float = 0.95,
    replicates: int = REPLICATES,
) -> Advice:
    """Advise on the models of a store.

    Args:
        store: The store or its URL.
        needs: What is needed; None weighs the six abilities alike.
        models: Names of models or ids of runs; None takes all that were asked the same, and notes
            which were not.
        suite: See `lens_ray.stats.choose.choose_runs`.
        on: See `lens_ray.stats.marks.load_marks`.
        prices: For costs that rows do not carry; None takes the usual table.
        level: Of intervals and of the set of possible best models.
        replicates: Of the joint bootstrap.

    Raises:
        UserError: Needs of abilities that were not asked, or runs that cannot be compared.
        StoreUnavailable: The store is out of reach or damaged.
    """
    from lens_ray.store import open_store

    wanted = needs or Needs()
    store = open_store(store)
    marks, left_out = marks_side_by_side(store, models, suite=suite, on=on)
    said = marks.notes
    absent = tuple(f"{each.model} left out: {each.reason}" for each in left_out)
    marks = replace(marks, notes=said + absent)
    ids = [run.run_id for run in marks.runs]
    costs = costs_of(store, marks.runs, prices=prices, accelerator=wanted.accelerator)
    facts = store.facts(ids)
    by_model = dict(zip(marks.models, marks.runs, strict=True))

    def rows_of(names: Sequence[str]) -> dict[str, pa.Table]:
        import pyarrow.compute as pc

        chosen = [by_model[name].run_id for name in names]
        read = store.rows(chosen, columns=("run_id", "confidence", *COLUMNS))
        return {
            name: read.filter(pc.equal(read["run_id"], run_id))
            for name, run_id in zip(names, chosen, strict=True)
        }

    return advice_on(
        # Of runs that were cut to what is common, the scores' n says nothing.
        Grounds.of(marks, wanted, replicates, {} if said else _answered(store, ids)),
        {
            name: static_checks(wanted, run, facts.get(run.run_id, {}), costs[run.run_id])
            for name, run in by_model.items()
        },
        {
            name: expense_of(costs[run.run_id], facts.get(run.run_id, {}))
            for name, run in by_model.items()
        },
        {name: costs[run.run_id] for name, run in by_model.items()},
        rows_of,
        level,
    )


def advice_on(
    grounds: Grounds,
    static: Mapping[str, tuple[Check, ...]],
    expenses: Mapping[str, Expense],
    costs: Mapping[str, Cost],
    rows_of: RowsOf,
    level: float = 0.95,
) -> Advice:
    """The advice, from what was read.

    Args:
        grounds: Marks, needs and replicates.
        static: By model: its needs that do not depend on scores.
        expenses: By model.
        costs: By model, where they are known.
        rows_of: Reads the rows of models, with their confidence.
        level: See `advise`.
    """
    needs, marks = grounds.needs, grounds.marks
    judged = judge(
        grounds.draws, grounds.figures, grounds.weights, min_score=needs.min_score,
        eligible=[fit_of(static[name]) != "missed" for name in marks.models], level=level,
    )  # fmt: skip
    options = with_front(
        [
            option_of(grounds, judged, place, static[name], expenses[name], costs.get(name), level)
            for place, name in enumerate(marks.models)
        ]
    )
    recommended = first(options, "met")
    leader = recommended or first(options, "undecided")
    field = grounds.field(expenses)
    rivals = [each.model for each in options if each.possible and each.model != leader]
    error = _error(judged, marks, leader, level)
    gains = could_gain(field, leader, rivals, error) if leader else {}
    options = in_rank([replace(each, could_gain=gains.get(each.model)) for each in options])
    ahead = [each.model for each in options if gains.get(each.model, 0.0) > needs.indifference]
    plans = evaluations(
        field, leader, ahead, _needed(options, needs), error=error, bar_error=1 - needs.sure,
        indifference=needs.indifference,
    )  # fmt: skip
    return Advice(
        suite=marks.suite,
        suite_digest=marks.suite_digest,
        level=level,
        needs=needs,
        weights=field.weights,
        recommended=recommended,
        reason=None if recommended else why_none(options),
        none_meets=judged.none,
        options=tuple(options),
        undecided=tuple(_undecided(options, leader, ahead)),
        next_evaluation=_next(plans, leader, ahead, recommended is not None),
        evaluations=tuple(plans),
        combinations=_combinations(grounds, options, leader, expenses, rows_of),
        notes=(*marks.notes, *_notes(grounds)),
    )


def _error(judged: Judged, marks: Marks, leader: str | None, level: float) -> float:
    """The one-sided error of one comparison with the leader, that of all together being given."""
    from scipy.special import ndtr

    limit = np.nan if leader is None else judged.limits[marks.place(leader)]
    return 1 - level if np.isnan(limit) else float(ndtr(-limit))


def _answered(store: Store, ids: Sequence[str]) -> dict[str, int]:
    """Samples that a model answered, by ability: the most of any run."""
    found: dict[str, int] = {}
    for row in store.scores(list(ids)).select(["ability", "n"]).to_pylist():
        found[row["ability"]] = max(found.get(row["ability"], 0), row["n"])
    return found


def _needed(options: Sequence[Option], needs: Needs) -> list[tuple[str, str, float]]:
    """Undecided scores of models that may be the best, best first."""
    return [
        (each.model, ability, least)
        for each in options
        for ability, least in needs.min_score.items()
        for check in each.checks
        if each.possible
        and check.need == f"min_score.{ability}"
        and check.verdict == "undecided"
        and check.found is not None
    ]


def _undecided(options: Sequence[Option], leader: str | None, ahead: Sequence[str]) -> list[str]:
    """What the data do not decide."""
    found = [
        f"whether {name} is better than {leader}: it may be ahead by up to {each.could_gain:.3f}"
        for each in options
        for name in (each.model,)
        if name in ahead
    ]
    for each in options:
        found += [
            f"whether {each.model} meets {check.need} ({check.wanted}): "
            f"{check.reason or 'not known'}"
            for check in each.checks
            if check.verdict == "undecided" and (each.possible or each.model == leader)
        ]
    return found


def _next(
    plans: Sequence[Evaluation], leader: str | None, ahead: Sequence[str], chosen: bool
) -> Evaluation | None:
    """The cheapest evaluation that decides: which model, or first whether one meets the needs."""
    whole = {leader, *ahead} if chosen else None
    for plan in plans:
        if (set(plan.models) == whole and plan.gain is not None) or (
            not chosen and plan.gain is None
        ):
            return plan
    return None


def _combinations(
    grounds: Grounds,
    options: Sequence[Option],
    leader: str | None,
    expenses: Mapping[str, Expense],
    rows_of: RowsOf,
) -> tuple[Combination, ...]:
    """Routing and cascade of the models that may be used at all."""
    hard = {"access", "on_site", "gpu_memory_gb"}
    usable = [
        each.model
        for each in options
        if each.score is not None
        and not any(c.verdict == "missed" and c.need in hard for c in each.checks)
    ]
    if leader is None or len(usable) < 2:
        return ()
    marks, needs = grounds.marks.only(usable), grounds.needs
    known = {name: expenses[name] for name in usable}
    found = (
        route(marks, leader, grounds.weights, known, needs.indifference),
        cascade(marks, leader, rows_of, grounds.weights, known, needs.indifference),
    )
    return tuple(replace(each, checks=_together(each, needs, known)) for each in found)


def _together(
    found: Combination, needs: Needs, expenses: Mapping[str, Expense]
) -> tuple[Check, ...]:
    """The limits that models together must keep, too."""
    if not found.models:
        return ()
    sizes = [expenses[name].memory_gb for name in set(found.models.values())]
    memory = None if None in sizes else sum(size or 0.0 for size in sizes)
    limits = (
        ("max_usd_per_1000", needs.max_usd_per_1000, found.usd_per_1000, "what the models cost"),
        ("max_latency_s", needs.max_latency_s, found.latency_s, "how long the models take"),
        ("gpu_memory_gb", needs.gpu_memory_gb, memory, "what the models' weights take"),
    )
    return tuple(
        at_most(need, limit, value, f"{what} is not known" if value is None else None)
        for need, limit, value, what in limits
        if limit is not None
    )


def _notes(grounds: Grounds) -> list[str]:
    """What a reader should know of the ground."""
    marks: Marks = grounds.marks
    found = []
    if len(marks.models) == 1:
        found.append("there is one model only, so it is compared with none")
    for name, weight in grounds.weights.items():
        if weight > 0:
            mine = marks.of("ability", [name])
            if mine.clusters < FEW_CLUSTERS:
                found.append(
                    f"{name} has {mine.clusters} independent images only: "
                    f"its intervals need {FEW_CLUSTERS} to be trusted"
                )
    return found
