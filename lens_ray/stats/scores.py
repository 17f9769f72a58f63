"""From the rows of a run to its scores: `ability_scores`, `subtask_scores`, `scores_table`.

A subtask's accuracy is the mean over its marked units (`lens_ray.stats.units`); its corrected
score is (accuracy - BL) / (UB - BL) with BL and UB the means of its own units' chance and upper,
never clipped. An ability's figures weigh its subtasks as the suite fixed it (by their samples,
unless it says otherwise); ``uniform`` is its corrected score with equal weights, for a benchmark
does not measure an ability better because it has more rows. The overall figures are plain means
over those of the six abilities that the suite has. Abilities beyond the six are scored in the same
way and stand apart; where a suite has none of the six, over all it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.stats.abilities import OVERALL, in_order, in_overall
from lens_ray.stats.clustered import few_clusters
from lens_ray.stats.dispersion import mean_covariance
from lens_ray.stats.pool import Pool
from lens_ray.stats.steadiness import KINDS, Kind, Steady, Subtasks, steadiness
from lens_ray.stats.strata import Strata, SubtaskScore
from lens_ray.stats.units import COLUMNS, Units, marked_units
from lens_ray.store.schema import SCORES

#: Fields of an `AbilityScore` by name.
_Fields = dict[str, Any]
#: Below this share of samples with an answer a score is not printed.
COVERAGE_THRESHOLD = 0.99
#: Columns of the rows that scores are made of.
SCORED_COLUMNS = (*COLUMNS, "suite_digest")


@dataclass(frozen=True, slots=True)
class AbilityScore:
    """One ability of one run, or ``overall``; the fields of the table ``scores``.

    Attributes:
        ability: The ability, or ``overall``.
        n: Samples that count.
        coverage: Share of the expected samples that count.
        accuracy: Weighted mean of the subtasks' accuracies.
        corrected: Weighted mean of the subtasks' corrected scores.
        ci_low: Lower bound of the 95 % interval of ``corrected``.
        ci_high: Upper bound.
        dvs: Dispersion-based variance stability, lower is steadier.
        res: Rank-entropy score, lower is steadier.
        pool: Label of the pool of ``dvs`` and ``res``.
        reason: Why a figure is None.
        uniform: The plain mean of the subtasks' corrected scores, whatever their weights.
        dvs_low: Lower bound of the 95 % interval of ``dvs``.
        dvs_high: Upper bound.
        res_low: Lower bound of that of ``res``.
        res_high: Upper bound.
        tau: Noise-free spread of the subtasks' corrected scores, lower is steadier; ``overall`` it
            is the one that the abilities share.
        tau_low: Lower bound of its 95 % interval.
        tau_high: Upper bound.
        micro: Of ``overall``: the mean of the abilities' corrected scores by their samples, where
            ``corrected`` counts each ability once; of an ability, ``corrected``.
        note: What to know of the intervals, such as that they stand on few clusters.
    """

    ability: str
    n: int
    coverage: float | None
    accuracy: float | None
    corrected: float | None
    ci_low: float | None
    ci_high: float | None
    dvs: float | None
    res: float | None
    pool: str | None
    reason: str | None
    uniform: float | None = None
    dvs_low: float | None = None
    dvs_high: float | None = None
    res_low: float | None = None
    res_high: float | None = None
    tau: float | None = None
    tau_low: float | None = None
    tau_high: float | None = None
    micro: float | None = None
    note: str | None = None


def subtask_scores(
    rows: pa.Table,
    *,
    group_sizes: Mapping[str, int] | None = None,
    confidence: float = 0.95,
) -> list[SubtaskScore]:
    """Score each subtask of one run, whatever its coverage.

    Args:
        rows: Rows of one run.
        group_sizes: Members of each group (`lens_ray.stats.units.marked_units`).
        confidence: Two-sided level of the intervals.

    Returns:
        The subtasks, sorted by ability and name.
    """
    strata = Strata(marked_units(rows, group_sizes))
    return [strata.subtask(place, confidence) for place in range(len(strata.units.strata))]


def ability_scores(
    rows: pa.Table,
    *,
    weights: Mapping[str, Mapping[str, float]],
    expected: Mapping[str, int],
    pool: Pool | None = None,
    coverage_threshold: float = COVERAGE_THRESHOLD,
    group_sizes: Mapping[str, int] | None = None,
) -> list[AbilityScore]:
    """Score one run.

    Args:
        rows: Its rows. ``infra_error`` and ``over_budget`` rows count against coverage and never
            as wrong.
        weights: Weight of each subtask within its ability, as the suite fixed it; they are
            brought to the sum 1.
        expected: Samples that the run was to answer, by ability.
        pool: The frozen pool for stability.
        coverage_threshold: Share of the expected samples below which a score is null.
        group_sizes: Members of each group (`lens_ray.stats.units.marked_units`).

    Returns:
        The expected abilities in their usual order, then ``overall``.

    Raises:
        ValueError: Rows, weights and expectations do not belong together.
    """
    strata = Strata(marked_units(rows, group_sizes))
    _check(strata.units, weights, expected)
    names = in_order(expected)
    fitting, misfit = _fitting(pool, rows)
    shares = {name: _shares(strata.units, name, weights[name]) for name in names}
    scores = [
        _ability(strata, name, shares[name], expected[name], fitting, misfit, coverage_threshold)
        for name in names
    ]
    counted = in_overall(weights)
    main = [score for score in scores if score.ability in counted]
    asked = sum(expected[score.ability] for score in main)
    return [*scores, _overall(strata, main, shares, asked, fitting)]


def scores_table(
    scores: Iterable[AbilityScore], *, run_id: str, model: str, suite: str
) -> pa.Table:
    """The scores of a run as the table that is stored with its commit."""
    return pa.Table.from_pylist(
        [{"run_id": run_id, "model": model, "suite": suite, **asdict(score)} for score in scores],
        schema=SCORES,
    )


def _ability(
    strata: Strata,
    name: str,
    shares: Mapping[str, tuple[int | None, float]],
    expected: int,
    pool: Pool | None,
    misfit: str | None,
    threshold: float,
) -> AbilityScore:
    n = sum(strata.covered(place) for place, _ in shares.values() if place is not None)
    if n > expected:
        raise ValueError(f"{name}: {n} answered rows of {expected} expected samples")
    coverage = n / expected if expected else None
    label = pool.label if pool else None
    reason = _no_score(strata, name, shares, coverage, threshold)
    if reason is not None:
        return AbilityScore(name, n, coverage, *(None,) * 6, label, reason)
    weights = {place: share for place, share in shares.values() if place is not None and share}
    accuracy = sum(share * strata.accuracy[place] for place, share in weights.items())
    corrected = sum(share * strata.corrected(place) for place, share in weights.items())
    low, high = strata.interval(weights, corrected)
    steady = steadiness([_subtasks(strata, name, list(weights))], pool)
    uniform = _mean([strata.corrected(place) for place in weights])
    return AbilityScore(
        name, n, coverage, float(accuracy), corrected, low, high, pool=label, uniform=uniform,
        micro=corrected, note=_note(strata, list(weights)), **steady_fields(steady, misfit),
    )  # fmt: skip


def _no_score(
    strata: Strata,
    name: str,
    shares: Mapping[str, tuple[int | None, float]],
    coverage: float | None,
    threshold: float,
) -> str | None:
    """Why an ability has no score, or None."""
    if coverage is None:
        return "no sample of this ability was expected"
    if coverage < threshold:
        return f"coverage {coverage:.4f} is below {threshold:g}"
    for subtask, (place, share) in shares.items():
        if share and place is None:
            return f"{name}/{subtask} has no row"
        if share and place is not None and (trouble := strata.trouble(place)):
            return trouble
    return None


def _overall(
    strata: Strata,
    scores: Sequence[AbilityScore],
    shares: Mapping[str, Mapping[str, tuple[int | None, float]]],
    expected: int,
    pool: Pool | None,
) -> AbilityScore:
    n = sum(score.n for score in scores)
    coverage = n / expected if expected else None
    label = pool.label if pool else None
    without = [score.ability for score in scores if score.corrected is None]
    if not scores:
        reason = "none of the suite's abilities that count for it was asked"
        return AbilityScore(OVERALL, n, coverage, *(None,) * 6, label, reason)
    if without:
        reason = f"no score for {', '.join(without)}"
        return AbilityScore(OVERALL, n, coverage, *(None,) * 6, label, reason)
    corrected = _mean([score.corrected for score in scores])
    assert corrected is not None
    weights: dict[int, float] = {}
    for score in scores:
        for place, share in shares[score.ability].values():
            if place is not None and share:
                weights[place] = share / len(scores)
    low, high = strata.interval(weights, corrected)
    counted = {
        score.ability: [
            place for place, share in shares[score.ability].values() if place is not None and share
        ]
        for score in scores
    }
    steady = steadiness([_subtasks(strata, *each) for each in counted.items()], pool)
    unsteady = [score.ability for score in scores if score.dvs is None or score.res is None]
    why = f"undefined for {', '.join(unsteady)}" if unsteady else None
    accuracy, uniform = (
        _mean([getattr(score, name) for score in scores]) for name in ("accuracy", "uniform")
    )
    micro = math.fsum(score.n * (score.corrected or 0.0) for score in scores) / n
    return AbilityScore(
        OVERALL, n, coverage, accuracy, corrected, low, high, pool=label, uniform=uniform,
        micro=micro, note=_note(strata, list(weights)), **steady_fields(steady, why),
    )  # fmt: skip


def _subtasks(strata: Strata, ability: str, places: Sequence[int]) -> Subtasks:
    """The subtasks of an ability as its stability is made of them."""
    units, where = strata.units, np.array(places, dtype=np.int64)
    mean, covariance, clusters = mean_covariance(units.score, units.stratum, units.cluster, where)
    return Subtasks(
        ability=ability,
        names=tuple(units.strata[place][1] for place in places),
        mean=mean,
        chance=strata.chance[where],
        upper=strata.upper[where],
        covariance=covariance,
        clusters=clusters,
    )


def steady_fields(steady: Mapping[Kind, Steady], without_pool: str | None = None) -> _Fields:
    """The fields of an `AbilityScore` that stability fills.

    Args:
        steady: The figures of an ability, or overall.
        without_pool: Why DVS or RES is None, in the place of their own reason.
    """
    found: _Fields = {"reason": _unsteady(steady, without_pool)}
    for kind in KINDS:
        found[kind] = steady[kind].value
        found[f"{kind}_low"], found[f"{kind}_high"] = steady[kind].low, steady[kind].high
    return found


def _unsteady(steady: Mapping[Kind, Steady], without_pool: str | None) -> str | None:
    """Why a figure of stability is None, or its interval.

    Args:
        steady: The figures.
        without_pool: Said of DVS and RES that are None, in the place of their own reason.
    """
    lacking: dict[str, list[str]] = {}
    for kind in KINDS:
        reason = steady[kind].reason
        if kind != "tau" and steady[kind].value is None:
            reason = without_pool or reason
        if reason is not None:
            lacking.setdefault(reason, []).append(kind)
    if not lacking:
        return None
    return "; ".join(f"{_listed(kinds)}: {reason}" for reason, kinds in lacking.items())


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _note(strata: Strata, places: Sequence[int]) -> str | None:
    """What to know of the intervals of some strata."""
    few = few_clusters(min(int(strata.sums.clusters[place]) for place in places))
    return f"a subtask has {few}" if few else None


def _mean(values: Sequence[float | None]) -> float | None:
    """The plain mean; None where a value is None."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


