"""Does a model fail to see, or to reason: `twin_scores`.

A question that needs a step of thought has a twin on the same picture that asks only what there is
to see (``twin`` of `Sample.meta` names it). The share of twins that were seen, and the share of
thoughts that are right among those, tell the two apart. An answer is right where it has the full
score of its item.

The verdict compares intervals (95 %, Wilson, over images) with chance: a share is *above* it where
its interval is, and *at* it where its interval holds chance and ends below the middle between
chance and 1. Anything else cannot be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from lens_ray.stats.intervals import wilson
from lens_ray.stats.units import FINAL
from lens_ray.suites.sample import Sample

#: Columns of the rows that are read.
COLUMNS: tuple[str, ...] = ("sample_id", "status", "score")
#: Scores are sums of fractions; a hair below the highest is the highest.
_HAIR = 1e-9

SEES_AND_REASONS = "sees and reasons"
SEES_ONLY = "sees but cannot reason"
BLIND = "does not see"
CANNOT_SAY = "cannot say"


@dataclass(frozen=True, slots=True)
class TwinScore:
    """One subtask of thoughts and the subtask of its twins, of one run.

    Attributes:
        subtask: The one that needs thought.
        seen_by: The one that needs eyes.
        pairs: Pairs of which both were answered.
        seen: P(perceive right).
        seen_low: Lower bound of its 95 % interval.
        seen_high: Upper bound.
        right_if_seen: P(reason right | perceive right); None where nothing was seen.
        right_if_seen_low: Lower bound of its 95 % interval.
        right_if_seen_high: Upper bound.
        right_if_unseen: P(reason right | perceive wrong); None where all was seen.
        verdict: `SEES_AND_REASONS`, `SEES_ONLY`, `BLIND` or `CANNOT_SAY`.
    """

    subtask: str
    seen_by: str
    pairs: int
    seen: float | None
    seen_low: float | None
    seen_high: float | None
    right_if_seen: float | None
    right_if_seen_low: float | None
    right_if_seen_high: float | None
    right_if_unseen: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class _Pair:
    thought: Sample
    twin: Sample
    seen: bool
    right: bool


@dataclass(frozen=True, slots=True)
class _Share:
    value: float | None
    low: float | None
    high: float | None

    def against(self, chance: float) -> str:
        """``above``, ``at`` or ``open``."""
        if self.low is None or self.high is None:
            return "open"
        if self.low > chance:
            return "above"
        return "at" if self.high < (1.0 + chance) / 2 else "open"


def twin_scores(rows: pa.Table, samples: Iterable[Sample]) -> list[TwinScore]:
    """What the twins of a suite tell of one run.

    Args:
        rows: Its rows, with `COLUMNS`.
        samples: What was to be answered.

    Returns:
        One a subtask that has twins, by name; none where no sample has a twin.
    """
    by_id = {sample.sample_id: sample for sample in samples}
    thoughts = [sample for sample in by_id.values() if sample.meta.get("twin") in by_id]
    if not thoughts:
        return []
    right = {
        row["sample_id"]: row["score"] >= by_id[row["sample_id"]].upper - _HAIR
        for row in rows.select(COLUMNS).to_pylist()
        if row["status"] in FINAL and row["sample_id"] in by_id
    }
    groups: dict[tuple[str, str], list[_Pair]] = {}
    for thought in thoughts:
        twin = by_id[thought.meta["twin"]]
        members = groups.setdefault((thought.subtask, twin.subtask), [])
        if thought.sample_id in right and twin.sample_id in right:
            seen, thought_right = right[twin.sample_id], right[thought.sample_id]
            members.append(_Pair(thought, twin, seen, thought_right))
    return [_score(*names, groups[names]) for names in sorted(groups)]


def _score(subtask: str, seen_by: str, pairs: Sequence[_Pair]) -> TwinScore:
    seen_pairs = [pair for pair in pairs if pair.seen]
    unseen = [pair for pair in pairs if not pair.seen]
    seen = _share([pair.seen for pair in pairs], pairs)
    right = _share([pair.right for pair in seen_pairs], seen_pairs)
    verdict = CANNOT_SAY
    if pairs:
        verdict = _verdict(
            seen.against(_mean([pair.twin.chance for pair in pairs])),
            right.against(_mean([pair.thought.chance for pair in pairs])),
        )
    return TwinScore(
        subtask, seen_by, len(pairs),
        seen.value, seen.low, seen.high,
        right.value, right.low, right.high,
        _mean([float(pair.right) for pair in unseen]) if unseen else None,
        verdict,
    )  # fmt: skip


def _verdict(seen: str, right: str) -> str:
    if seen == "at":
        return BLIND
    known: Mapping[tuple[str, str], str] = {
        ("above", "above"): SEES_AND_REASONS, ("above", "at"): SEES_ONLY,
    }  # fmt: skip
    return known.get((seen, right), CANNOT_SAY)


def _share(values: Sequence[bool], pairs: Sequence[_Pair]) -> _Share:
    if not values:
        return _Share(None, None, None)
    share = sum(values) / len(values)
    return _Share(share, *wilson(share, len({pair.thought.cluster_id for pair in pairs})))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
