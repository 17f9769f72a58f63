"""Advice in words that need no statistics: `advice_lines` and `option_rows`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lens_ray.stats.advice.combine import Combination
from lens_ray.stats.advice.more_samples import Evaluation
from lens_ray.stats.advice.result import Advice, Option

#: So many of the models that may be best, and of what is undecided, are named.
_NAMED = 5
#: A smaller loss is printed as none.
_LEAST_LOSS = 0.0005
COLUMNS = (
    "model", "needs", "score", "interval", "best", "may be best", "uneven", "$/1,000",
    "latency s", "front",
)  # fmt: skip
LEGEND = (
    "score: 0 is guessing, 1 is all right; best: probability of being the best;",
    "may be best: cannot be excluded from it; uneven: how far its subtasks lie apart, 0 is steady;",
    "front: no other is as good in score, steadiness, cost and latency and better in one of them.",
)


def heading(advice: Advice) -> str:
    """What was asked."""
    counts = ", ".join(f"{name} {weight:.0%}" for name, weight in advice.weights.items())
    many = len(advice.options)
    models = "1 model" if many == 1 else f"{many} models"
    return f"Advice on {models}, suite {advice.suite or '-'}. What counts: {counts}."


def option_rows(advice: Advice) -> list[tuple[object, ...]]:
    """One row a model, in the order of `COLUMNS`."""
    return [
        (
            each.model,
            each.fit if each.checks else None,
            each.score,
            _interval(each),
            None if each.best is None else f"{each.best:.2f}",
            "yes" if each.possible else "no",
            each.instability,
            each.usd_per_1000,
            each.latency_s,
            {True: "yes", False: "no", None: None}[each.front],
        )
        for each in advice.options
    ]


def verdict_lines(advice: Advice) -> Iterator[str]:
    """What to take, and how sure that is."""
    if advice.recommended is None:
        yield f"No model is recommended: {advice.reason}."
    else:
        yield from _recommended(advice, advice.option(advice.recommended))
    others = [name for name in advice.possible if name != advice.recommended]
    if others:
        yield (
            f"{_listed(others)} cannot be excluded from being the best "
            f"({advice.level:.0%} sure that no other model is)."
        )
    elif advice.recommended in advice.possible and len(advice.options) > 1:
        yield f"No other model can be the best ({advice.level:.0%} sure)."


def reason_lines(advice: Advice) -> Iterator[str]:
    """Why models do not fit, and what is unknown."""
    for each in advice.options:
        if each.reason is not None:
            yield f"{each.model} has no score: {each.reason}"
        missed = [check for check in each.checks if check.verdict == "missed"]
        if missed:
            what = "; ".join(
                f"{check.need} {check.wanted}, found {check.found}"
                + (f" ({check.reason})" if check.reason else "")
                for check in missed
            )
            yield f"{each.model} misses {what}"
    reasons = {each.usd_reason for each in advice.options if each.usd_per_1000 is None}
    for reason in sorted(each for each in reasons if each):
        yield f"cost is unknown: {reason}"
    yield from advice.notes


def undecided_lines(advice: Advice) -> Iterator[str]:
    """What is not decided, and what would decide it."""
    named = advice.undecided[:_NAMED]
    yield from (f"Not decided: {line}." for line in named)
    if len(advice.undecided) > _NAMED:
        yield f"Not decided: {len(advice.undecided) - _NAMED} more such questions (--json)."
    if len(advice.options) == 1:
        yield "Nothing was decided between models: no other was compared."
    elif not advice.undecided and advice.recommended is not None:
        yield (
            "Nothing is left to decide: no other model can be ahead by more than "
            f"{advice.needs.indifference:g}, which does not matter."
        )
    if not advice.undecided:
        return
    plan = advice.next_evaluation
    if plan is not None:
        yield f"The cheapest evaluation that would decide it: {_planned(plan)}."
    elif advice.evaluations:
        yield f"A first step: {_planned(advice.evaluations[0])}."
    else:
        yield "No number of further samples that is worth asking would decide it."


def combination_lines(advice: Advice) -> Iterator[str]:
    """Models together."""
    for found in advice.combinations:
        what = "One model for each ability" if found.kind == "routing" else "A cheaper model first"
        if not found.models:
            yield f"{what}: not of use here, for {found.reason}."
            continue
        yield f"{what}: {_combined(found)}"
        for check in found.checks:
            if check.verdict != "met":
                yield f"  together they {check.verdict} {check.need}: {check.wanted}"


def _recommended(advice: Advice, option: Option) -> Iterator[str]:
    yield (
        f"Take {option.model}: its score is {option.score or 0.0:.3f} (0 is guessing, 1 is all "
        f"right), {advice.level:.0%} interval {_interval(option)}."
    )
    if option.best is None:
        yield "How sure that is cannot be said: a subtask that counts has one image only."
    elif len(advice.options) > 1:
        loss = ""
        if option.regret is not None and option.regret >= _LEAST_LOSS:
            loss = f"; against the true best, taking it loses {option.regret:.3f} on average"
        yield (f"It is the best of {len(advice.options)} with probability {option.best:.2f}{loss}.")
    for check in option.checks:
        sure = "" if check.probability is None else f" (probability {check.probability:.2f})"
        yield f"It meets {check.need}: {check.wanted}, found {check.found}{sure}."


def _interval(option: Option) -> str | None:
    if option.ci_low is None or option.ci_high is None:
        return None
    return f"[{option.ci_low:.3f}, {option.ci_high:.3f}]"


def _planned(plan: Evaluation) -> str:
    more = _listed([f"{count:,} of {name}" for name, count in plan.more.items()])
    usd = f"${plan.usd:.3g}" if plan.usd is not None else "dollars unknown"
    gain = ""
    if plan.gain is not None:
        gain = f" and raises the score of the model that is taken by {plan.gain:.4f} on average"
    return (
        f"ask {_listed(plan.models)} more questions, each {more} "
        f"({plan.answers:,} answers, {usd}); it decides with probability {plan.decides:.2f}{gain}"
    )


def _combined(found: Combination) -> str:
    abilities: dict[str, list[str]] = {}
    for ability, name in found.models.items():
        abilities.setdefault(name, []).append(ability)
    parts = ", ".join(f"{name} for {' and '.join(each)}" for name, each in abilities.items())
    if found.kind == "cascade":
        first, second = found.models["first"], found.models["second"]
        parts = (
            f"{first} first, {second} where its confidence is below {found.threshold:.3f} "
            f"({found.deferred:.0%} of the questions)"
        )
    if found.difference is None or found.ci_low is None or found.score is None:
        return f"{parts}: {found.reason}."
    words = {
        "better": "better than", "worse": "worse than", "as good": "as good as",
        "not shown": "not shown to be better or as good as",
    }  # fmt: skip
    return (
        f"{parts}. {words[found.verdict or 'not shown'].capitalize()} {found.single} alone: "
        f"{found.score:.3f} against {found.single_score:.3f}, difference {found.difference:+.3f} "
        f"[{found.ci_low:+.3f}, {found.ci_high:+.3f}] on {found.n:,} questions that had no part in "
        f"the choice{_cost(found)}."
    )


def _cost(found: Combination) -> str:
    if found.usd_per_1000 is None or found.single_usd_per_1000 is None:
        return ""
    return (
        f"; ${found.usd_per_1000:.3g} for 1,000 answers in the place of "
        f"${found.single_usd_per_1000:.3g}"
    )


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:_NAMED])
    if len(names) == _NAMED + 1:
        shown.append(names[-1])
    elif len(names) > _NAMED:
        shown.append(f"{len(names) - _NAMED} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
