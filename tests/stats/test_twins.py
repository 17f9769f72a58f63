"""Seeing and reasoning told apart, by hand."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest

from lens_ray.stats.twins import (
    BLIND,
    CANNOT_SAY,
    SEES_AND_REASONS,
    SEES_ONLY,
    TwinScore,
    twin_scores,
)
from lens_ray.store.schema import ROWS
from lens_ray.suites.sample import Sample
from tests.suites.makers import OPEN


def pairs(count: int) -> list[Sample]:
    """Thoughts with chance 1/2 and their twins with chance 1/4, one picture a pair."""
    found = []
    for at in range(count):
        eyes = dataclasses.replace(
            OPEN, sample_id=f"eyes{at}", cluster_id=f"c{at}", subtask="seen", chance=0.25
        )
        found += [eyes, dataclasses.replace(
            eyes, sample_id=f"thought{at}", subtask="thought", chance=0.5,
            meta={"twin": eyes.sample_id},
        )]  # fmt: skip
    return found


def told(*marks: tuple[float | None, float | None]) -> TwinScore:
    """The verdict on pairs of marks: eyes, thought; None is a failure of the engine."""
    rows = [
        {"sample_id": f"{kind}{at}", "score": score, "status": "infra_error" if score is None
         else "ok"}
        for at, both in enumerate(marks)
        for kind, score in zip(("eyes", "thought"), both, strict=True)
    ]  # fmt: skip
    (found,) = twin_scores(pa.Table.from_pylist(rows, schema=ROWS), pairs(len(marks)))
    return found


def test_shares_by_hand() -> None:
    found = told((1, 1), (1, 1), (1, 0), (1, 1), (0, 1), (0, 0), (0.9, 0), (1, None))
    assert (found.subtask, found.seen_by, found.pairs) == ("thought", "seen", 7)
    # 0.9 is not the full score: 4 of 7 were seen, of those 3 thought right, of the others 1 of 3.
    assert found.seen == pytest.approx(4 / 7)
    assert found.right_if_seen == pytest.approx(3 / 4)
    assert found.right_if_unseen == pytest.approx(1 / 3)
    # Wilson, z = 1.95996, 4 of 7: centre .56107, half width .31074 around, over 1 + z2 / 7.
    assert (found.seen_low, found.seen_high) == pytest.approx((0.2505, 0.8418), abs=1e-3)


@pytest.mark.parametrize(
    ("marks", "verdict"),
    [
        ([(1, 1)] * 30, SEES_AND_REASONS),
        ([(1, 1), (1, 0)] * 20, SEES_ONLY),  # half of them right is chance
        ([(1, 0)] * 30, SEES_ONLY),
        ([(0, 1), (0, 0), (0, 1), (1, 0)] * 10, BLIND),
        ([(0, 0)] * 30, BLIND),
        ([(1, 1)] * 2, CANNOT_SAY),
        ([(1, 1), (0, 0)] * 3, CANNOT_SAY),
        ([(1, 1), (1, 1), (1, 0)] * 4, CANNOT_SAY),
    ],
)
def test_verdicts(marks: list[tuple[float, float]], verdict: str) -> None:
    assert told(*marks).verdict == verdict


def test_nothing_answered_and_no_twins() -> None:
    found = told((None, None), (1, None))
    assert (found.pairs, found.seen, found.right_if_seen, found.verdict) == (
        0, None, None, CANNOT_SAY,
    )  # fmt: skip
    assert twin_scores(ROWS.empty_table(), [OPEN]) == []
    lonely = dataclasses.replace(OPEN, meta={"twin": "not asked in this run"})
    assert twin_scores(ROWS.empty_table(), [lonely]) == []


def test_a_picture_counts_once() -> None:
    samples = [dataclasses.replace(sample, cluster_id="one") for sample in pairs(30)]
    rows = [{"sample_id": s.sample_id, "score": 1.0, "status": "ok"} for s in samples]
    (found,) = twin_scores(pa.Table.from_pylist(rows, schema=ROWS), samples)
    # One picture, all right: Wilson's lower bound is 1 / (1 + 3.8415).
    assert found.seen_low == pytest.approx(0.2065, abs=1e-3)
    assert found.verdict == CANNOT_SAY
