"""Samples on which no new failure is tolerated: `critical`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lens_ray.merging.checks import Check
from lens_ray.stats.units import SAME

if TYPE_CHECKING:
    from lens_ray.merging.verify.policy import CriticalSamples
    from lens_ray.merging.verify.tiers import BehaviourGround

CONFIDENCE = 0.95
#: Stricter limits for which the samples needed are told, beside half of the present bound.
_STRICTER = (0.01, 0.001)
#: Sample ids that are written out.
_SHOWN = 5


def upper_bound(failures: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper bound of a rate (Clopper and Pearson 1934); 1 of no trial.

    Args:
        failures: That were seen.
        trials: Independent ones.
        confidence: One-sided.
    """
    from scipy.special import betaincinv

    if failures >= trials:
        return 1.0
    return float(betaincinv(failures + 1, trials - failures, confidence))


def samples_needed(rate: float, confidence: float = CONFIDENCE) -> int:
    """Independent samples without a failure that bring the upper bound down to a rate.

    (1 - rate)^n <= 1 - confidence: about 3 / rate at 95 %.
    """
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate))


def critical(ground: BehaviourGround, samples: CriticalSamples) -> tuple[Check, ...]:
    """New failures among the samples that a user declared critical.

    A failure is a mark below the sample's upper bound. It is new where the final checkpoint
    (``against: final``), or any parent, has none. Samples of one image are one trial: it fails
    where one of them does.

    Args:
        ground: With the rows of merge and parents.
        samples: Which ones, and how many new failures are allowed.

    Returns:
        ``critical`` and ``critical_coverage``; none where no sample is declared.
    """
    if not samples.samples:
        return ()
    rows = {label: _by_id(ground, label) for label in _labels(ground, samples)}
    mine = _by_id(ground, ground.merge)
    known = sorted({*mine, *(one for others in rows.values() for one in others)})
    chosen = [one for one in known if _matches(one, samples.samples)]
    unmatched = [
        pattern
        for pattern in samples.samples
        if not any(_matches(one, (pattern,)) for one in chosen)
    ]
    marked = [one for one in chosen if _marked(mine.get(one))]
    return (
        _coverage(chosen, marked, unmatched),
        _failures(marked, mine, list(rows.values()), samples),
    )


def _labels(ground: BehaviourGround, samples: CriticalSamples) -> Sequence[str]:
    if samples.against == "final" and ground.final is not None:
        return (ground.final,)
    return ground.parents


def _coverage(chosen: Sequence[str], marked: Sequence[str], unmatched: Sequence[str]) -> Check:
    """Whether every critical sample was asked and marked."""
    figures = {"samples": len(chosen), "marked": len(marked), "unmatched": len(unmatched)}
    if unmatched:
        what = f"no sample is called {_few(unmatched)}; correct the policy or ask another suite"
        return Check("V4", "critical_coverage", "cannot_say", what, figures)
    lacking = sorted({*chosen} - {*marked})
    if lacking:
        what = f"{len(lacking)} of {len(chosen)} critical samples have no mark: {_few(lacking)}"
        return Check("V4", "critical_coverage", "cannot_say", what, figures)
    what = f"all {len(chosen)} critical samples are marked"
    return Check("V4", "critical_coverage", "pass", what, figures)


def _failures(
    marked: Sequence[str],
    mine: dict[str, dict[str, Any]],
    others: Sequence[dict[str, dict[str, Any]]],
    samples: CriticalSamples,
) -> Check:
    failed = [one for one in marked if _fails(mine[one])]
    passed_before = {
        one
        for one in marked
        if any(_marked(rows.get(one)) and not _fails(rows[one]) for rows in others)
    }
    new = [one for one in failed if one in passed_before]
    trials = {mine[one]["cluster_id"] for one in passed_before}
    broken = {mine[one]["cluster_id"] for one in new}
    bound = upper_bound(len(broken), len(trials))
    figures: dict[str, float | int | str | None] = {
        "samples": len(marked), "passed_before": len(passed_before), "failures": len(failed),
        "new_failures": len(new), "images": len(trials), "images_failed": len(broken),
        "upper_bound": bound, "limit": samples.max_new_failures, "bound_limit": samples.bound,
        **{
            f"samples_for_{rate:.2g}": samples_needed(rate)
            for rate in (*_STRICTER, bound / 2)
            if rate < bound
        },
    }  # fmt: skip
    what = (
        f"{len(new)} new failures in {len(passed_before)} critical samples ({len(trials)} images) "
        f"that were right before; their rate is at most {bound:.2%} (95 %)"
    )
    if new:
        what += f": {_few(new)}"
    if len(failed) > len(new):
        what += f"; {len(failed) - len(new)} more fail as before"
    what += f"; a limit of {bound / 2:.2%} needs {samples_needed(bound / 2)} images without one"
    if len(new) > samples.max_new_failures:
        return Check("V4", "critical", "fail", what, figures)
    if not trials or (samples.bound is not None and bound > samples.bound):
        return Check("V4", "critical", "cannot_say", what, figures)
    return Check("V4", "critical", "pass", what, figures)


def _by_id(ground: BehaviourGround, label: str) -> dict[str, dict[str, Any]]:
    rows = ground.rows.get(label)
    if rows is None:
        return {}
    kept = rows.select(["sample_id", "cluster_id", "score", "upper"])
    return {row["sample_id"]: row for row in kept.to_pylist()}


def _marked(row: dict[str, Any] | None) -> bool:
    return row is not None and row["score"] is not None


def _fails(row: dict[str, Any]) -> bool:
    return bool(row["score"] < row["upper"] - SAME)


def _matches(sample_id: str, patterns: Iterable[str]) -> bool:
    return any(sample_id == pattern or fnmatchcase(sample_id, pattern) for pattern in patterns)


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
