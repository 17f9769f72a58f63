"""What a comparison on a suite would see before any model was asked: `planned_power`, `plan_power`.

As `lens_ray.stats.power`, with the variance of a sample's difference from what is assumed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lens_ray.errors import UserError
from lens_ray.stats.abilities import OVERALL, in_order, in_overall
from lens_ray.stats.detectable import POWER
from lens_ray.stats.power import Power, PowerReport, check, filled

if TYPE_CHECKING:
    from lens_ray.suites.sample import Sample


@dataclass(frozen=True, slots=True)
class Assumed:
    """What is assumed of two models that were not asked yet.

    Attributes:
        discordance: Share of the samples on which one is right and the other wrong.
        cluster_size: Samples of a cluster; None takes what the suite has.
        correlation: Of the differences of two samples of a cluster.
    """

    discordance: float
    cluster_size: float | None = None
    correlation: float = 0.0


def discordance_of(accuracy: float, correlation: float) -> float:
    """Share of samples on which two models differ, both of one accuracy.

    Args:
        accuracy: Of both.
        correlation: Of their marks on the same sample.

    Returns:
        2 p (1 - p) (1 - r).

    Raises:
        UserError: They are no accuracy and no correlation.
    """
    if not 0 < accuracy < 1:
        raise UserError(f"accuracy {accuracy:g}: give a number between 0 and 1")
    if not -1 <= correlation < 1:
        raise UserError(f"correlation {correlation:g}: give a number from -1 to below 1")
    return min(1.0, 2 * accuracy * (1 - accuracy) * (1 - correlation))


def planned_power(
    suite: str | None,
    *,
    discordance: float | None = None,
    accuracy: float | None = None,
    correlation: float | None = None,
    cluster_correlation: float = 0.0,
    difference: float | None = None,
    power: float = POWER,
    level: float = 0.05,
) -> PowerReport:
    """What a comparison on a suite would see, before any model was asked.

    Args:
        suite: See `lens_ray.load_suite`.
        discordance: Assumed share of the samples that exactly one of two models gets right.
        accuracy: Assumed of both; with ``correlation`` in the place of ``discordance``.
        correlation: Assumed of their marks on a sample.
        cluster_correlation: Assumed of two differences of one cluster.
        difference: See `power_of_pair`.
        power: See there.
        level: See there.

    Raises:
        UserError: Nothing, or too much, or something impossible is assumed.
        SuiteError: There is no such suite.
    """
    from lens_ray.suites.suite import load_suite

    if suite is None:
        raise UserError("power of what? type two models and --store URL, or --suite NAME")
    if (discordance is None) == (accuracy is None or correlation is None):
        raise UserError(
            "say what is assumed: --discordance 0.1, or both of --accuracy 0.7 --correlation 0.8"
        )
    if discordance is not None:
        basis = f"assumed: {discordance:g} of the samples are right for exactly one of two models"
    else:
        assert accuracy is not None
        assert correlation is not None
        discordance = discordance_of(accuracy, correlation)
        basis = (
            f"assumed: accuracy {accuracy:g} of both, correlation {correlation:g} "
            f"(discordance {discordance:.3g})"
        )
    assumed = Assumed(discordance, correlation=cluster_correlation)
    found = load_suite(suite)
    lines = plan_power(
        found.samples, found.weights, assumed, difference=difference, power=power, level=level
    )
    priced = [replace(line, usd_reason=_NO_PRICE) if line.needed else line for line in lines]
    return PowerReport(f"{basis}, on {found.name}", level, power, difference, tuple(priced))


_NO_PRICE = "no model was asked yet: `lens-ray plan JOB.yaml` knows prices"


def plan_power(
    samples: Sequence[Sample],
    weights: Mapping[str, Mapping[str, float]],
    assumed: Assumed,
    *,
    difference: float | None = None,
    power: float = POWER,
    level: float = 0.05,
) -> list[Power]:
    """From a suite, before any model was asked.

    The variance of a sample's difference is the discordance less the square of the difference;
    clusters of m samples multiply it by 1 + (m - 1) r. Corrected scores multiply it by
    1 / (upper - chance)^2 of each subtask.

    Args:
        samples: That would be asked.
        weights: Of each subtask within its ability.
        assumed: How two models differ.
        difference: As `power_of_pair`; the discordance must be larger.
        power: As there.
        level: As there.

    Returns:
        One an ability, then ``overall``.

    Raises:
        UserError: As `power_of_pair`, or what is assumed is impossible.
    """
    check(difference, power, level)
    _check_assumed(assumed)
    by_ability: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_ability[sample.ability].append(sample)
    lines, parts = [], {}
    for ability in in_order(set(by_ability)):
        members = by_ability[ability]
        clusters = _clusters(members, assumed)
        line = Power(ability, len(members), clusters)
        se = _planned_se(members, weights.get(ability, {}), assumed, difference or 0.0, clusters)
        if isinstance(se, str):
            lines.append(replace(line, reason=se))
            continue
        parts[ability] = (se, line)
        subtasks = len({sample.subtask for sample in members})
        lines.append(filled(line, se, float(clusters - subtasks), difference, power, level))
    return [*lines, _planned_overall(parts, set(by_ability), difference, power, level)]


def _planned_overall(
    parts: Mapping[str, tuple[float, Power]],
    abilities: set[str],
    difference: float | None,
    power: float,
    level: float,
) -> Power:
    counted = in_overall(abilities)
    lacking = [name for name in in_order(set(counted)) if name not in parts]
    mine = [parts[name] for name in counted if name in parts]
    line = Power(OVERALL, sum(each.n for _, each in mine), sum(each.clusters for _, each in mine))
    if lacking:
        return replace(line, reason=f"no figure for {', '.join(lacking)}")
    se = math.fsum(se**2 for se, _ in mine) ** 0.5 / len(mine)
    return filled(line, se, float(line.clusters - len(mine)), difference, power, level)


def _planned_se(
    samples: Sequence[Sample],
    weights: Mapping[str, float],
    assumed: Assumed,
    difference: float,
    clusters: int,
) -> float | str:
    """Standard error of an ability's difference, or why it has none."""
    size = assumed.cluster_size or len(samples) / clusters
    effect = 1 + (size - 1) * assumed.correlation
    subtasks: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        subtasks[sample.subtask].append(sample)
    shares = {name: weights.get(name, 0.0) for name in subtasks}
    if not sum(shares.values()) > 0:
        shares = {name: float(len(members)) for name, members in subtasks.items()}
    total, variance = sum(shares.values()), 0.0
    for name, members in subtasks.items():
        span = math.fsum(one.upper - one.chance for one in members) / len(members)
        if not span > 0:
            return f"{name} has no room above chance"
        # The difference asked about is one of corrected scores.
        each = assumed.discordance - (difference * span) ** 2
        if each <= 0:
            return f"a difference of {difference:g} needs a discordance above {difference * span:g}"
        variance += (shares[name] / total / span) ** 2 * each * effect / len(members)
    return math.sqrt(variance)


def _clusters(samples: Sequence[Sample], assumed: Assumed) -> int:
    if assumed.cluster_size is not None:
        return max(1, round(len(samples) / assumed.cluster_size))
    return len({sample.cluster_id for sample in samples})


def _check_assumed(assumed: Assumed) -> None:
    if not 0 < assumed.discordance <= 1:
        raise UserError(f"discordance {assumed.discordance:g}: give a number above 0, at most 1")
    if assumed.cluster_size is not None and not assumed.cluster_size >= 1:
        raise UserError(f"cluster size {assumed.cluster_size:g}: give 1 or more")
    if not 0 <= assumed.correlation <= 1:
        raise UserError(f"cluster correlation {assumed.correlation:g}: give 0 to 1")
