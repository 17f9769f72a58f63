"""How many samples for this difference, and what is seen now: `measured_power`, `power_of_pair`.

The comparison is the paired one (`lens_ray.stats.contrast`), its power that of
`lens_ray.stats.detectable`. The standard error falls with the root of the samples, in the shares
that the suite has now; the degrees of freedom grow with the clusters. Everything is for one test
at the level asked for; a family of six under Holm needs the level divided by six to be sure.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lens_ray.errors import UserError
from lens_ray.stats.abilities import OVERALL, in_overall
from lens_ray.stats.contrast import Difference, contrast
from lens_ray.stats.detectable import POWER, detectable, power_of
from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.marks import Marks

if TYPE_CHECKING:
    from lens_ray.store import Store

#: More samples than this are not a plan.
_MOST = 10**8
_LEAST = 1e-6


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
    check(difference, power, level)
    chosen = ability_figures(marks) if figures is None else figures
    return [_line(found, difference, power, level) for found in contrast(marks, a, b, chosen)]


def _line(found: Difference, difference: float | None, power: float, level: float) -> Power:
    line = Power(found.figure, found.n, found.clusters)
    if found.se is None or found.df is None:
        return replace(line, reason=found.reason)
    return filled(line, found.se, found.df, difference, power, level)


def filled(
    line: Power, se: float, df: float, difference: float | None, power: float, level: float
) -> Power:
    """The line with what its standard error lets one see."""
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


def check(difference: float | None, power: float, level: float) -> None:
    """Refuse what is out of range.

    Raises:
        UserError: In one line.
    """
    if difference is not None and not 0 < difference <= 1:
        raise UserError(f"difference {difference:g}: give a number above 0, at most 1")
    # Beyond these the quantile of 1 - level / 2 is infinite, or no shift has the power.
    if not _LEAST <= level < 0.5:
        raise UserError(f"level {level:g}: give a number between {_LEAST:f} and 0.5")
    if not level < power <= 1 - _LEAST:
        raise UserError(f"power {power:g}: give a number between the level and {1 - _LEAST:f}")


def measured_power(
    store: Store | str,
    a: str,
    b: str,
    *,
    suite: str | None = None,
    difference: float | None = None,
    power: float = POWER,
    level: float = 0.05,
    on: str = "all",
) -> PowerReport:
    """What a comparison of two models of a store sees, and what more of it would cost.

    Args:
        store: Where their runs are.
        a: One model.
        b: The other.
        suite: Where they share several.
        difference: See `power_of_pair`.
        power: See there.
        level: See there.
        on: See `lens_ray.stats.marks.load_marks`.

    Raises:
        UserError: See `load_marks` and `power_of_pair`.
        StoreUnavailable: The store is out of reach or damaged.
    """
    from lens_ray.stats.costs import costs_of
    from lens_ray.stats.marks import load_marks
    from lens_ray.store import open_store

    check(difference, power, level)
    opened = open_store(store)
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
