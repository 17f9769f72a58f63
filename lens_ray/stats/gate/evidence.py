"""What a gate found: `Check` for each requirement, `Verdict` for the policy.

Two errors are held down, both at the policy's level:

* GO though a requirement does not hold. A policy says GO only where every check does, so each
  check may be tested at the level itself (intersection-union test).
* NO-GO though every requirement holds. One check that says NO-GO is enough, so the p-values
  against the requirements are adjusted by Holm over all tested checks of the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from lens_ray.stats.detectable import POWER
from lens_ray.stats.frames import Framed
from lens_ray.stats.multiplicity import holm

#: Smallest p-value that is told from 0.
TINY = 1e-6
#: More than this many times the samples is no advice.
_MOST = 100.0


class Decision(StrEnum):
    """What a check or a policy comes to."""

    GO = "GO"
    NO_GO = "NO-GO"
    CANNOT_SAY = "cannot say"


#: Lower and upper bound of an estimate, each of which errs with the probability that is given.
Bounds = Callable[[float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Check(Framed):
    """One requirement, and what speaks for and against it.

    Attributes:
        rule: Kind of the rule.
        figure: The ability, ``overall``, or a composite.
        requirement: What must hold, in words.
        decision: Of this requirement.
        candidate: The candidate's value; None with a reason.
        baseline: The baseline's; None where none is compared.
        estimate: What is held against ``limit``: a value, or a difference of two.
        ci_low: Lower bound; that it is too high has the probability ``level``.
        ci_high: Upper bound; likewise.
        limit: The bound of the requirement.
        above: Whether ``estimate`` must be above ``limit``; else below.
        n: Units (samples) that count.
        clusters: Clusters of these; None where nothing is estimated.
        p: p-value for the requirement: of the data where it just fails. GO at ``level``.
        p_against: p-value against it, Holm-adjusted over the policy. NO-GO at ``level``.
        times: About how many times the samples would decide, were the estimate the truth.
        reason: Why a figure is None or nothing can be said.
    """

    rule: str
    figure: str
    requirement: str
    decision: Decision
    candidate: float | None = None
    baseline: float | None = None
    estimate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    limit: float | None = None
    above: bool = True
    n: int | None = None
    clusters: int | None = None
    p: float | None = None
    p_against: float | None = None
    times: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict(Framed):
    """What a policy says of a candidate.

    Attributes:
        policy: Its name.
        decision: GO where every check says so; NO-GO where one does; else cannot say.
        candidate: The candidate's model.
        baseline: The baseline's; None where no rule compares.
        candidate_run: Id of its run.
        baseline_run: Likewise.
        suite: Name of the suite.
        suite_digest: Its digest.
        level: Of both errors, see the page's top.
        checks: In the order of the policy.
        notes: What a reader should know, one line each.
    """

    policy: str
    decision: Decision
    candidate: str
    baseline: str | None
    candidate_run: str
    baseline_run: str | None
    suite: str
    suite_digest: str
    level: float
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """One record a check."""
        return [asdict(check) for check in self.checks]


def held_against(check: Check, bounds: Bounds, level: float) -> Check:
    """Hold an estimate against its limit.

    Args:
        check: With ``estimate`` and ``limit``.
        bounds: Of the estimate.
        level: Of the interval.

    Returns:
        The check with interval and p-values (the one against it not yet adjusted); its decision
        stays open.
    """
    estimate, limit = check.estimate, check.limit
    assert estimate is not None
    assert limit is not None
    low, high = bounds(level)
    over = estimate > limit
    side = 0 if over else 1
    small = _smallest(lambda tail: (bounds(tail)[side] > limit) == over)
    p, p_against = (small, 1 - small) if over == check.above else (1 - small, small)
    return replace(
        check, ci_low=low, ci_high=high, p=p, p_against=p_against,
        times=_times(high - low, abs(estimate - limit), level),
    )  # fmt: skip


def counted(check: Check) -> Check:
    """Decide by a count that is no estimate; the limit itself is allowed."""
    assert check.estimate is not None
    assert check.limit is not None
    gap = check.estimate - check.limit if check.above else check.limit - check.estimate
    return replace(check, decision=Decision.GO if gap >= -1e-12 else Decision.NO_GO)


def any_of(checks: Sequence[Check]) -> Check:
    """One check that holds where at least one of several does.

    Its p-value is the smallest after Holm's adjustment; against it speaks the largest, for all of
    them must fail.
    """
    known = [check for check in checks if check.p is not None and check.p_against is not None]
    if not known:
        best = checks[0]
    else:
        best = min(known, key=lambda check: check.p or 0.0)
        if len(known) == len(checks):
            against = max(check.p_against or 0.0 for check in known)
        else:
            against = 1.0
        least = min(holm([check.p or 0.0 for check in known]))
        best = replace(best, p=least, p_against=against)
    names = ", ".join(check.figure for check in checks)
    return replace(
        best,
        figure=f"any of {len(checks)}: {best.figure}",
        requirement=f"{best.requirement} in one of {names}",
        times=None,
    )


def decided(checks: Sequence[Check], level: float) -> list[Check]:
    """The checks with their decisions; see the page's top."""
    found = list(checks)
    tests = [place for place, check in enumerate(found) if check.p is not None]
    adjusted = holm([found[place].p_against or 0.0 for place in tests])
    for place, against in zip(tests, adjusted, strict=True):
        check = found[place]
        decision = Decision.CANNOT_SAY
        if (check.p or 0.0) <= level:
            decision = Decision.GO
        elif against <= level:
            decision = Decision.NO_GO
        times = check.times if decision is Decision.CANNOT_SAY else None
        found[place] = replace(check, p_against=against, decision=decision, times=times)
    return found


def overall(checks: Sequence[Check]) -> Decision:
    """What a policy comes to."""
    decisions = {check.decision for check in checks}
    if Decision.NO_GO in decisions:
        return Decision.NO_GO
    return Decision.CANNOT_SAY if Decision.CANNOT_SAY in decisions else Decision.GO


def _smallest(rejects: Callable[[float], bool]) -> float:
    """The smallest level below 1/2 at which a bound rejects, by bisection of its logarithm."""
    low, high = TINY, 0.499
    if rejects(low):
        return low
    if not rejects(high):
        return high
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if rejects(middle) else (middle, high)
    return high


def _times(width: float, gap: float, level: float) -> float | None:
    """How many times the samples would decide with power 0.8."""
    from scipy.special import ndtri

    if not gap > 0 or not width > 0:
        return None
    tail = float(-ndtri(level))
    se = width / (2 * tail)
    found = ((tail + float(ndtri(POWER))) * se / gap) ** 2
    return found if 1.0 < found < _MOST else None
