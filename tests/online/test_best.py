from __future__ import annotations

import numpy as np
import pytest

from lens_ray.online.best import before_falls, best_checkpoints
from lens_ray.online.findings import Findings
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.contrast import contrast
from lens_ray.stats.figures import ability_figures
from lens_ray.testing.simulated_runs import Design, simulate
from tests.online.hand_made import conflict, decline, series


def test_the_highest_is_the_best_and_the_earliest_that_is_not_worse_is_named() -> None:
    run = series({"ocr": [200, 300, 302, 301]})
    best = best_checkpoints(run, margin=0.02)["ocr"]
    assert (best.step, best.earliest) == (300, 200)
    assert best.value == pytest.approx(302 / 400)
    # 2 of 400 less is 0.005: within the margin, and its bound too.
    assert best.behind == pytest.approx(-0.005)
    assert best.behind_low is not None
    assert -0.02 < best.behind_low < -0.005


def test_without_a_margin_worth_the_name_none_is_as_good() -> None:
    best = best_checkpoints(series({"ocr": [200, 300, 302, 301]}), margin=0.005)["ocr"]
    assert (best.step, best.earliest, best.behind, best.behind_low) == (300, 300, 0.0, 0.0)


def test_the_earliest_of_equals_is_the_best() -> None:
    assert best_checkpoints(series({"ocr": [200, 300, 300]}), margin=0.02)["ocr"].step == 200


def test_each_ability_has_its_own_and_overall_follows_the_weights() -> None:
    run = series({"ocr": [100, 200, 300], "entity": [300, 200, 100]})
    best = best_checkpoints(run, margin=0.02)
    assert (best["ocr"].step, best["entity"].step) == (300, 100)
    assert best[OVERALL].step == 100  # all are 0.5 overall: the earliest
    heavy = best_checkpoints(run, margin=0.02, weights={"ocr": 0.9, "entity": 0.1})
    assert heavy[OVERALL].step == 300
    assert heavy[OVERALL].value == pytest.approx(0.9 * 0.75 + 0.1 * 0.25)


def test_only_those_that_are_there_compete() -> None:
    run = series({"ocr": [100, 300, 200]})
    assert best_checkpoints(run, margin=0.02, among=[100, 300])["ocr"].step == 300
    none = best_checkpoints(run, margin=0.02, among=[])["ocr"]
    assert none.step is None
    assert none.reason == "no checkpoint was asked"


def test_checkpoints_of_different_depth_are_compared_on_what_all_answered() -> None:
    run, _ = simulate("slow_rise", 3, Design(checkpoints=6, milestones=3))
    best = best_checkpoints(run, margin=0.02)["ocr"]
    answered = ~np.isnan(run.marks.score).any(axis=0)
    ocr = [place for place, (name, _) in enumerate(run.marks.strata) if name == "ocr"]
    assert best.n == int((answered & np.isin(run.marks.stratum, ocr)).sum())


def test_no_common_question_is_said() -> None:
    run, _ = simulate("flat", 1, Design(checkpoints=6, items=100))
    run.marks.score[0, ::2] = np.nan
    run.marks.score[1, 1::2] = np.nan
    best = best_checkpoints(run, margin=0.02)["ocr"]
    assert best.reason == "no question was answered by all checkpoints"


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_every_pair_by_itself(seed: int) -> None:
    run, _ = simulate("early_plateau", seed, Design(checkpoints=12, items=400))
    found = best_checkpoints(run, margin=0.03)
    figures = ability_figures(run.marks)
    for name in run.abilities:
        best = found[name]
        top = str(best.step)
        bounds = [
            contrast(run.marks, str(step), top, figures.only([name]), confidence=0.9)[0].ci_low
            for step in run.steps.tolist()
            if str(step) != top
        ]
        rest = [step for step in run.steps.tolist() if str(step) != top]
        fit = [s for s, low in zip(rest, bounds, strict=True) if low is not None and low > -0.03]
        assert best.earliest == min([*[step for step in fit if step < int(top)], int(top)])


def test_what_was_there_before_something_fell() -> None:
    found = Findings("r", 1000, declines=(decline("ocr"),), conflicts=(conflict("ocr", "entity"),))
    assert before_falls(found, [100, 400, 600]) == [(400, "entity"), (400, "ocr")]
    assert before_falls(found, [600]) == []
