"""The parts of the benchmark of advice: who ends when, and what is counted as lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.benchmarks.bench_online_advice import (
    TRUTHS,
    outcomes,
    patient_end,
    sound_of,
    until,
    watch,
)
from lens_ray.stats.abilities import OVERALL
from tests.online.hand_made import series


@pytest.mark.parametrize(
    ("scores", "end"),
    [
        ([1, 2, 3, 3, 2, 1, 3, 3, 9], 7),  # the 3 of place 2 is five old at place 7
        ([1, 2, 3, 4, 5, 6, 7], 6),
        ([5, 1, 1, 1, 1, 1, 9], 5),
    ],
)
def test_patience_ends_when_the_best_is_five_old(scores: list[float], end: int) -> None:
    assert patient_end(np.array(scores, dtype=np.float64)) == end


def test_a_look_knows_nothing_of_what_comes() -> None:
    run = series({"ocr": [100, 150, 200]})
    so_far = until(run, 1)
    assert so_far.steps.tolist() == [100, 200]
    assert so_far.marks.score.shape[0] == 2


def test_what_is_lost_is_counted_against_the_best_of_the_whole_run() -> None:
    counts = [100, 200, 300, 300, 300, 300, 300, 300, 300, 300, 300, 300, 260, 260]
    run = series({"ocr": counts})
    truth = np.array(counts) / 400
    found = outcomes(run, {"ocr": truth, OVERALL: truth}, watch())
    assert found["fixed"].compute == 1.0
    assert found["fixed"].lost == pytest.approx(10.0)  # 0.75 - 0.65
    assert found["oracle"].compute == pytest.approx(3 / 14)
    assert found["oracle"].lost == 0.0
    assert found["patience"].compute == pytest.approx(8 / 14)
    assert found["patience"].lost == 0.0
    assert found["advice"].lost == 0.0
    assert 3 / 14 < found["advice"].compute < 1.0


def test_the_limits() -> None:
    flat, second = TRUTHS[0], TRUTHS[-2]
    advice = {"compute": 0.7, "lost": 1.0}
    assert sound_of(flat, {"advice": advice})
    assert not sound_of(flat, {"advice": {**advice, "lost": 2.1}})
    assert not sound_of(flat, {"advice": {**advice, "compute": 0.9}})
    assert sound_of(replace(flat, early=False), {"advice": {**advice, "compute": 0.9}})
    assert sound_of(second, {"advice": {"compute": 1.0, "lost": 9.0}})
