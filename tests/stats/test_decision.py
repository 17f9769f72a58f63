"""Recall at a share of false alarms, by hand."""

from __future__ import annotations

import dataclasses
import math
import random

import pyarrow as pa
import pytest

from lens_ray.stats.decision import decisions, operating_point, suspicion
from lens_ray.store.schema import ROWS
from lens_ray.suites.sample import Sample
from tests.suites.makers import OPEN

ASKS = {"decision_positive": "yes", "decision_max_false_alarms": "0.25"}


def samples(answers: str) -> list[Sample]:
    """One yes/no question a letter (y or n)."""
    return [
        dataclasses.replace(
            OPEN, sample_id=f"s{at}", cluster_id=f"c{at}", format="true_false", meta=ASKS,
            answers=("yes" if letter == "y" else "no",), subtask="defect",
        )
        for at, letter in enumerate(answers)
    ]  # fmt: skip


def rows(*given: tuple[str | None, float | None], status: str = "ok") -> pa.Table:
    """One row an answer and its confidence."""
    found = [
        {"sample_id": f"s{at}", "status": status, "extracted": answer, "confidence": confidence}
        for at, (answer, confidence) in enumerate(given)
    ]
    return pa.Table.from_pylist(found, schema=ROWS)


def test_the_operating_point_by_hand() -> None:
    # From the most suspicious on: y y n y n n n y; four of each.
    values = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    ought = [letter == "y" for letter in "yynynnny"]
    found = {allowed: operating_point(values, ought, allowed) for allowed in (0.0, 0.25, 0.5, 0.75)}
    shown = {a: (p.threshold, p.recall, p.false_alarms) for a, p in found.items()}
    assert shown == {
        0.0: (0.8, 0.5, 0.0), 0.25: (0.6, 0.75, 0.25), 0.5: (0.5, 0.75, 0.5),
        0.75: (0.4, 0.75, 0.75),
    }  # fmt: skip


def test_equal_suspicions_are_not_split() -> None:
    found = operating_point([0.9, 0.5, 0.5, 0.1], [True, True, False, False], 0.4)
    assert (found.threshold, found.recall, found.false_alarms) == (0.9, 0.5, 0.0)
    never = operating_point([0.9, 0.9, 0.1], [True, False, False], 0.1)
    assert (never.threshold, never.recall, never.false_alarms) == (None, 0.0, 0.0)
    with pytest.raises(ValueError, match="both kinds"):
        operating_point([0.5], [True], 0.1)


def test_against_a_plain_search_over_every_threshold() -> None:
    rng = random.Random(7)
    for _ in range(200):
        size = rng.randint(2, 12)
        values = [rng.randint(0, 5) / 5 for _ in range(size)]
        ought = [True, False, *(rng.random() < 0.5 for _ in range(size - 2))]
        allowed = rng.choice([0.0, 0.1, 0.2, 0.5])
        bad = [v for v, o in zip(values, ought, strict=True) if o]
        good = [v for v, o in zip(values, ought, strict=True) if not o]
        best = max(
            sum(v >= threshold for v in bad) / len(bad)
            for threshold in (*values, math.inf)
            if sum(v >= threshold for v in good) <= allowed * len(good) + 1e-9
        )
        assert operating_point(values, ought, allowed).recall == best


def test_what_an_answer_makes_suspicious() -> None:
    assert suspicion("yes", 0.9, "yes") == 0.9
    assert suspicion("no", 0.9, "yes") == pytest.approx(0.1)
    assert suspicion("yes", None, "yes") == 1.0
    assert suspicion("no", None, "yes") == 0.0
    assert suspicion("no", math.nan, "yes") == 0.0
    assert suspicion("yes", 3.0, "yes") == 1.0
    assert suspicion(None, 0.9, "yes") == 0.0


def test_a_run_with_confidences() -> None:
    # Suspicions: .9 .6 .2 (defects) and .7 .3 .1 .4 (good ones); one of four may alarm.
    table = rows(("yes", 0.9), ("yes", 0.6), ("no", 0.8), ("yes", 0.7), ("no", 0.7), ("no", 0.9),
                 ("no", 0.6))  # fmt: skip
    (found,) = decisions(table, samples("yyynnnn"))
    assert (found.subtask, found.positives, found.negatives) == ("defect", 3, 4)
    # At 0.4 a second good one alarms, so 0.6 is the lowest threshold.
    assert (found.threshold, found.recall, found.false_alarms) == (0.6, 2 / 3, 0.25)
    # Wilson's interval of 2 of 3 (z = 1.96): (0.6667 + 0.6402 -+ ...) / 2.2804.
    assert found.recall_low == pytest.approx(0.2077, abs=1e-3)
    assert found.recall_high == pytest.approx(0.9385, abs=1e-3)
    assert (found.without_confidence, found.reason) == (0, None)


def test_rows_without_confidence() -> None:
    good = rows(
        ("yes", None), ("no", None), ("yes", None), ("no", None), ("no", None), ("no", None)
    )
    (found,) = decisions(good, samples("yynnnn"))
    assert (found.threshold, found.recall, found.false_alarms) == (1.0, 0.5, 0.25)
    assert found.without_confidence == 6
    eager = rows(*[("yes", None)] * 6)
    (found,) = decisions(eager, samples("yynnnn"))
    assert (found.recall, found.threshold, found.false_alarms) == (None, None, 1.0)
    assert found.reason == (
        "no row has a confidence, and the answers as they are raise 1.000 false alarms, "
        "more than 0.25"
    )
    mixed = rows(("yes", 0.9), ("yes", None), ("no", 0.6), ("yes", 0.95), ("no", 0.9), ("no", None))
    (found,) = decisions(mixed, samples("yynnnn"))
    # 1.0 (sure) y, .95 n, .9 y, .4 n, .1 n, 0 n
    assert (found.threshold, found.recall, found.without_confidence) == (0.9, 1.0, 2)


def test_undefined_has_a_reason() -> None:
    table = rows(("yes", 0.9), ("no", 0.9))
    assert decisions(table, [OPEN]) == []
    for kinds, reason in (("yy", "every sample ought"), ("nn", "no sample ought")):
        (found,) = decisions(table, samples(kinds))
        assert found.recall is None
        assert reason in (found.reason or "")
    (found,) = decisions(rows(("yes", 0.9), ("no", 0.9), status="infra_error"), samples("yn"))
    assert (found.recall, found.reason) == (None, "coverage 0.0000 is below 0.99")
    (found,) = decisions(rows(("no", 0.9), ("yes", 0.9), ("no", 0.9)), samples("ynn"))
    assert (found.threshold, found.recall) == (None, 0.0)
    assert "every threshold" in (found.reason or "")
