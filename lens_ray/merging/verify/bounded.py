"""One difference held against one limit: `bounded`, and its p-values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from lens_ray.merging.checks import Check
from lens_ray.stats.gate.bounds import Bounded
from lens_ray.stats.gate.evidence import Check as Requirement
from lens_ray.stats.gate.evidence import Decision, held_against

if TYPE_CHECKING:
    from lens_ray.merging.verify.policy import BehaviourLimits


def p_values(found: Bounded, limit: float) -> tuple[float, float]:
    """p-values of "the difference is not above the limit" and of "it is not below it".

    Args:
        found: With an estimate and bounds.
        limit: Of the difference.
    """
    assert found.estimate is not None
    assert found.bounds is not None
    asked = Requirement("", "", "", Decision.CANNOT_SAY, estimate=found.estimate, limit=limit)
    held = held_against(asked, found.bounds, 0.05)
    assert held.p is not None
    assert held.p_against is not None
    return held.p, held.p_against


def bounded(
    name: str,
    found: Bounded,
    limit: float,
    limits: BehaviourLimits,
    told: str,
    *,
    above: bool = True,
    subject: str | None = None,
    family: int = 1,
) -> Check:
    """A check that passes where a one-sided bound keeps the limit, alone.

    It fails where the bound on the other side, at this kind's share of ``fault_level``, breaks it.

    Args:
        name: Of the check.
        found: The difference; without clusters (0) nothing is asked of their number.
        limit: Of the difference.
        limits: Level, and least number of clusters.
        told: What it is the difference of.
        above: Whether it must be above the limit; else below.
        subject: What it is about.
        family: How many of its kind there are (Bonferroni, of a failure).
    """
    if found.bounds is None or found.estimate is None:
        what = f"{told}: {found.reason or 'there is no figure'}"
        return Check("V4", name, "cannot_say", what, subject=subject)
    low, high = found.bounds(limits.level)
    figures: dict[str, float | int | str | None] = {
        "merge": found.candidate, "other": found.baseline, "difference": found.estimate,
        "low": low, "high": high, "limit": limit, "n": found.n, "clusters": found.clusters,
    }  # fmt: skip
    what = (
        f"{told}: {found.estimate:+.4f} [{low:+.4f}, {high:+.4f}], must be "
        f"{'above' if above else 'below'} {limit:g}"
    )
    if 0 < found.clusters < limits.min_clusters:
        what += f"; {found.clusters} clusters are too few to say"
        return Check("V4", name, "cannot_say", what, figures, subject=subject)
    least, most = found.bounds(limits.fault_share / family)
    good, bad = (low > limit, most < limit) if above else (high < limit, least > limit)
    verdict: Literal["pass", "fail", "cannot_say"] = (
        "pass" if good else "fail" if bad else "cannot_say"
    )
    return Check("V4", name, verdict, what, figures, subject=subject)