def _shares(
    units: Units, ability: str, weights: Mapping[str, float]
) -> dict[str, tuple[int | None, float]]:
    """Each subtask's stratum, None where it has no row, and its weight of a sum of 1."""
    places = {
        subtask: place for place, (name, subtask) in enumerate(units.strata) if name == ability
    }
    total = math.fsum(weights.values())
    return {subtask: (places.get(subtask), weights[subtask] / total) for subtask in sorted(weights)}


def _check(
    units: Units, weights: Mapping[str, Mapping[str, float]], expected: Mapping[str, int]
) -> None:
    """Refuse rows that the expectation or the weights do not know."""
    if not expected:
        raise ValueError("no ability is expected")
    for ability in expected:
        values = list(weights.get(ability, {}).values())
        if not values or min(values) < 0 or not 0 < math.fsum(values) < math.inf:
            raise ValueError(f"{ability}: the weights of its subtasks are {values}")
    for ability, subtask in units.strata:
        if ability not in expected or subtask not in weights[ability]:
            raise ValueError(f"rows of {ability}/{subtask}, which was not expected")


def _fitting(pool: Pool | None, rows: pa.Table) -> tuple[Pool | None, str | None]:
    """The pool where it is of the rows' suite, else why it is not used."""
    if pool is None or "suite_digest" not in rows.schema.names:
        return pool, None
    digests = pc.unique(rows["suite_digest"]).to_pylist()
    if all(digest == pool.suite_digest for digest in digests):
        return pool, None
    return None, f"pool {pool.label} is of another suite"
