"""Models together: one for each ability (`route`), or a small one first (`cascade`).

What is chosen (which model for which ability, from which confidence on) is chosen on the split
``search``; the outcome is then compared, paired, with the best single model on the split
``sealed``, which had no part in that choice. The single model is the best of all splits, so the
comparison leans, if at all, towards it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.stats.advice.best import weighted
from lens_ray.stats.advice.expense import Expense, cheaper_than
from lens_ray.stats.advice.fit import Check
from lens_ray.stats.cells import means_of
from lens_ray.stats.contrast import Difference, contrast
from lens_ray.stats.decision import is_confidence
from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.marks import Marks, marks_of
from lens_ray.stats.units import Bools, Floats, marked_units

SEARCH, SEALED = "search", "sealed"
#: Standard errors by which a model must be ahead on ``search`` to get an ability.
_AHEAD = 1.645
#: A cascade must cost no more than this share of the single model, or be better.
WORTH_IT = 0.9
#: Shares of the questions that the second model of a cascade may get, as tried.
SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Combination(Framed):
    """Models together, against the best single one.

    Attributes:
        kind: ``routing`` or ``cascade``.
        models: By ability (routing), or by ``first`` and ``second`` (cascade).
        threshold: Of a cascade: the second model is asked where the first one's confidence is
            lower, or where it gave no answer that can be read.
        basis: Of a cascade: what makes the first model the cheaper one, ``dollars``,
            ``parameters`` or ``latency``.
        deferred: Share of the questions that the second model gets, on ``sealed``.
        single: The best single model.
        score: Of the combination on ``sealed``.
        single_score: Of the single model there.
        difference: ``score`` - ``single_score``.
        ci_low: Lower bound of its interval.
        ci_high: Upper bound.
        p: Two-sided p-value of no difference.
        n: Marked units of ``sealed``.
        usd_per_1000: Of the combination; None where a model's is not known.
        single_usd_per_1000: Of the single model.
        latency_s: Mean of the models' medians, as often as each is asked.
        verdict: ``better``, ``as good`` (worse by less than what does not matter), ``worse`` or
            ``not shown``; None with a reason.
        reason: Why there is no combination, or a figure is None.
        checks: Limits of cost, latency and memory that models together must keep, too.
    """

    kind: str
    models: Mapping[str, str]
    threshold: float | None
    basis: str | None
    deferred: float | None
    single: str | None
    score: float | None
    single_score: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    n: int
    usd_per_1000: float | None
    single_usd_per_1000: float | None
    latency_s: float | None
    verdict: str | None
    reason: str | None
    checks: tuple[Check, ...] = ()


def route(
    marks: Marks,
    single: str,
    weights: Mapping[str, float],
    expenses: Mapping[str, Expense],
    indifference: float,
) -> Combination:
    """The best model for each ability, chosen on ``search``, confirmed on ``sealed``.

    Args:
        marks: Of the models that may be used.
        single: The best single one of them.
        weights: Of the abilities.
        expenses: What each model costs.
        indifference: Differences of the score that do not matter.
    """
    counted = [name for name, weight in weights.items() if weight > 0]
    reason = _unsplit(marks) or (
        "one ability counts, so there is nothing to route" if len(counted) < 2 else None
    ) or ("there is one model only" if len(marks.models) < 2 else None)  # fmt: skip
    if reason is not None:
        return _none("routing", reason)
    search = marks.of("split", [SEARCH])
    figures = ability_figures(search)
    if any(name not in figures.names for name in counted):
        return _none("routing", f"split {SEARCH} lacks an ability that counts")
    chosen = {name: _pick(search, single, figures.only([name])) for name in counted}
    if set(chosen.values()) == {single}:
        reason = f"on split {SEARCH} no model is surely better than {single} at an ability"
        return replace(_none("routing", reason), single=single)
    if len(set(chosen.values())) == 1:
        reason = f"on split {SEARCH} {chosen[counted[0]]} is the best at every ability that counts"
        return replace(_none("routing", reason), single=single)
    sealed = marks.of("split", [SEALED])
    facet = sealed.facets["ability"]
    picks = np.array([marks.models.index(chosen.get(label, single)) for label in facet.labels])
    mixed = sealed.score[picks[facet.code], np.arange(len(sealed.ids))]
    name = "routing"
    pair = replace(
        sealed, models=(name, single), runs=(),
        score=np.stack([mixed, sealed.score[sealed.place(single)]]),
    )  # fmt: skip
    found = replace(
        _none("routing", None),
        models=chosen,
        single=single,
        usd_per_1000=_sum((weights[ab], expenses[one].usd_per_1000) for ab, one in chosen.items()),
        single_usd_per_1000=expenses[single].usd_per_1000,
        latency_s=_sum((weights[ab], expenses[one].latency_s) for ab, one in chosen.items()),
    )
    return _confirmed(found, pair, name, single, weights, indifference)


def cascade(
    marks: Marks,
    second: str,
    rows_of: Callable[[Sequence[str]], Mapping[str, pa.Table]],
    weights: Mapping[str, float],
    expenses: Mapping[str, Expense],
    indifference: float,
) -> Combination:
    """A cheaper model first, the best one where the first one's confidence is low.

    Args:
        marks: Of the models that may be used.
        second: The best single one of them.
        rows_of: Reads the rows of models: `lens_ray.stats.marks.COLUMNS` and ``confidence``.
        weights: Of the abilities.
        expenses: What each model costs.
        indifference: Differences of the score that do not matter.
    """
    reason = _unsplit(marks)
    if reason is not None:
        return _none("cascade", reason)
    search = marks.of("split", [SEARCH])
    basis, cheaper = cheaper_than(second, {name: expenses[name] for name in marks.models})
    if not cheaper:
        return replace(
            _none("cascade", f"no model is known to be cheaper or smaller than {second}"),
            single=second,
        )
    tables = rows_of([*cheaper, second])
    pairs = {first: Pair.of(tables[first], tables[second], SEARCH, weights) for first in cheaper}
    sure = {first: pair for first, pair in pairs.items() if not np.isneginf(pair.confidence).all()}
    if not sure:
        return replace(
            _none("cascade", "no cheaper model gives a confidence with its answers"), single=second
        )
    found = _cheapest(search, sure, cheaper, second, weights, indifference)
    first, threshold = found
    if np.isneginf(threshold):
        reason = f"on split {SEARCH} no cascade is better than {second}, or as good and cheaper"
        if first != second:
            reason = f"on split {SEARCH} {first} alone is nearly as good, and cheaper"
        return replace(_none("cascade", reason), single=second)
    pair = Pair.of(tables[first], tables[second], SEALED, weights)
    defer = pair.confidence < threshold
    deferred = pair.share(defer)
    name = "cascade"
    both = marks_of({name: pair.mixed(defer), second: pair.second}, weights=marks.weights)
    one, two = expenses[first], expenses[second]
    answered = replace(
        _none("cascade", None),
        models={"first": first, "second": second},
        threshold=threshold,
        basis=basis,
        deferred=deferred,
        single=second,
        usd_per_1000=_sum(((1.0, one.usd_per_1000), (deferred, two.usd_per_1000))),
        single_usd_per_1000=two.usd_per_1000,
        latency_s=_sum(((1.0, one.latency_s), (deferred, two.latency_s))),
    )
    return _confirmed(answered, both, name, second, weights, indifference)


@dataclass(frozen=True)
class Pair:
    """The rows of two models on the same samples of one split.

    Attributes:
        first: Rows of the one that answers first, by sample id.
        second: Rows of the other on the same samples.
        confidence: Of the first one's answers; -inf where it has none to speak of.
        weight: What each sample counts, by its ability.
    """

    first: pa.Table
    second: pa.Table
    confidence: Floats
    weight: Floats

    @staticmethod
    def of(first: pa.Table, second: pa.Table, split: str, weights: Mapping[str, float]) -> Pair:
        """The rows of a split that both have."""
        counted = pa.array([name for name, weight in weights.items() if weight > 0], pa.string())

        def mine(table: pa.Table) -> pa.Table:
            kept = pc.and_(
                pc.equal(table["split"], split), pc.is_in(table["ability"], value_set=counted)
            )
            return table.filter(kept).sort_by("sample_id").combine_chunks()

        one, two = mine(first), mine(second)
        one, two = (
            each.filter(pc.is_in(each["sample_id"], value_set=other["sample_id"].combine_chunks()))
            for each, other in ((one, two), (two, one))
        )
        abilities = np.array(one["ability"].to_pylist(), dtype=object)
        names, code, size = np.unique(abilities, return_inverse=True, return_counts=True)
        share = np.array([weights[name] for name in names.tolist()]) / size
        return Pair(one.combine_chunks(), two.combine_chunks(), _confidence(one), share[code])

    def share(self, defer: Bools) -> float:
        """The share of the questions that the second model gets, abilities as they count."""
        return float(self.weight[defer].sum() / self.weight.sum())

    def mixed(self, defer: Bools) -> pa.Table:
        """The rows of the cascade."""
        mask, table = pa.array(defer), self.first
        for name in ("status", "score"):
            column = pc.if_else(mask, self.second[name], self.first[name])
            table = table.set_column(table.schema.get_field_index(name), name, column)
        return table


def _confidence(rows: pa.Table) -> Floats:
    readable = pc.equal(rows["status"], "ok").to_pylist()
    given = rows["confidence"].to_pylist()
    return np.array(
        [
            value if ok and is_confidence(value) else -np.inf
            for ok, value in zip(readable, given, strict=True)
        ]
    )


def _cheapest(
    search: Marks,
    pairs: Mapping[str, Pair],
    ratio: Mapping[str, float],
    second: str,
    weights: Mapping[str, float],
    indifference: float,
) -> tuple[str, float]:
    """First model and threshold: of all that are nearly the best on ``search`` the cheapest.

    The threshold is -inf where that is a single model.
    """
    figures = weighted(ability_figures(search), weights)
    alone = figures.values(means_of(search))[:, 0]
    tried: list[tuple[float, float, str, float]] = [
        (ratio.get(name, 1.0), float(alone[place]), name, -np.inf)
        for place, name in enumerate(search.models)
        if (name in ratio or name == second) and not np.isnan(alone[place])
    ]
    for first, pair in pairs.items():
        order = np.sort(pair.confidence)
        marks = sorted({float(order[int(share * len(order))]) for share in SHARES})
        for threshold in marks:
            defer = pair.confidence < threshold
            if not defer.any() or defer.all():
                continue
            score = _score(pair.mixed(defer), search, figures)
            if not np.isnan(score):
                tried.append((ratio[first] + pair.share(defer), score, first, threshold))
    # A cascade that spares next to nothing must be better to be of use.
    own = float(alone[search.place(second)])
    tried = [
        each
        for each in tried
        if np.isneginf(each[3]) or each[0] <= WORTH_IT or each[1] > own + indifference
    ]
    least = max(score for _, score, _, _ in tried) - indifference
    _, _, name, threshold = min(
        (each for each in tried if each[1] >= least), key=lambda each: (each[0], -each[1])
    )
    return name, threshold


def _score(rows: pa.Table, marks: Marks, figures: Figures) -> float:
    """The figure of some rows, with the bounds of the marks."""
    units = marked_units(rows)
    size = np.bincount(units.stratum, minlength=len(units.strata))
    total = np.bincount(units.stratum, weights=units.score, minlength=len(units.strata))
    mean = {
        name: total[place] / size[place] if size[place] else np.nan
        for place, name in enumerate(units.strata)
    }
    means = np.array([[mean.get(name, np.nan) for name in marks.strata]])
    return float(figures.values(means)[0, 0])


def _pick(search: Marks, single: str, figure: Figures) -> str:
    """The best model at one ability; the single one where none is ahead by `_AHEAD` errors.

    Of many models one is always ahead by chance, and loses again on ``sealed``.
    """
    values = figure.values(means_of(search))[:, 0]
    if np.isnan(values).all():
        return single
    best = search.models[int(np.nanargmax(values))]
    if best == single:
        return single
    found = contrast(search, best, single, figure)[0]
    if found.difference is None or found.se is None:
        return single
    return best if found.difference > _AHEAD * found.se else single


def _confirmed(
    found: Combination,
    pair: Marks,
    name: str,
    single: str,
    weights: Mapping[str, float],
    indifference: float,
) -> Combination:
    """The combination with what ``sealed`` says of it."""
    figures = ability_figures(pair)
    if any(weight > 0 and ability not in figures.names for ability, weight in weights.items()):
        return replace(found, reason=f"split {SEALED} lacks an ability that counts")
    result = contrast(pair, name, single, weighted(figures, weights))[0]
    return replace(
        found,
        score=result.value_a,
        single_score=result.value_b,
        difference=result.difference,
        ci_low=result.ci_low,
        ci_high=result.ci_high,
        p=result.p,
        n=result.n,
        verdict=_verdict(result, indifference),
        reason=result.reason,
    )


def _verdict(found: Difference, indifference: float) -> str | None:
    if found.ci_low is None or found.ci_high is None:
        return None
    if found.ci_low > 0:
        return "better"
    if found.ci_high < 0:
        return "worse"
    return "as good" if found.ci_low > -indifference else "not shown"


def _unsplit(marks: Marks) -> str | None:
    labels = marks.facets["split"].labels
    for name in (SEARCH, SEALED):
        if name not in labels or not len(marks.of("split", [name]).ids):
            return f"no answer belongs to the split {name}"
    return None


def _none(kind: str, reason: str | None) -> Combination:
    return Combination(kind, {}, *(None,) * 10, 0, *(None,) * 4, reason)


def _sum(parts: Iterable[tuple[float, float | None]]) -> float | None:
    total = 0.0
    for weight, value in parts:
        if value is None:
            return None
        total += weight * value
    return total
