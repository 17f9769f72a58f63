from __future__ import annotations

import pytest

from lens_ray.online.first_fit import first_fit
from lens_ray.stats.advice.needs import Needs
from lens_ray.testing.simulated_runs import Design, simulate
from tests.online.hand_made import series


def test_the_first_that_is_surely_good_enough() -> None:
    run = series({"ocr": [100, 200, 260, 300, 320], "entity": [300] * 5})
    # 0.65 is one standard error (0.024) above 0.62, 0.75 is more than five.
    found = first_fit(run, Needs(min_score={"ocr": 0.62, "entity": 0.5}))
    assert found.step == 400
    assert found.sure is not None
    assert found.sure > 0.99


def test_none_so_far_names_the_nearest_and_how_probable() -> None:
    found = first_fit(series({"ocr": [100, 260, 255]}), Needs(min_score={"ocr": 0.63}))
    assert (found.step, found.sure, found.nearest) == (None, None, 200)
    # 0.65 with a standard error of sqrt(.65 * .35 / 400) = 0.0238: 0.84 of a normal.
    assert found.chance["ocr"] == pytest.approx(0.80, abs=0.04)


def test_an_ability_without_score_is_named() -> None:
    found = first_fit(series({"ocr": [300]}), Needs(min_score={"entity": 0.1}))
    assert found.lacking == ("entity",)
    assert found.step is None


def test_no_needed_score_needs_nothing() -> None:
    assert first_fit(series({"ocr": [300]}), Needs()).step is None


@pytest.mark.slow
def test_a_run_that_is_just_not_good_enough_is_named_in_few_runs() -> None:
    wrong, runs = 0, 40
    for seed in range(runs):
        run, truth = simulate("flat", seed, Design(items=400, checkpoints=15))
        place = 0
        name = Design().abilities[place]
        least = float(truth.skill[0, place]) + 1e-9
        wrong += (
            first_fit(run, Needs(min_score={name: least}, sure=0.9), planned=15).step is not None
        )
    # 10 % are allowed: P(more than 10 of 40) = 0.0015.
    assert wrong <= 10
