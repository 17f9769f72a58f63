"""Stretches without change, and the bend of a curve."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from lens_ray.online.curves import knee
from lens_ray.online.findings import Findings
from lens_ray.online.plateaus import plateaus
from lens_ray.online.spec import Rules
from lens_ray.testing.simulated_runs import Design, simulate
from tests.online.hand_made import ITEMS, series

RULES = Rules()


def test_a_plateau_between_two_rises() -> None:
    rights = [100, 150, 200, *[250] * 7, 300, 350, 400, 400, 400, 400, 400]
    first, second = plateaus(series({"ocr": rights}), RULES)
    assert first.window == (400, 1000)
    assert first.ended
    assert first.effect == 0.0
    half = student.ppf(0.95, ITEMS - 1) * 2**0.5 / ITEMS
    assert list(first.interval) == pytest.approx([-half, half])
    assert first.confidence == pytest.approx(0.90)
    assert second.window == (1300, 1700)
    assert not second.ended


def test_no_plateau_where_it_always_changes() -> None:
    assert plateaus(series({"ocr": [100 + 20 * place for place in range(15)]}), RULES) == ()
    assert plateaus(series({"ocr": [300] * 3}), RULES) == ()


def test_a_bump_is_part_of_no_plateau() -> None:
    """Both halves have the same mean; the middle lies apart."""
    rights = [200, 200, 200, 240, 240, 240, 240, 200, 200, 200]
    assert all(
        not found.window[0] <= 300 < 800 <= found.window[1]
        for found in plateaus(series({"ocr": rights}), RULES)
    )


@given(st.lists(st.integers(0, ITEMS), min_size=1, max_size=25), st.integers(2, 8))
def test_plateaus_are_inside_the_margin_and_apart(rights: list[int], window: int) -> None:
    rules = Rules(window=window)
    found = plateaus(series({"ocr": rights}), rules)
    places = [tuple(step // 100 - 1 for step in each.window) for each in found]
    for each, (first, last) in zip(found, places, strict=True):
        assert -rules.margin < each.interval[0] <= each.effect <= each.interval[1] < rules.margin
        assert last - first + 1 >= max(window, 4)
        middle = (first + last + 1) // 2
        halves = np.mean(rights[middle : last + 1]) - np.mean(rights[first:middle])
        assert each.effect == pytest.approx(halves / ITEMS, abs=1e-12)
    assert all(one[1] < two[0] for one, two in pairwise(places))
    json.dumps(Findings("r", 1, plateaus=found).to_json(), allow_nan=False)


def test_simulated_plateaus_are_found() -> None:
    """A plateau that begins within three checkpoints of the truth, in most abilities."""
    near = []
    for seed in range(6):
        run, truth = simulate("early_plateau", seed)
        found = plateaus(run, RULES)
        for ability, place in truth.plateau.items():
            starts = [each.window[0] // 100 - 1 for each in found if each.ability == ability]
            near.append(any(abs(start - place) <= 3 for start in starts))
    assert np.mean(near) > 0.8


def test_the_knee_of_two_lines() -> None:
    values = [0.1, 0.2, 0.3, 0.4, 0.41, 0.42, 0.43, 0.44]
    assert knee([100 * k for k in range(1, 9)], values) == 400


def test_the_knee_is_the_best_of_all_hinges() -> None:
    """Against least squares of every hinge, one at a time."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        steps = np.sort(rng.choice(5000, 20, replace=False))
        values = 0.8 - 0.6 * np.exp(-steps / 900) + 0.01 * rng.standard_normal(20)
        errors = []
        for bend in steps[1:-1]:
            columns = np.stack([np.ones(20), steps, np.maximum(steps - bend, 0)], axis=1)
            fit = np.linalg.lstsq(columns, values, rcond=None)[0]
            errors.append(((values - columns @ fit) ** 2).sum())
        assert knee(steps.tolist(), values.tolist()) == steps[1 + int(np.argmin(errors))]


@pytest.mark.parametrize(
    "values",
    [
        [0.1, 0.2, 0.3, 0.4],
        [0.5] * 8,
        [0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5],
        [0.1, 0.12, 0.14, 0.3, 0.5, 0.7, 0.9],
        [None] * 9,
    ],
    ids=["few", "flat", "falls", "rises more", "unknown"],
)
def test_no_knee(values: list[float | None]) -> None:
    assert knee([100 * k for k in range(1, len(values) + 1)], values) is None


def test_the_knee_does_not_mind_gaps_and_large_steps() -> None:
    steps = [10_000_000 + k * 1000 for k in range(9)]
    values = [0.1, 0.2, None, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    assert knee(steps, values) == steps[3]


def test_early_on_slow_bends() -> None:
    """The hint is early: the reference simulations say 4.7 where the truth is 8."""
    design = Design(abilities=("ocr",))
    off = []
    for seed in range(20):
        run, truth = simulate("early_plateau", seed, design)
        at = knee(run.steps.tolist(), truth.skill[:, 0].tolist())
        assert at is not None
        off.append(at // 100 - 1 - truth.plateau["ocr"])
    assert -6 < np.mean(off) < 0
