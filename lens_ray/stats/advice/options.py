"""One model in the light of the needs: `option_of`, and what follows from all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lens_ray.stats.advice.best import Judged
from lens_ray.stats.advice.expense import Expense
from lens_ray.stats.advice.fit import Check, Verdict, fit_of, score_checks
from lens_ray.stats.advice.grounds import Grounds
from lens_ray.stats.advice.pareto import front
from lens_ray.stats.advice.result import Option
from lens_ray.stats.costs import Cost
from lens_ray.stats.units import Floats

#: Steps in which instability (tau) and latency are compared for the front.
_UNSTEADY_STEP = 0.05
_LATENCY_STEP = 1.25
_LEAST_S = 1e-6
_ORDER: dict[Verdict, int] = {"met": 0, "undecided": 1, "missed": 2}


def option_of(
    grounds: Grounds,
    judged: Judged,
    place: int,
    static: tuple[Check, ...],
    expense: Expense,
    cost: Cost | None,
    level: float,
) -> Option:
    """One model.

    Args:
        grounds: Of the advice.
        judged: All models.
        place: Its number.
        static: Its needs that do not depend on scores.
        expense: What it costs.
        cost: The same with reasons.
        level: Of the interval.
    """
    marks = grounds.marks
    run = marks.runs[place] if marks.runs else None
    scores = {
        name: known(grounds.values[place, column]) for column, name in enumerate(grounds.abilities)
    }
    checks = (*static, *score_checks(grounds.needs, judged, place, scores))
    score = known(judged.score[place])
    bounds = (None, None) if score is None else grounds.interval(place, level)
    return Option(
        model=marks.models[place],
        run_id=run.run_id if run else None,
        access=run.access if run else None,
        fit=fit_of(checks),
        checks=checks,
        score=score,
        ci_low=bounds[0],
        ci_high=bounds[1],
        best=None if score is None else known(judged.best[place]),
        possible=bool(judged.possible[place]),
        regret=None if score is None else known(judged.regret[place]),
        could_gain=None,
        abilities=scores,
        instability=known(grounds.instability[place]),
        usd_per_1000=expense.usd_per_1000,
        usd_reason=cost.reason if cost else "no run says what its answers cost",
        latency_s=expense.latency_s,
        memory_gb=expense.memory_gb,
        front=None,
        reason=None if score is not None else _no_score(grounds, place),
    )


def with_front(options: Sequence[Option]) -> list[Option]:
    """The options, those with a score that miss no need placed on or off the Pareto front.

    Instability and latency are measured roughly: they are compared in steps.
    """
    here = [each for each in options if each.score is not None and each.fit != "missed"]

    def axis(name: str) -> Floats:
        values = [getattr(each, name) for each in here]
        return np.array([np.nan if value is None else value for value in values], dtype=float)

    unsteady = np.round(axis("instability") / _UNSTEADY_STEP)
    slow = np.round(np.log(np.maximum(axis("latency_s"), _LEAST_S)) / np.log(_LATENCY_STEP))
    on = front([axis("score"), -unsteady, -axis("usd_per_1000"), -slow])
    placed = {each.model: bool(found) for each, found in zip(here, on.tolist(), strict=True)}
    return [replace(each, front=placed.get(each.model)) for each in options]


def first(options: Sequence[Option], fit: Verdict) -> str | None:
    """The model with the highest score of those with a fit."""
    here = [each for each in options if each.fit == fit and each.score is not None]
    return max(here, key=lambda each: each.score or 0.0).model if here else None


def in_rank(options: Sequence[Option]) -> list[Option]:
    """Best first; what misses a need after what does not, what has no score last."""

    def order(each: Option) -> tuple[bool, bool, float]:
        score = -np.inf if each.score is None else each.score
        return each.score is None, each.fit == "missed", -score

    return sorted(options, key=order)


def why_none(options: Sequence[Option]) -> str:
    """Why no model can be recommended."""
    scored = [each for each in options if each.score is not None]
    if not scored:
        return f"no model has a score: {options[0].reason}"
    near = min(scored, key=lambda each: (_ORDER[each.fit], _misses(each), -(each.score or 0.0)))
    what = "; ".join(_said(check) for check in near.checks if check.verdict == near.fit)
    if near.fit == "undecided":
        return f"no model surely meets every need; {near.model} may: {what}"
    best = f"{near.model}, the best of those that miss fewest, misses {what}"
    return f"no model meets every need; {best}"


def known(value: float) -> float | None:
    """A figure, None where it is not known."""
    return float(value) if np.isfinite(value) else None


def _misses(option: Option) -> int:
    return sum(check.verdict == "missed" for check in option.checks)


def _said(check: Check) -> str:
    found = f"found {check.found}" if check.found is not None else "not known"
    because = f" ({check.reason})" if check.reason else ""
    return f"{check.need} {check.wanted}, {found}{because}"


def _no_score(grounds: Grounds, place: int) -> str:
    for name, weight in grounds.weights.items():
        if weight > 0 and name in grounds.figures.reasons:
            return grounds.figures.reasons[name]
        column = grounds.abilities.index(name)
        if weight > 0 and np.isnan(grounds.values[place, column]):
            return f"no answered sample in a subtask of {name}"
    return "it has no score"
