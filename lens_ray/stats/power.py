"""How many samples for this difference, and what can this suite see: `power_of_pair`, `plan_power`.

The comparison is the paired one (`lens_ray.stats.contrast`), its power that of
`lens_ray.stats.detectable`. The standard error falls with the root of the samples, in the shares
that the suite has now; the degrees of freedom grow with the clusters. Everything is for one test
at the level asked for; a family of six under Holm needs the level divided by six to be sure.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lens_ray.errors import UserError
from lens_ray.stats.contrast import Difference, contrast
from lens_ray.stats.detectable import POWER, detectable, power_of
from lens_ray.stats.figures import Figures, ability_figures, in_order
from lens_ray.stats.frames import Framed
from lens_ray.stats.marks import Marks
from lens_ray.stats.scores import OVERALL, in_overall

if TYPE_CHECKING:
    from lens_ray.store import Store
    from lens_ray.suites.sample import Sample

#: More samples than this are not a plan.
_MOST = 10**8


@dataclass(frozen=True, slots=True)
class Power(Framed):
    """What a paired comparison of two models sees in one figure.

    Attributes:
        figure: The ability, or ``overall``.
        n: Units that both models answered; before that, samples of the suite.
        clusters: Clusters of these.
        se: Standard error of the difference of corrected scores.
        df: Its degrees of freedom.
        sees: The smallest true difference that is found with the power asked for.
        difference: The difference asked about; None where none was.
        power: Probability that it is found.
        needed: Samples with which it is found with the power asked for.
        usd: Dollars for these of both models; None with a reason.
        usd_reason: Why ``usd`` is None.
        reason: Why the other figures are None.
    """

    figure: str
    n: int
    clusters: int
    se: float | None = None
    df: float | None = None
    sees: float | None = None
    difference: float | None = None
    power: float | None = None
    needed: int | None = None
    usd: float | None = None
    usd_reason: str | None = None
    reason: str | None = None


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


@dataclass(frozen=True, slots=True)
class PowerReport(Framed):
    """What `lens-ray power` says.

    Attributes:
        basis: Where the variance of the difference comes from.
        level: Of the test.
        power: Probability with which a difference is to be found.
        difference: The one asked about.
        lines: One an ability, then ``overall``.
        notes: What else a reader should know.
    """

    basis: str
    level: float
    power: float
    difference: float | None
    lines: tuple[Power, ...]
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """One record a line."""
        return [asdict(line) for line in self.lines]


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


def power_of_pair(
    marks: Marks,
    a: str,
    b: str,
    *,
    difference: float | None = None,
    power: float = POWER,
    level: float = 0.05,
    figures: Figures | None = None,
) -> list[Power]:
    """From the marks of two models, as they differ now.

    Args:
        marks: Of both; only the units that both answered count.
        a: One model.
        b: The other.
        difference: A true difference of corrected scores that is to be found.
        power: With this probability.
        level: Two-sided level of the test.
        figures: Which; None takes the abilities and ``overall``.

    Returns:
        One a figure.

    Raises:
        UserError: The difference, the power or the level is out of range.
    """
    _check(difference, power, level)
    chosen = ability_figures(marks) if figures is None else figures
    return [_line(found, difference, power, level) for found in contrast(marks, a, b, chosen)]


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
    _check(difference, power, level)
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
        lines.append(_filled(line, se, float(clusters - subtasks), difference, power, level))
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
    return _filled(line, se, float(line.clusters - len(mine)), difference, power, level)


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


def _line(found: Difference, difference: float | None, power: float, level: float) -> Power:
    line = Power(found.figure, found.n, found.clusters)
    if found.se is None or found.df is None:
        return replace(line, reason=found.reason)
    return _filled(line, found.se, found.df, difference, power, level)


def _filled(
    line: Power, se: float, df: float, difference: float | None, power: float, level: float
) -> Power:
    if df < 1:
        return replace(line, reason=f"{line.clusters} clusters are too few")
    found = replace(line, se=se, df=df, sees=detectable(se, df, level, power))
    if difference is None:
        return found
    needed = samples_needed(line.n, se, df, difference, power=power, level=level)
    why = f"more than {_MOST:,} samples are needed" if needed is None else None
    return replace(
        found,
        difference=difference,
        power=power_of(difference, se, df, level),
        needed=needed,
        reason=why,
    )


def samples_needed(
    n: int, se: float, df: float, difference: float, *, power: float = POWER, level: float = 0.05
) -> int | None:
    """With how many samples a difference is found, others like these.

    Args:
        n: Samples of now.
        se: Standard error with these.
        df: Degrees of freedom with these.
        difference: The true difference.
        power: Probability with which it is to be found.
        level: Two-sided level of the test.

    Returns:
        The smallest number of samples; None where it is beyond all measure.
    """

    def enough(samples: int) -> bool:
        freedom = max(df * samples / n, 1.0)
        return power_of(difference, se * (n / samples) ** 0.5, freedom, level) >= power

    if not enough(_MOST):
        return None
    low, high = 1, _MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _check(difference: float | None, power: float, level: float) -> None:
    if difference is not None and not 0 < difference <= 1:
        raise UserError(f"difference {difference:g}: give a number above 0, at most 1")
    if not 0 < level < 0.5:
        raise UserError(f"level {level:g}: give a number between 0 and 0.5")
    if not level < power < 1:
        raise UserError(f"power {power:g}: give a number between the level and 1")


def _check_assumed(assumed: Assumed) -> None:
    if not 0 < assumed.discordance <= 1:
        raise UserError(f"discordance {assumed.discordance:g}: give a number above 0, at most 1")
    if assumed.cluster_size is not None and not assumed.cluster_size >= 1:
        raise UserError(f"cluster size {assumed.cluster_size:g}: give 1 or more")
    if not 0 <= assumed.correlation <= 1:
        raise UserError(f"cluster correlation {assumed.correlation:g}: give 0 to 1")


def measured_power(
    a: str | None,
    b: str | None,
    store: str | None,
    *,
    suite: str | None = None,
    difference: float | None = None,
    power: float = POWER,
    level: float = 0.05,
    on: str = "all",
) -> PowerReport:
    """What a comparison of two models of a store sees, and what more of it would cost.

    Args:
        a: One model.
        b: The other.
        store: Folder or URL.
        suite: Where they share several.
        difference: See `power_of_pair`.
        power: See there.
        level: See there.
        on: See `lens_ray.stats.marks.load_marks`.

    Raises:
        UserError: A model or the store is not named, or see `load_marks` and `power_of_pair`.
        StoreUnavailable: The store is out of reach or damaged.
    """
    from lens_ray.stats.costs import costs_of
    from lens_ray.stats.marks import load_marks
    from lens_ray.store import Store as OpenStore

    if a is None or b is None or store is None:
        raise UserError("power of two models: type lens-ray power A B --store URL")
    opened = OpenStore(store)
    marks = load_marks(opened, [a, b], suite=suite, on=on)
    lines = power_of_pair(marks, *marks.models, difference=difference, power=power, level=level)
    each = _samples_of_units(opened, marks)
    lines = [
        line if line.needed is None
        else replace(line, needed=math.ceil(line.needed * each.get(line.figure, 1.0)))
        for line in lines
    ]  # fmt: skip
    costs = list(costs_of(opened, marks.runs).values())
    known = [cost.usd_per_1000 for cost in costs if cost.usd_per_1000 is not None]
    why = next((f"{cost.model}: {cost.reason}" for cost in costs if cost.reason), None)
    priced = []
    for line in lines:
        if line.needed is None:
            priced.append(line)
        elif len(known) < len(costs):
            priced.append(replace(line, usd_reason=why))
        else:
            priced.append(replace(line, usd=line.needed * math.fsum(known) / 1000))
    basis = f"as {marks.models[0]} and {marks.models[1]} differ on {marks.suite}"
    return PowerReport(basis, level, power, difference, tuple(priced), marks.notes)


def _samples_of_units(store: Store, marks: Marks) -> dict[str, float]:
    """By figure, how many samples make one unit: more than one where groups are marked as one."""
    from lens_ray.stats.units import COLUMNS, marked_units

    units = marked_units(store.rows([marks.runs[0].run_id], columns=COLUMNS))
    count: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    main = in_overall({ability for ability, _ in units.strata})
    for place, (ability, _) in enumerate(units.strata):
        mine = int((units.stratum == place).sum())
        for name in (ability, OVERALL) if ability in main else (ability,):
            count[name] += mine
            covered[name] += int(units.covered[place])
    return {name: covered[name] / count[name] for name in count if count[name]}


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
