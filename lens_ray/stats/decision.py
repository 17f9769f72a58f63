"""Inspection as a decision: `decisions`, the recall at a share of false alarms that is allowed.

A yes/no answer with its confidence is a suspicion: the confidence where the answer raises the
alarm, one less it where it does not. The threshold is the lowest at which no more of the good ones
than allowed raise the alarm; equal suspicions are never split.

A row without a confidence is sure of its answer: suspicion 1 where that raises the alarm, else 0.
Where no row has one, no threshold can be moved: the answers stand as they are, and there is no
recall where they raise more false alarms than allowed. An answer that is refused, cut or not to be
parsed raises no alarm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from lens_ray.stats.intervals import wilson
from lens_ray.stats.units import FINAL
from lens_ray.suites.sample import Sample

#: Columns of the rows that are read.
COLUMNS: tuple[str, ...] = ("sample_id", "status", "extracted", "confidence")
#: Below this share of samples with an answer nothing is said, as of scores.
_COVERAGE = 0.99


@dataclass(frozen=True, slots=True)
class DecisionScore:
    """One subtask of one run, as an inspection.

    Attributes:
        subtask: Its name.
        positive: The answer that raises the alarm.
        max_false_alarms: Share of good ones that may raise it.
        positives: Samples that ought to raise it, answered.
        negatives: Samples that ought not to.
        threshold: Suspicion from which the alarm is raised; None where it never is.
        recall: Share of the positives found at that threshold.
        recall_low: Lower bound of its 95 % interval (Wilson, over images, the threshold given).
        recall_high: Upper bound.
        false_alarms: Share of the negatives that raise the alarm at that threshold.
        without_confidence: Answered rows without a confidence.
        reason: Why a figure is None, or why the threshold is.
    """

    subtask: str
    positive: str
    max_false_alarms: float
    positives: int
    negatives: int
    threshold: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    false_alarms: float | None
    without_confidence: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Where a threshold stands and what comes of it; without a threshold no alarm is raised."""

    threshold: float | None
    recall: float
    false_alarms: float


def operating_point(
    suspicions: Sequence[float], positive: Sequence[bool], max_false_alarms: float
) -> OperatingPoint:
    """The highest recall at a share of false alarms that is allowed.

    Args:
        suspicions: Of each sample; it raises the alarm from the threshold on.
        positive: Whether it ought to; both kinds are there.
        max_false_alarms: Allowed share of the others, bound included.

    Raises:
        ValueError: Only one kind is there.
    """
    positives, negatives = sum(positive), len(positive) - sum(positive)
    if not positives or not negatives:
        raise ValueError("a recall at false alarms needs both kinds")
    best = OperatingPoint(None, 0.0, 0.0)
    found = alarms = 0
    ranked = sorted(zip(suspicions, positive, strict=True), reverse=True)
    for place, (suspicion, ought) in enumerate(ranked):
        found += ought
        alarms += not ought
        if place + 1 < len(ranked) and ranked[place + 1][0] == suspicion:
            continue
        # A hair above, for shares as 0.1 of 30 that are not exact.
        if alarms > max_false_alarms * negatives + 1e-9:
            break
        best = OperatingPoint(suspicion, found / positives, alarms / negatives)
    return best


def suspicion(extracted: str | None, confidence: float | None, positive: str) -> float:
    """How suspicious an answer makes a sample, 0 to 1; see the page's top for the rule."""
    if extracted is None:
        return 0.0
    sure = 1.0 if not is_confidence(confidence) else float(confidence or 0.0)
    return sure if extracted == positive else 1.0 - sure


def is_confidence(value: float | None) -> bool:
    """Whether a value is a probability; what a backend gives otherwise counts as none."""
    return value is not None and math.isfinite(value) and 0.0 <= value <= 1.0


def decisions(rows: pa.Table, samples: Iterable[Sample]) -> list[DecisionScore]:
    """The subtasks whose pack asks to be judged as an inspection.

    Args:
        rows: Rows of one run, with `COLUMNS`.
        samples: What was to be answered; ``decision_positive`` and ``decision_max_false_alarms``
            of `Sample.meta` ask for it.

    Returns:
        One a subtask, by name.
    """
    asked: dict[str, list[Sample]] = {}
    for sample in samples:
        if "decision_positive" in sample.meta:
            asked.setdefault(sample.subtask, []).append(sample)
    if not asked:
        return []
    by_id = {row["sample_id"]: row for row in rows.select(COLUMNS).to_pylist()}
    return [_decision(name, members, by_id) for name, members in sorted(asked.items())]


def _decision(
    name: str, samples: Sequence[Sample], rows: Mapping[str, Mapping[str, object]]
) -> DecisionScore:
    positive = samples[0].meta["decision_positive"]
    allowed = float(samples[0].meta["decision_max_false_alarms"])
    answered: list[tuple[Sample, str | None, float | None]] = []
    for sample in samples:
        row = rows.get(sample.sample_id)
        if row is not None and row["status"] in FINAL:
            extracted, confidence = row["extracted"], row["confidence"]
            assert extracted is None or isinstance(extracted, str)
            assert confidence is None or isinstance(confidence, float)
            answered.append((sample, extracted, confidence))
    ought = [positive in sample.answers for sample, _, _ in answered]
    without = sum(not is_confidence(confidence) for _, _, confidence in answered)
    facts = (name, positive, allowed, sum(ought), len(ought) - sum(ought))
    reason = _why_none(len(answered), len(samples), facts[3], facts[4])
    if reason is not None:
        return DecisionScore(*facts, *(None,) * 5, without, reason)
    point = operating_point([suspicion(e, c, positive) for _, e, c in answered], ought, allowed)
    if point.threshold is None:
        if without == len(answered):
            alarms = sum(
                e == positive and not bad
                for (_, e, _), bad in zip(answered, ought, strict=True)
            )  # fmt: skip
            reason = (
                f"no row has a confidence, and the answers as they are raise "
                f"{alarms / facts[4]:.3f} false alarms, more than {allowed:g}"
            )
            return DecisionScore(*facts, *(None,) * 4, alarms / facts[4], without, reason)
        reason = "every threshold raises more false alarms; at none, no alarm is raised"
    clusters = {s.cluster_id for (s, _, _), bad in zip(answered, ought, strict=True) if bad}
    low, high = wilson(point.recall, len(clusters))
    return DecisionScore(
        *facts, point.threshold, point.recall, low, high, point.false_alarms, without, reason
    )


def _why_none(answered: int, expected: int, positives: int, negatives: int) -> str | None:
    if answered / expected < _COVERAGE:
        return f"coverage {answered / expected:.4f} is below {_COVERAGE:g}"
    if not positives:
        return "no sample ought to raise the alarm"
    return None if negatives else "every sample ought to raise the alarm"
